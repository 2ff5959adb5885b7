"""The answers that every endpoint shares: work accepted, a job, a page."""

import base64
import binascii
from typing import Any

from flask import Response, abort, jsonify

from jobs.core.view import JobView

MAX_PAGE = 100
MAX_POSITION = 2**63


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
    return {**view.model_dump(mode="json"), "links": job_links(view.id)}


def job_links(job_id: str) -> dict[str, str]:
    """Return where a job can be looked at and acted on."""
    base = f"/jobs/{job_id}"
    acts = ("events", "cancel", "pause", "resume", "requeue")
    return {"self": base, **{act: f"{base}/{act}" for act in acts}}


def encode_cursor(position: str | float) -> str:
    """Return an opaque cursor for a position in a list."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, kind: type[int] | type[float]) -> Any:
    """Return the position of a cursor, or None without one; a cursor that we did not give out is a 400."""
    if cursor is None:
        return None
    try:
        position = kind(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode())
    except (binascii.Error, UnicodeError, ValueError):
        position = -1
    if not 0 <= position < MAX_POSITION:  # neither is NaN
        abort(400, "This cursor is not one of ours.")
    return position
