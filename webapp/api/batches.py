"""Batches: many jobs in one request."""

from typing import Annotated, Any, Self

from flask import g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field, model_validator

from jobs.core.batch_intake import JobSpec
from jobs.core.batches import MAX_JOBS, BatchView
from jobs.core.errors import InvalidArguments
from jobs.core.spec import discover
from jobs.stores.work_rows import AcceptedBatch
from webapp.api.jobs import ListQuery
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.options import JobOptions
from webapp.requests import Storable, StoredId
from webapp.responses import MAX_PAGE, Accepted, Answer, decode_cursor, encode_cursor, listed_job_json, row_id
from webapp.shapes import batches as shapes
from webapp.shapes.jobs import Jobs, JobState

LOOK_JOBS = 2500  # jobs for each second that a client is asked to wait: every look asks Redis for the state of each

bp = APIBlueprint("batches", __name__, abp_tags=[Tag(name="batches", description="Many jobs at once")])


class BatchPath(BaseModel):
    """A batch's id."""

    batch_id: StoredId


class BatchJob(JobOptions):
    """A job: its type, its `args` as the type's schema says, and options."""

    type: str
    args: dict[str, Any] = Field(default_factory=dict)

    def spec(self) -> JobSpec:
        """Return it as the engine takes it."""
        return JobSpec(self.type, self.args, self.options())


class BatchBody(BaseModel):
    """`jobs`, or a `type` and the arguments of each job as `items`. `on_complete` is a job that starts when all have
    ended."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Storable] = Field(default="", max_length=200)
    jobs: list[BatchJob] | None = Field(default=None, min_length=1, max_length=MAX_JOBS)
    type: str | None = None
    items: list[dict[str, Any]] | None = Field(default=None, min_length=1, max_length=MAX_JOBS)
    options: JobOptions = Field(default_factory=JobOptions, description="Options of every one of `items`.")
    on_complete: BatchJob | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if (self.jobs is None) == (self.items is None) or (self.type is None) != (self.items is None):
            raise ValueError("give `jobs`, or `type` and `items`")
        return self

    def specs(self) -> list[JobSpec]:
        """Return the jobs as the engine takes them."""
        if self.jobs is not None:
            return [job.spec() for job in self.jobs]
        options = self.options.options()
        return [JobSpec(str(self.type), item, options) for item in self.items or []]


class MembersQuery(ListQuery):
    """Which of a batch's jobs to list."""

    state: JobState | None = None


@bp.post("/batches")
def start_batch(body: BatchBody) -> Accepted[shapes.BatchStarted]:
    """Start up to 10,000 jobs, or none of them."""
    specs, callback = body.specs(), body.on_complete.spec() if body.on_complete else None
    _check_types({spec.type for spec in [*specs, *filter(None, [callback])]})
    batch_id = offstage().batches.start(
        specs, tenant=g.tenant, name=body.name, on_complete=callback, batch_id=stable_id()
    )
    started = shapes.BatchStarted(batch_id=batch_id, total=len(specs), links=_links(batch_id))
    return Accepted(started, f"/batches/{batch_id}")


@bp.get("/batches")
def list_batches(query: ListQuery) -> Answer[shapes.Batches]:
    """List the caller's batches as they were accepted, newest first."""
    limit = min(query.limit, MAX_PAGE)
    page = offstage().batches.accepted(g.tenant, before=decode_cursor(query.cursor, row_id), limit=limit)
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    return Answer(shapes.Batches(batches=[_accepted_json(batch) for batch in page], next_cursor=cursor))


@bp.get("/batches/<string:batch_id>")
def get_batch(path: BatchPath) -> Answer[shapes.Batch]:
    """Return a batch with its counts."""
    return _batch_response(offstage().batches.get(g.tenant, path.batch_id))


@bp.get("/batches/<string:batch_id>/jobs")
def list_batch_jobs(path: BatchPath, query: MembersQuery) -> Answer[Jobs]:
    """List a batch's jobs.

    Those that have ended in one state come in the order of their ends, so that a cursor gives what came since.
    """
    after = decode_cursor(query.cursor, _place) or 0
    limit = min(query.limit, MAX_PAGE)
    page = offstage().batches.jobs(g.tenant, path.batch_id, state=query.state, after=after, limit=limit)
    cursor = None if page.next is None else encode_cursor(page.next)
    return Answer(Jobs(jobs=[listed_job_json(view) for view in page.jobs], next_cursor=cursor))


@bp.post("/batches/<string:batch_id>/cancel")
def cancel_batch(path: BatchPath) -> Answer[shapes.Batch]:
    """Cancel what has not ended of a batch. Canceling twice is canceling once."""
    return _batch_response(offstage().batches.cancel(g.tenant, path.batch_id))


def _check_types(names: set[str]) -> None:
    types = discover()
    for name in sorted(names):
        if name not in types or not types[name].public:
            raise InvalidArguments(f"No job type that clients may start is called {name!r}.")


def _place(text: str) -> int:
    place = int(text)
    if not 0 <= place <= MAX_JOBS:
        raise ValueError(text)
    return place


def _batch_response(view: BatchView) -> Answer[Any]:
    links = _links(view.id)
    if view.callback_id:
        links["callback"] = f"/jobs/{view.callback_id}"
    response = Answer({**view.model_dump(mode="json"), "links": links})
    if view.ended_at is None:
        response.headers["Retry-After"] = str(1 + view.open // LOOK_JOBS)
    return response


def _accepted_json(batch: AcceptedBatch) -> shapes.AcceptedBatch:
    """Return a batch as it was accepted; its counts are at its own address."""
    return {
        "id": batch.id,
        "name": batch.name,
        "total": batch.total,
        "ended": batch.state == "ended",
        "created_at": batch.created_at.isoformat(),
        "links": _links(batch.id),
    }


def _links(batch_id: str) -> shapes.BatchLinks:
    base = f"/batches/{batch_id}"
    return {"self": base, "jobs": f"{base}/jobs", "cancel": f"{base}/cancel"}
