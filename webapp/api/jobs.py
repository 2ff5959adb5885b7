"""Any job: look at it, follow it, stop it, start it again."""

from typing import Any

from flask import abort, g, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field

from jobs.core.errors import UnknownJobType
from jobs.core.estimate import explain
from jobs.core.events import FROM_START, is_event_id, read_events
from jobs.core.listing import JobFilter, Place
from jobs.core.spec import JobType, QueueName, discover, get_job_type
from jobs.core.view import JobView
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.openapi.describing import describe
from webapp.options import JobOptions
from webapp.requests import Moment, StoredId
from webapp.responses import (
    MAX_PAGE,
    Accepted,
    Answer,
    EventStream,
    JobAnswer,
    NoContent,
    accepted,
    decode_cursor,
    encode_cursor,
    listed_job_json,
)
from webapp.shapes import jobs as shapes
from webapp.shapes.jobs import JobState, TaskStatus
from webapp.webhooks import checked

bp = APIBlueprint("jobs", __name__, abp_tags=[Tag(name="jobs", description="Any job")])

MAX_WAIT_SECONDS = 30

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

    job_id: StoredId


class WaitQuery(BaseModel):
    """`wait`: answer when the job has ended, or after that many seconds, 30 at most."""

    model_config = ConfigDict(extra="forbid")

    wait: float = Field(default=0, ge=0, allow_inf_nan=False)


class ListQuery(BaseModel):
    """A page of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=20, ge=1)
    cursor: str | None = Field(default=None, max_length=200)


class JobsQuery(ListQuery):
    """Which jobs to list. `since` and `until` are times of creation with a zone, as in 2026-01-31T12:00:00Z."""

    type: StoredId | None = None
    state: JobState | None = None
    queue: QueueName | None = None
    since: Moment | None = None
    until: Moment | None = None


class TypePath(BaseModel):
    """A job type's name."""

    job_type: str = Field(description="The name of a job type: `GET /job-types` lists them.")


class StartBody(JobOptions):
    """`args` as the type's schema says, `fresh` to start anew what an equal request has started or done; options."""

    args: dict[str, Any] = Field(default_factory=dict)
    fresh: bool = False
    webhook_url: str | None = Field(default=None, max_length=2000)


class EventsQuery(BaseModel):
    """`after`: the id of the last event received; the header `Last-Event-ID` says the same and goes before it."""

    after: str = Field(default=FROM_START, max_length=64)


@bp.get("/jobs")
def list_jobs(query: JobsQuery) -> Answer[shapes.Jobs]:
    """List the caller's jobs, newest first; by type, state, queue or time of creation if asked."""
    only = JobFilter(query.type, query.state, query.queue, query.since, query.until)
    after = decode_cursor(query.cursor, Place.parse)
    page = offstage().client.list(g.tenant, after=after, limit=min(query.limit, MAX_PAGE), only=only)
    cursor = encode_cursor(page.last) if page.last else None
    return Answer(shapes.Jobs(jobs=[listed_job_json(view) for view in page.jobs], next_cursor=cursor))


@bp.post("/jobs/<string:job_type>")
@describe(called={"job_type": "job_id"})
def start_job(path: TypePath, body: StartBody) -> Accepted[shapes.JobStarted]:
    """Start a job of a public type."""
    if not get_job_type(path.job_type).public:
        raise UnknownJobType(f"No job type that clients may start is called {path.job_type!r}.")
    job_id = offstage().client.start(
        path.job_type,
        body.args,
        tenant=g.tenant,
        job_id=stable_id(),
        queue=body.priority,
        timeout=body.timeout,
        retries=body.retries,
        due=body.due(),
        fresh=body.fresh,
        depends_on=body.depends_on,
        on_dependency_failure=body.on_dependency_failure,
        keep=body.keep,
        webhook=checked(body.webhook_url),
    )
    return accepted(job_id, type=path.job_type)


@bp.get("/job-types")
def list_job_types() -> Answer[shapes.JobTypes]:
    """List the job types that clients may start, with the schemas of their arguments."""
    types = [kind for kind in discover().values() if kind.public]
    return Answer(shapes.JobTypes(job_types=[_type_json(kind) for kind in types]))


@bp.get("/jobs/<string:job_id>")
def get_job(path: JobPath, query: WaitQuery) -> JobAnswer:
    """Return a job, straight from Redis; with `wait`, when it has ended."""
    view = offstage().streams.wait(g.tenant, path.job_id, min(query.wait, MAX_WAIT_SECONDS))
    return JobAnswer(explain(offstage().services.redis, g.tenant, view))


@bp.get("/jobs/<string:job_id>/events")
@describe(takes=("Last-Event-ID",), problems=(400,))
def follow_job(path: JobPath, query: EventsQuery) -> EventStream | NoContent:
    """Stream a job's events (SSE), exactly after the last one received.

    A reader that has seen the end of an ended job gets 204, which stops the browser's EventSource.
    """
    after = request.headers.get("Last-Event-ID") or query.after
    if not is_event_id(after):
        abort(400, "`Last-Event-ID` or `after` is not the id of an event.")
    view = offstage().client.get(g.tenant, path.job_id)
    if view.ended and after != FROM_START and not read_events(offstage().services.redis, g.tenant, view.id, after, 1):
        return NoContent()
    return offstage().streams.response(g.tenant, view, after)


@bp.post("/jobs/<string:job_id>/cancel")
def cancel_job(path: JobPath) -> JobAnswer:
    """Cancel a job, also a running one. Canceling twice is canceling once."""
    return JobAnswer(offstage().client.cancel(g.tenant, path.job_id))


@bp.post("/jobs/<string:job_id>/pause")
def pause_job(path: JobPath) -> JobAnswer:
    """Pause a job: it frees its worker at the next checkpoint, and goes on from there when it is resumed."""
    return JobAnswer(offstage().client.pause(g.tenant, path.job_id))


@bp.post("/jobs/<string:job_id>/resume")
def resume_job(path: JobPath) -> JobAnswer:
    """Let a paused job go on."""
    return JobAnswer(offstage().client.resume(g.tenant, path.job_id))


@bp.delete("/jobs/<string:job_id>")
@describe(problems=(409,))
def delete_job(path: JobPath) -> NoContent:
    """Forget an ended job, with its result, attempts and events."""
    offstage().client.delete(g.tenant, path.job_id)
    return NoContent()


@bp.post("/jobs/<string:job_id>/requeue")
def requeue_job(path: JobPath) -> JobAnswer:
    """Start a failed job again, with all its attempts."""
    return JobAnswer(offstage().client.requeue(g.tenant, path.job_id))


@bp.get("/task/<string:job_id>")
def get_task(path: JobPath) -> Answer[shapes.Task]:
    """Return a job in the short form: pending, running, completed, failed or retry."""
    view = offstage().client.get(g.tenant, path.job_id)
    return Answer(task_json(view))


def task_json(view: JobView) -> shapes.Task:
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


def _type_json(kind: JobType) -> shapes.JobType:
    return {
        "name": kind.name,
        "summary": kind.summary,
        "queue": kind.queue,
        "timeout": kind.timeout,
        "retries": kind.retries,
        "args": kind.args_model.model_json_schema(),
    }
