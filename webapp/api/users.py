"""Users' ids in requests: numbers and texts alike."""

from typing import Annotated, Any

from flask import request
from pydantic import AfterValidator, BeforeValidator, StringConstraints


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def printable(text: str) -> str:
    """Return a text without control characters, line ends among them. Raises ValueError if it has any."""
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError("control characters, line ends among them, are not allowed here")
    return text


def _of_a_path(text: str) -> str:
    if "/" in text or text in (".", ".."):
        raise ValueError("a user's id stands in paths: `/`, `.` and `..` are not allowed")
    return text


def as_given(user_id: str) -> Any:
    """Return a user's id as the request's body had it, a number or a text."""
    given = request.get_json().get("user_id")
    return given if str(given) == user_id else user_id


def as_number(user_id: str) -> Any:
    """Return a user's id of a path as the seed's clients have it: a number where it is one."""
    return int(user_id) if user_id.isascii() and user_id.isdigit() and str(int(user_id)) == user_id else user_id


UserId = Annotated[
    str,
    BeforeValidator(_as_text),
    StringConstraints(min_length=1, max_length=100),
    AfterValidator(printable),
    AfterValidator(_of_a_path),
]
