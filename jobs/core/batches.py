"""Batches: up to 10,000 jobs accepted in one step, with one state, counts, a callback at the end and one cancel.

Counts follow from RQ's status of each job, never from counters; docs/decisions/0010-batches.md says why not from
`rq.Group`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pydantic import BaseModel, Field
from redis import Redis
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import utcformat

from jobs.core import keys
from jobs.core.batch_intake import Intake, JobSpec, member_id
from jobs.core.client import stop_running
from jobs.core.errors import InvalidArguments, JobCanceled
from jobs.core.view import END_STATES, JobView, read_jobs
from jobs.core.worker_parts.outage import AWAY, Absence
from jobs.core.worker_parts.scripts import call
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import OPEN, AcceptedBatch

MAX_JOBS = 10_000
STATES = ("queued", "scheduled", "waiting", "running", "retrying", "paused", "completed", "failed", "canceled")
PIECE = 500  # jobs in one script
_READ = 200
_MAX_ROUNDS = 20  # looks for jobs in a state, before a page is given as it is
_ABANDONED = 600  # seconds after which a batch that is not started yet will not be
_TENDED = "offstage:batches:tended"
_TEND_EVERY = 20


class BatchNotFound(Exception):
    """There is no such batch, or it ended too long ago."""

    code = "batch_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class BatchEnded(Exception):
    """The batch has ended."""

    code = "wrong_state"

    def __init__(self, view: "BatchView") -> None:
        super().__init__(f"The batch is {view.state}.")
        self.view = view


class BatchView(BaseModel):
    """A batch as its owner sees it. Times are UTC."""

    id: str
    name: str = ""
    state: str = Field(description="running; completed, failed or canceled when every job has ended.")
    total: int
    counts: dict[str, int] = Field(description="How many of its jobs are in each state.")
    created_at: datetime
    started_at: datetime | None = Field(default=None, description="When its first job started.")
    ended_at: datetime | None = Field(default=None, description="When its last job ended, the first time.")
    canceled_at: datetime | None = Field(default=None, description="When it was canceled as a whole.")
    callback_id: str | None = Field(default=None, description="The job that starts when all have ended.")

    @property
    def open(self) -> int:
        """How many of its jobs have not ended."""
        return sum(number for state, number in self.counts.items() if state not in END_STATES)


@dataclass(frozen=True)
class BatchPage:
    """Some jobs of a batch. `next` is the place to go on from; None when there is no more and none will come."""

    jobs: list[JobView]
    next: int | None


class BatchClient:
    """Everything that may be asked of batches.

    `result_ttl` is how many seconds an ended one is kept, `piece` how many jobs are started or canceled in one script.
    With a store of `work`, a batch is committed there first, and survives the loss of Redis.
    """

    def __init__(self, redis: Redis, *, result_ttl: int, piece: int = PIECE, work: WorkStore | None = None) -> None:
        self._redis, self._piece = redis, piece
        self._ttl = result_ttl
        self._work = work
        self._absence = Absence()

    def start(
        self,
        jobs: Sequence[JobSpec],
        *,
        tenant: str,
        name: str = "",
        on_complete: JobSpec | None = None,
        batch_id: str | None = None,
    ) -> str:
        """Start all of the jobs, or none, and return the batch's id.

        `on_complete` starts once, when all have ended, however they did; the batch's id is put into its `batch_id`, if
        it has such an argument. With a `batch_id` of the caller's, a batch that is there is left as it is, and what an
        earlier attempt left half done is done anew. Fingerprints do not count here: every job is one of its own.

        Raises:
            UnknownJobType, InvalidArguments, UnknownDependency: of one of the jobs; the text names it by its number.
            BatchOvertaken: the same `batch_id` was started by somebody else meanwhile.
        """
        if not 0 < len(jobs) <= MAX_JOBS:
            raise InvalidArguments(f"A batch has 1 to {MAX_JOBS} jobs.")
        batch_id = batch_id or uuid4().hex
        intake = Intake(self._redis, tenant, batch_id, self._ttl, self._piece, self._work, self._absence)
        intake.start(jobs, name, on_complete)
        return batch_id

    def get(self, tenant: str, batch_id: str) -> BatchView:
        """Return a batch of the tenant.

        Raises:
            BatchNotFound: the tenant has none of that id.
        """
        found = None
        try:
            if not self._absence:
                found = look(self._redis, tenant, batch_id)
        except AWAY:
            self._absence.note()
        found = found or self._as_accepted(tenant, batch_id)
        if found is None:
            raise BatchNotFound
        return found

    def accepted(self, tenant: str, *, before: int | None = None, limit: int = 20) -> list[AcceptedBatch]:
        """Return a tenant's batches as they were accepted, newest first, from right before a number on."""
        return self._work.list_batches(tenant, before=before, limit=limit) if self._work else []

    def _as_accepted(self, tenant: str, batch_id: str) -> BatchView | None:
        """Return a batch that Redis does not know, as its rows have it."""
        batch = self._work.batch(tenant, batch_id) if self._work else None
        if batch is None or self._work is None:
            return None
        jobs = (one for one in self._work.of_batch(batch_id) if one.id != batch.callback_id)
        states = Counter(one.state for one in jobs)
        counts = {state: states[state] for state in STATES} | {"queued": states[OPEN]}
        return BatchView(
            id=batch.id,
            name=batch.name,
            state=_state(counts, {}),
            total=batch.total,
            counts=counts,
            created_at=batch.created_at,
            callback_id=batch.callback_id,
        )

    def _bring_back(self, tenant: str, batch_id: str) -> None:
        """Start an accepted batch that Redis does not have: nothing of it could be canceled."""
        batch = self._work.batch(tenant, batch_id) if self._work else None
        if batch and self._work and batch.state == OPEN and look(self._redis, tenant, batch_id) is None:
            Intake(self._redis, tenant, batch_id, self._ttl, self._piece).rebuild(self._work, batch)

    def jobs(
        self, tenant: str, batch_id: str, *, state: str | None = None, after: int = 0, limit: int = 20
    ) -> BatchPage:
        """Return some of a batch's jobs, from a place on.

        Those that have ended in one `state` come in the order of their ends, so that the same place asked again later
        has what came since; others in the order of the batch.

        Raises:
            BatchNotFound: the tenant has none of that id.
        """
        view = self.get(tenant, batch_id)
        if state in END_STATES:
            return self._ended_jobs(tenant, view, str(state), after, limit)
        found: list[JobView] = []
        for _ in range(_MAX_ROUNDS):
            numbers = range(after, min(after + _READ, view.total))
            for number, job in zip(numbers, self._read(tenant, batch_id, numbers), strict=True):
                if job and state in (None, job.state):
                    found.append(job)
                    if len(found) == limit:
                        return BatchPage(found, number + 1 if number + 1 < view.total else None)
            after = numbers.stop
            if after >= view.total:
                return BatchPage(found, None)
        return BatchPage(found, after)

    def _ended_jobs(self, tenant: str, view: BatchView, state: str, after: int, limit: int) -> BatchPage:
        key = f"{keys.batch(tenant, view.id)}:{state}"
        numbers: Any = self._redis.lrange(key, after, after + limit - 1)
        jobs = self._read(tenant, view.id, [int(number) for number in numbers])
        last = view.ended_at is not None and len(numbers) < limit
        return BatchPage([job for job in jobs if job], None if last else after + len(numbers))

    def _read(self, tenant: str, batch_id: str, numbers: Sequence[int]) -> list[JobView | None]:
        return read_jobs(self._redis, tenant, [member_id(batch_id, number) for number in numbers])

    def cancel(self, tenant: str, batch_id: str) -> BatchView:
        """Cancel what has not ended. Its callback starts all the same; canceling twice is canceling once.

        Raises:
            BatchNotFound: the tenant has none of that id.
            BatchEnded: every job has ended, and it was not canceled.
        """
        self._bring_back(tenant, batch_id)
        view = self.get(tenant, batch_id)
        if view.ended_at and not view.canceled_at:
            raise BatchEnded(view)
        _cancel(self._redis, tenant, batch_id, view.total, self._ttl, self._piece)
        if self._work:  # all at once; one that is running and completes all the same is recorded as completed
            self._work.cancel_batch(batch_id, JobCanceled.code, str(JobCanceled()), callback_id=view.callback_id or "")
        return self.get(tenant, batch_id)


