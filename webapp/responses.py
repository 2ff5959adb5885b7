"""The answers that every endpoint shares: JSON of a shape, work accepted, a job, a page.

A view's return type says what it answers: the type checker holds the view to it, and /openapi.json is read off it.
"""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar
from urllib.parse import quote
from uuid import uuid4

from flask import Response, abort, json

from jobs.core.view import JobView
from webapp.shapes.common import JobLinks
from webapp.shapes.jobs import Job

MAX_PAGE = 100
MAX_ROW_ID = 2**63
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
MAX_LISTED_RESULT = 16 * 1024  # characters of JSON, of one job of a list

T = TypeVar("T")


class Answer(Response, Generic[T]):
    """JSON of a shape. Those derived from it have a status of their own, and headers that the description names."""

    default_mimetype = "application/json"
    sends: ClassVar[tuple[str, ...]] = ()

    def __init__(self, value: T) -> None:
        super().__init__(json.dumps(value, separators=(",", ":")) + "\n")


class Created(Answer[T]):
    """Something new, and where it is."""

    default_status = 201
    sends = ("Location",)

    def __init__(self, value: T, location: str) -> None:
        super().__init__(value)
        self.headers["Location"] = location


class Kept(Answer[T]):
    """JSON that is sent as it is kept, byte for byte."""

    def __init__(self, text: str | bytes | None) -> None:
        Response.__init__(self, text)


class KeptNew(Kept[T]):
    """The same of something new, and where it is."""

    default_status = 201
    sends = ("Location",)

    def __init__(self, text: str | bytes | None, location: str) -> None:
        super().__init__(text)
        self.headers["Location"] = location


class Accepted(Answer[T]):
    """Work that was started: where it can be looked at, and when for the first time."""

    default_status = 202
    sends = ("Location", "Retry-After", "X-Task-ID")

    def __init__(self, value: T, location: str, task_id: str | None = None) -> None:
        super().__init__(value)
        self.headers["Location"] = location
        self.headers["Retry-After"] = "1"
        if task_id:
            self.headers["X-Task-ID"] = task_id


class Unready(Answer[T]):
    """Something that this service needs does not answer."""

    default_status = 503


class NoContent(Response):
    """It is done, and there is nothing to say."""

    default_status = 204


class ProblemAnswer(Response):
    """What was asked for is refused, or failed."""

    default_mimetype = "application/problem+json"


@dataclass(frozen=True)
class Media:
    """What a plain `Response` holds, with 200: of which media types, and if it is JSON, of which shape."""

    types: tuple[str, ...]
    shape: Any = str
    sends: tuple[str, ...] = ()


EventStream = Annotated[Response, Media(("text/event-stream",), sends=("X-Task-ID",))]


class JobAnswer(Answer[Job]):
    """A job; while it has not ended, when to look again."""

    sends = ("X-Task-ID", "Retry-After")

    def __init__(self, view: JobView) -> None:
        super().__init__(job_json(view))
        self.headers["X-Task-ID"] = view.id
        if not view.ended:
            self.headers["Retry-After"] = "1"


def accepted(job_id: str, **fields: Any) -> Accepted[Any]:
    """Return 202 for work that was started as the given job."""
    return Accepted({**fields, "task_id": job_id, "links": job_links(job_id)}, f"/jobs/{job_id}", job_id)


def job_json(view: JobView) -> Any:
    """Return a job as JSON data, with its links: a `Job`."""
    links: dict[str, Any] = {**job_links(view.id)}
    if view.webhooks:
        links["redeliver"] = f"{links['self']}/webhooks/redeliver"
        links["deliveries"] = [f"/jobs/{delivery}" for webhook in view.webhooks for delivery in webhook.deliveries]
    return {**view.model_dump(mode="json"), "links": links}


def listed_job_json(view: JobView) -> Any:
    """Return a job as JSON data for a list, without its result if that is long: a `ListedJob`."""
    job = job_json(view)
    left_out = len(json.dumps(job["result"])) > MAX_LISTED_RESULT
    return {**job, "result": None if left_out else job["result"], "result_left_out": left_out}


def job_links(job_id: str) -> JobLinks:
    """Return where a job can be looked at and acted on."""
    base = f"/jobs/{job_id}"
    return JobLinks(
        self=base,
        events=f"{base}/events",
        cancel=f"{base}/cancel",
        pause=f"{base}/pause",
        resume=f"{base}/resume",
        requeue=f"{base}/requeue",
    )


def header_value(text: str) -> str:
    """Return a text as a header may hold it: `%` and what is not printable ASCII percent-encoded, as UTF-8."""
    return quote(text, safe=_PRINTABLE, errors="replace")


def encode_cursor(place: object) -> str:
    """Return an opaque cursor for a place in a list."""
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, parse: Callable[[str], T]) -> T | None:
    """Return the place of a cursor, or None without one; a cursor that we did not give out is a 400.

    `parse` turns the text of a place into it, and raises ValueError if it is none.
    """
    if cursor is None:
        return None
    try:
        return parse(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except (binascii.Error, UnicodeError, ValueError):
        abort(400, "This cursor is not one of ours.")


def new_id(stable: str | None = None) -> str:
    """Return the id of something new: the stable one of a request with an `Idempotency-Key`, else one of its own."""
    return stable or uuid4().hex


def row_id(text: str) -> int:
    """Return a place that is the id of a row. Raises ValueError if it is none."""
    number = int(text)
    if not 0 <= number < MAX_ROW_ID:
        raise ValueError(text)
    return number
