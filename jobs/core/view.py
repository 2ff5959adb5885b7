"""A job as its owner sees it, read from RQ's keys and ours.

RQ's status is the truth; `CLIENT_STATES` says it in the client's words.
"""

import json
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field
from pydantic.json_schema import SkipJsonSchema
from redis import Redis
from rq.job import Job, JobStatus
from rq.results import Result
from rq.serializers import JSONSerializer

from jobs.core import keys
from jobs.core.errors import JobCanceled, JobError
from jobs.core.job import retries_allowed
from jobs.core.webhooks import WebhookView, read_webhooks

CLIENT_STATES = {
    JobStatus.CREATED: "queued",
    JobStatus.QUEUED: "queued",
    JobStatus.DEFERRED: "waiting",
    JobStatus.RATE_LIMITED: "waiting",
    JobStatus.READY_TO_ENQUEUE: "waiting",
    JobStatus.SCHEDULED: "scheduled",
    JobStatus.STARTED: "running",
    JobStatus.FINISHED: "completed",
    JobStatus.FAILED: "failed",
    JobStatus.STOPPED: "canceled",
    JobStatus.CANCELED: "canceled",
}
END_STATES = ("completed", "failed", "canceled")


class JobNotFound(Exception):
    """There is no such job, or it ended too long ago."""

    code = "job_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class Progress(BaseModel):
    """How far the job is. `percent` goes from 0 to 100."""

    percent: float
    message: str = ""


class Attempt(BaseModel):
    """One attempt that failed."""

    number: int
    started_at: datetime | None
    ended_at: datetime
    seconds: float
    worker: str
    type: str
    code: str
    message: str
    retryable: bool


class JobProblem(BaseModel):
    """Why the job failed. `code` is stable."""

    code: str
    message: str


class WaitsFor(BaseModel):
    """What keeps a job from starting: `ids` of other jobs or of a batch, its `position` in the queue, or its time."""

    reason: Literal["jobs", "batch", "queue", "suspended", "schedule", "backoff", "paused", "limit"]
    ids: list[str] = []
    position: int | None = None
    until: datetime | None = None


class JobView(BaseModel):
    """A job as its owner sees it. Times are UTC; `position` counts from 0, the next job to start."""

    id: str
    type: str
    description: str = Field(default="", description="The type with its key arguments, as dashboards show it.")
    state: str
    queue: str
    position: int | None = None
    progress: Progress | None = None
    attempt: int = Field(description="The attempt that runs, ran last or comes next; from 1.")
    retries_left: int = Field(description="Attempts that may still follow.")
    attempts: list[Attempt] = Field(description="The attempts that failed, oldest first.")
    created_at: datetime
    enqueued_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_attempt_at: datetime | None = Field(default=None, description="When a scheduled or retrying job is due.")
    worker: str | None = None
    batch_id: str | None = Field(default=None, description="The batch that it is a job of.")
    depends_on: list[str] = Field(default=[], description="Jobs that had to end before it may start.")
    waits_for: WaitsFor | None = Field(default=None, description="What keeps a waiting job.")
    expected_start_seconds: float | None = Field(default=None, description="Estimated wait from now on, if known.")
    expected_seconds: float | None = Field(default=None, description="What a job of its type takes, if known.")
    webhooks: list[WebhookView] = Field(default=[], description="Who is told of its end.")
    result: Any = None
    error: JobProblem | None = None
    from_row: SkipJsonSchema[bool] = Field(default=False, exclude=True, description="Redis did not know it.")

    @property
    def ended(self) -> bool:
        """Whether the job will not change any more by itself."""
        return self.state in END_STATES


def read_job(redis: Redis, tenant: str, job_id: str) -> JobView:
    """Return a tenant's job.

    Raises:
        JobNotFound: there is none of that id, or it belongs to another tenant.
    """
    view = read_jobs(redis, tenant, [job_id])[0]
    if view is None:
        raise JobNotFound
    return view


def read_jobs(redis: Redis, tenant: str, job_ids: list[str]) -> list[JobView | None]:
    """Return a tenant's jobs in the order of their ids, in two round trips; None where there is none of that id."""
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in job_ids:
            pipeline.hgetall(Job.key_for(job_id))
            pipeline.hmget(keys.state(tenant, job_id), "progress", "paused")
            pipeline.lrange(keys.attempts(tenant, job_id), 0, -1)
            pipeline.xrevrange(f"rq:results:{job_id}", count=1)
            pipeline.hgetall(keys.webhooks(tenant, job_id))
        raw = pipeline.execute()
    views = [_read(redis, tenant, job_id, *raw[5 * n : 5 * n + 5]) for n, job_id in enumerate(job_ids)]
    _add_places(redis, [view for view in views if view])
    return views