def look(redis: Redis, tenant: str, batch_id: str) -> BatchView | None:
    """Return a batch, or None if there is none. Ends that nobody told of are seen here."""
    found = call(redis, "batch_look", [], _args(tenant, batch_id))
    if not found:
        return None
    raw = {name.decode(): value.decode() for name, value in zip(found[0][::2], found[0][1::2], strict=True)}
    counted = {state.decode(): number for state, number in zip(found[1][::2], found[1][1::2], strict=True)}
    counts = {state: counted.get(state, 0) for state in STATES}
    starts = filter(None, (raw.pop("started_at", ""), found[2].decode()))
    raw.pop("state", None)
    return BatchView.model_validate(
        {**raw, "id": batch_id, "counts": counts, "state": _state(counts, raw), "started_at": min(starts, default=None)}
    )


def tend(redis: Redis) -> None:
    """See to every batch that is under way: close it if its last job ended untold, cancel what a cancel did not reach,
    remove what was never started. One process at a time does so."""
    if not redis.set(_TENDED, "1", nx=True, ex=_TEND_EVERY):
        return
    listed: Any = redis.zrange("offstage:batches", 0, -1, withscores=True)
    for member, began in listed:
        tenant, _, batch_id = member.decode().partition("/")
        view = look(redis, tenant, batch_id)
        if view is None:
            if began < datetime.now(UTC).timestamp() - _ABANDONED:
                call(redis, "batch_wipe", [], [RQ_KEY_PREFIX, tenant, batch_id, ""])
        elif view.canceled_at and not view.ended_at:
            _cancel(redis, tenant, batch_id, view.total, int(redis.hget(keys.batch(tenant, batch_id), "ttl") or 0))


def _cancel(redis: Redis, tenant: str, batch_id: str, total: int, ttl: int, piece: int = PIECE) -> None:
    step = 2 * piece  # each script goes through the queues once
    for first in range(0, total, step):
        running = call(redis, "batch_cancel", [], [*_args(tenant, batch_id), first, step])
        for job_id in running:
            stop_running(redis, tenant, job_id.decode(), ttl)


def _state(counts: Mapping[str, int], raw: Mapping[str, str]) -> str:
    if any(number for state, number in counts.items() if state not in END_STATES):
        return "running"
    if "canceled_at" in raw:
        return "canceled"
    return next((state for state in ("failed", "canceled") if counts[state]), "completed")


def _args(tenant: str, batch_id: str) -> list[Any]:
    now = datetime.now(UTC)
    return [RQ_KEY_PREFIX, tenant, batch_id, utcformat(now), now.timestamp()]
