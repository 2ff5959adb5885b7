"""The answers that every endpoint shares: work accepted, a job, a page."""

import base64
import binascii
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

from flask import Response, abort, jsonify

from jobs.core.view import JobView

MAX_PAGE = 100
MAX_ROW_ID = 2**63

T = TypeVar("T")


def accepted(job_id: str, **fields: Any) -> Response:
    """Return 202 for work that was started as the given job."""
    response = jsonify(**fields, task_id=job_id, links=job_links(job_id))
    response.status_code = 202
    response.headers["Location"] = f"/jobs/{job_id}"
    response.headers["Retry-After"] = "1"
    response.headers["X-Task-ID"] = job_id
    return response


def job_response(view: JobView) -> Response:
    """Return a job as JSON."""
    response = jsonify(job_json(view))
    response.headers["X-Task-ID"] = view.id
    if not view.ended:
        response.headers["Retry-After"] = "1"
    return response


def job_json(view: JobView) -> dict[str, Any]:
    """Return a job as JSON data, with its links."""
    links: dict[str, Any] = job_links(view.id)
    if view.webhooks:
        links["redeliver"] = f"{links['self']}/webhooks/redeliver"
        links["deliveries"] = [f"/jobs/{delivery}" for webhook in view.webhooks for delivery in webhook.deliveries]
    return {**view.model_dump(mode="json"), "links": links}


def job_links(job_id: str) -> dict[str, str]:
    """Return where a job can be looked at and acted on."""
    base = f"/jobs/{job_id}"
    acts = ("events", "cancel", "pause", "resume", "requeue")
    return {"self": base, **{act: f"{base}/{act}" for act in acts}}


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
