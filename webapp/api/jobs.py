"""Any job: look at it, follow it, stop it, start it again."""

from typing import Any, Literal

from flask import Response, abort, g, jsonify, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, Field

from jobs.core.events import FROM_START, is_event_id, read_events
from jobs.core.view import JobView
from webapp.extension import offstage
from webapp.responses import MAX_PAGE, decode_cursor, encode_cursor, job_json, job_response

bp = APIBlueprint("jobs", __name__, abp_tags=[Tag(name="jobs", description="Any job")])

MAX_WAIT_SECONDS = 30

TaskStatus = Literal["pending", "running", "completed", "failed", "retry"]
# The seed's words for `GET /task/{id}`. It knows no canceled task: to its clients that is a failed one.
TASK_STATUS: dict[str, TaskStatus] = {
    "queued": "pending",
    "scheduled": "pending",
    "waiting": "pending",
    "paused": "pending",
    "running": "running",
    "retrying": "retry",
    "completed": "completed",
    "failed": "failed",
    "canceled": "failed",
}


class JobPath(BaseModel):
    """A job's id."""

    job_id: str


class WaitQuery(BaseModel):
    """`wait`: answer when the job has ended, or after that many seconds, 30 at most."""

    wait: float = Field(default=0, ge=0, allow_inf_nan=False)


class ListQuery(BaseModel):
    """A page of a list."""

    limit: int = Field(default=20, ge=1)
    cursor: str | None = Field(default=None, max_length=200)


class EventsQuery(BaseModel):
    """`after`: the id of the last event received; the header `Last-Event-ID` says the same and goes before it."""

    after: str = Field(default=FROM_START, max_length=64)


@bp.get("/jobs")
def list_jobs(query: ListQuery) -> Response:
    """List the caller's jobs, newest first."""
    limit = min(query.limit, MAX_PAGE)
    before = decode_cursor(query.cursor, float)
    page = offstage().client.list(g.tenant, before=before, limit=limit)
    cursor = encode_cursor(repr(page[-1][0])) if len(page) == limit else None
    return jsonify(jobs=[job_json(view) for _, view in page], next_cursor=cursor)


@bp.get("/jobs/<string:job_id>", responses={200: JobView})
def get_job(path: JobPath, query: WaitQuery) -> Response:
    """Return a job, straight from Redis; with `wait`, when it has ended."""
    return job_response(offstage().streams.wait(g.tenant, path.job_id, min(query.wait, MAX_WAIT_SECONDS)))


@bp.get("/jobs/<string:job_id>/events")
def follow_job(path: JobPath, query: EventsQuery) -> Response:
    """Stream a job's events (SSE), exactly after the last one received.

    A reader that has seen the end of an ended job gets 204, which stops the browser's EventSource.
    """
    after = request.headers.get("Last-Event-ID") or query.after
    if not is_event_id(after):
        abort(400, "`Last-Event-ID` or `after` is not the id of an event.")
    view = offstage().client.get(g.tenant, path.job_id)
    if view.ended and after != FROM_START and not read_events(offstage().services.redis, g.tenant, view.id, after, 1):
        return Response(status=204)
    return offstage().streams.response(g.tenant, view, after)


@bp.post("/jobs/<string:job_id>/cancel")
def cancel_job(path: JobPath) -> Response:
    """Cancel a job, also a running one. Canceling twice is canceling once."""
    return job_response(offstage().client.cancel(g.tenant, path.job_id))


@bp.post("/jobs/<string:job_id>/requeue")
def requeue_job(path: JobPath) -> Response:
    """Start a failed job again, with all its attempts."""
    return job_response(offstage().client.requeue(g.tenant, path.job_id))


@bp.get("/task/<string:job_id>")
def get_task(path: JobPath) -> Response:
    """Return a job in the short form: pending, running, completed, failed or retry."""
    view = offstage().client.get(g.tenant, path.job_id)
    return jsonify(task_json(view))


def task_json(view: JobView) -> dict[str, Any]:
    """Return a job in the seed's form."""
    data = view.model_dump(mode="json")
    return {
        "task_id": view.id,
        "name": view.type,
        "status": TASK_STATUS[view.state],
        "created_at": data["created_at"],
        "started_at": data["started_at"],
        "completed_at": data["ended_at"] if view.ended else None,
        "retry_count": max(0, view.attempt - 1),
        "error": f"{view.error.code}: {view.error.message}" if view.error else None,
    }