def _read(redis: Redis, tenant: str, job_id: str, raw: Any, *rest: Any) -> JobView | None:
    job = _restore(redis, job_id, raw)
    if job is None or not isinstance(job.meta, dict) or job.meta.get("tenant") != tenant:
        return None
    (progress, paused), attempts, results, webhooks = rest
    view = _view(job, progress, bool(paused), [Attempt.model_validate_json(attempt) for attempt in attempts])
    view.webhooks = read_webhooks(webhooks)
    _add_outcome(view, results)
    if view.state == "canceled" and (cause := raw.get(b"offstage_cause")):
        view.error = JobProblem.model_validate_json(cause)
    return view


def _restore(redis: Redis, job_id: str, raw: dict[bytes, bytes]) -> Job | None:
    """Return the RQ job of a hash; a hash that is missing or torn is no job to a client."""
    try:
        job = Job(job_id, connection=redis, serializer=JSONSerializer)
        job.restore(raw)
    except Exception:
        return None
    return job


def _view(job: Job, progress: bytes | None, paused: bool, attempts: list[Attempt]) -> JobView:
    retries = job.number_of_retries or 0
    state = CLIENT_STATES[job.get_status(refresh=False)]
    if state == "scheduled" and retries:
        state = "retrying"
    elif state == "waiting" and paused:
        state = "paused"
    return JobView(
        id=job.id,
        type=job.meta.get("type", ""),
        description=job.description or "",
        state=state,
        queue=job.origin,
        progress=_progress(progress, state),
        attempt=len(attempts) if state == "failed" and attempts else len(attempts) + 1,
        retries_left=0 if state in END_STATES else max(0, retries_allowed(job) - retries),
        attempts=attempts,
        created_at=job.created_at,
        enqueued_at=job.enqueued_at,
        started_at=job.started_at,
        ended_at=job.ended_at,
        worker=job.worker_name,
        batch_id=job.meta.get("batch"),
        depends_on=job._dependency_ids,
        waits_for=_waits_for(job) if state == "waiting" else None,
    )


def _progress(kept: bytes | None, state: str) -> Progress | None:
    """Return how far a job is: what has completed is through, whatever it said last."""
    if kept is None:
        return None
    progress = Progress.model_validate_json(kept)
    return progress.model_copy(update={"percent": 100.0}) if state == "completed" else progress


def _waits_for(job: Job) -> WaitsFor | None:
    if job._dependency_ids:
        return WaitsFor(reason="jobs", ids=job._dependency_ids)
    batch = job.meta.get("after_batch")
    return WaitsFor(reason="batch", ids=[batch]) if batch else None


def _add_outcome(view: JobView, results: list[tuple[bytes, dict[bytes, bytes]]]) -> None:
    if view.state == "completed" and results:
        entry_id, payload = results[0]
        result = Result.restore(view.id, entry_id.decode(), payload, connection=None, serializer=JSONSerializer)  # type: ignore[arg-type]
        view.result = result.return_value
    elif view.state == "failed":
        last = view.attempts[-1] if view.attempts else None
        view.error = (
            JobProblem(code=last.code, message=last.message)
            if last
            else JobProblem(code=JobError.code, message=str(JobError()))
        )
    elif view.state == "canceled":
        view.error = JobProblem(code=JobCanceled.code, message=str(JobCanceled()))


def _add_places(redis: Redis, views: list[JobView]) -> None:
    """Add where waiting jobs stand: their place in the queue, when they are due, or which jobs they still wait for."""
    queued = [view for view in views if view.state == "queued"]
    timed = [view for view in views if view.state in ("scheduled", "retrying")]
    parents = list(dict.fromkeys(job_id for view in views if view.waits_for for job_id in view.waits_for.ids))
    if not queued and not timed and not parents:
        return
    with redis.pipeline(transaction=False) as pipeline:
        for view in queued:
            pipeline.lpos(f"rq:queue:{view.queue}", view.id)
        for view in timed:
            pipeline.zscore(f"rq:scheduled:{view.queue}", view.id)
        for job_id in parents:
            pipeline.hget(Job.key_for(job_id), "status")
        found = pipeline.execute()
    for view, position in zip(queued, found, strict=False):
        view.position = position
    for view, due in zip(timed, found[len(queued) :], strict=False):
        view.next_attempt_at = None if due is None else datetime.fromtimestamp(due, UTC)
    statuses = dict(zip(parents, found[len(queued) + len(timed) :], strict=True))
    for view in views:
        if view.waits_for and view.waits_for.reason == "jobs":
            view.waits_for.ids = [job_id for job_id in view.waits_for.ids if not _has_ended(statuses[job_id])]


def _has_ended(status: bytes | None) -> bool:
    return status is None or CLIENT_STATES[JobStatus(status.decode())] in END_STATES


def attempt_record(number: int, started: datetime | None, worker: str, failure: Any) -> str:
    """Return a failed attempt as it is kept in Redis."""
    ended = datetime.now(UTC)
    seconds = (ended - started).total_seconds() if started else 0.0
    attempt = Attempt(
        number=number,
        started_at=started,
        ended_at=ended,
        seconds=round(seconds, 3),
        worker=worker,
        type=failure.type,
        code=failure.code,
        message=failure.message,
        retryable=failure.retryable,
    )
    return json.dumps(attempt.model_dump(mode="json"), ensure_ascii=False)
