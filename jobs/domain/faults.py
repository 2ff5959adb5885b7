"""What is wrong with data that does not fit its model: the first faults, shortly, and how many more there are."""

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

MAX_FAULTS = 20  # named at once
_MAX_LISTED = 25_000  # pydantic lists all of its errors or none: of more, only the number is told
_MAX_CHARS = 200  # of a field's name, and of what is said of it


class Fault(NamedTuple):
    """What is wrong where."""

    field: str
    message: str


def first_errors(error: ValidationError) -> Sequence[ErrorDetails]:
    """Return the first of pydantic's errors, without what was given; none, if they are too many to be listed."""
    if error.error_count() > _MAX_LISTED:
        return []
    return error.errors(include_url=False, include_context=False, include_input=False)[:MAX_FAULTS]


def faults_of(error: ValidationError, whole: str = "body") -> list[Fault]:
    """Return the first faults by their fields; the last one, of the `whole`, says how many more there are."""
    named = [Fault(_cut(".".join(map(str, e["loc"]))) or whole, _message(e)) for e in first_errors(error)]
    more = error.error_count() - len(named)
    return [*named, Fault(whole, f"{more} more faults" if named else f"{more} faults")] if more else named


def told(error: ValidationError, whole: str = "body") -> str:
    """Return the same as a text."""
    return "; ".join(f"{field}: {message}" for field, message in faults_of(error, whole))


def _message(details: ErrorDetails) -> str:
    return _cut(details["msg"].removeprefix("Value error, "))


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARS else f"{text[:_MAX_CHARS]}…"
