"""How a batch is taken in: its jobs are written in pieces, on no queue, and one last step starts them all.

A process or Redis that dies in between leaves nothing that runs; sending it again begins anew, and what nobody sends
again is removed.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from redis import Redis
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import utcformat

from jobs.core.acceptance import accepted, new_job, new_work, open_parents
from jobs.core.enqueue import NewJob, Options, UnknownDependency, prepare
from jobs.core.errors import InvalidArguments
from jobs.core.spec import get_job_type
from jobs.core.worker_parts.outage import AWAY, Absence
from jobs.core.worker_parts.scripts import call
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import OPEN, AcceptedBatch

CALLBACK = 2**32 - 1  # stands for a number
log = logging.getLogger(__name__)


class BatchOvertaken(Exception):
    """The same batch was sent again while this request was under way; that one counts."""

    code = "in_flight"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class JobSpec:
    """A job to be started: its type's name, its arguments, and how."""

    type: str
    args: BaseModel | Mapping[str, Any]
    options: Options = field(default_factory=Options)


def member_id(batch_id: str, number: int) -> str:
    """Return the id of a batch's job.

    It follows from its number, so that no list of ids is kept, and sending a batch again starts nothing twice.
    """
    return f"{batch_id[:24]}{number:08x}"


class Intake:
    """One attempt to start a batch; `piece` is how many jobs go into one script."""

    def __init__(
        self,
        redis: Redis,
        tenant: str,
        batch_id: str,
        ttl: int,
        piece: int,
        work: WorkStore | None = None,
        absence: Absence | None = None,
    ) -> None:
        self._redis, self._piece, self._work = redis, piece, work
        self._absence = absence or Absence()
        self._batch = [RQ_KEY_PREFIX, tenant, batch_id]
        self._tenant, self._id, self._ttl = tenant, batch_id, ttl
        self._token = uuid4().hex

    def start(self, specs: Sequence[JobSpec], name: str, on_complete: JobSpec | None) -> None:
        """Check every job, then start them all, or none.

        Raises:
            InvalidArguments, UnknownDependency: one of them cannot be started; nothing is.
            BatchOvertaken: the batch was sent again meanwhile.
        """
        jobs = [self._prepare(number, spec) for number, spec in enumerate(specs)]
        callback = self._prepare_callback(on_complete) if on_complete else None
        now = datetime.now(UTC)
        if self._work is None:
            self._put(jobs, callback, name, now)
            return
        jobs, callback = [accepted(job) for job in jobs], accepted(callback) if callback else None
        batch = AcceptedBatch(self._id, self._tenant, name, len(jobs), callback.id if callback else None, OPEN, now)
        rows = [new_work(job, batch_id=self._id) for job in (*jobs, *([callback] if callback else []))]
        self._work.accept_batch(batch, rows)
        if self._absence:
            return
        try:
            self._put(jobs, callback, name, now)
        except BatchOvertaken:  # by the reconciler, or by the same request sent again: it is accepted, and started
            return
        except AWAY as error:
            self._absence.note()
            log.error("Redis does not do its work, batch %s is started later: %s", self._id, error)
        except Exception:  # what is refused leaves no row: the reconciler would start it
            self._work.delete_batch(self._id)
            raise

    def rebuild(self, store: WorkStore, batch: AcceptedBatch) -> None:
        """Start an accepted batch that Redis has lost.

        All of its jobs are enqueued: those that have ended find their outcome, and do not run again.
        """
        jobs, callback = [], None
        for work in store.of_batch(batch.id):
            job, _ = new_job(work, rebuilt=True)
            if job.id == batch.callback_id:
                callback = job
            else:
                jobs.append(replace(job, depends_on=open_parents(store, job) or ()))
        self._put(jobs, callback, batch.name, batch.created_at)

    def _put(self, jobs: Sequence[NewJob], callback: NewJob | None, name: str, now: datetime) -> None:
        """Write all into Redis, and start them in the last step."""
        if not self._call("batch_open", now.timestamp(), *self._fields(jobs, name, now)):
            return  # it is there
        try:
            for first in range(0, len(jobs), self._piece):
                piece = [part for job in jobs[first : first + self._piece] for part in _entry(job, now)]
                self._check(self._call("batch_fill", first, *piece))
        except UnknownDependency:
            self._call("batch_wipe")
            raise
        self._check(self._call("batch_start", *self._start_args(callback)))

    def _prepare(self, number: int, spec: JobSpec) -> NewJob:
        marks = {"batch": self._id, "index": number}
        job_id = member_id(self._id, number)
        try:
            return prepare(spec.type, spec.args, self._tenant, self._ttl, spec.options, job_id, marks)
        except InvalidArguments as error:
            raise InvalidArguments(f"Job {number}: {error}") from None

    def _prepare_callback(self, spec: JobSpec) -> NewJob:
        args = spec.args
        if isinstance(args, Mapping) and "batch_id" in get_job_type(spec.type).args_model.model_fields:
            args = {"batch_id": self._id, **args}
        marks = {"after_batch": self._id}
        job_id = member_id(self._id, CALLBACK)
        try:
            return prepare(spec.type, args, self._tenant, self._ttl, spec.options, job_id, marks)
        except InvalidArguments as error:
            raise InvalidArguments(f"on_complete: {error}") from None

    def _fields(self, jobs: Sequence[NewJob], name: str, now: datetime) -> list[Any]:
        queues = ",".join(sorted({job.queue for job in jobs}))
        fields = {"name": name, "created_at": utcformat(now), "total": len(jobs), "ttl": self._ttl, "queues": queues}
        return _flat(fields)

    def _start_args(self, callback: NewJob | None) -> list[Any]:
        now = datetime.now(UTC)
        times = [utcformat(now), now.timestamp()]
        return [*times, callback.id, *_flat(callback.fields(now))] if callback else [*times, ""]

    def _call(self, name: str, *args: Any) -> Any:
        return call(self._redis, name, [], [*self._batch, self._token, *args])

    def _check(self, reply: Any) -> None:
        if isinstance(reply, list):
            raise UnknownDependency(reply[0].decode())
        if not reply:
            raise BatchOvertaken


def _entry(job: NewJob, now: datetime) -> Iterator[Any]:
    """Yield a job as the fill script reads it."""
    fields = _flat(job.fields(now))
    yield from (job.queue, "1" if job.due or job.depends_on else "0", len(job.depends_on), *job.depends_on)
    yield len(fields)
    yield from fields


def _flat(fields: Mapping[str, Any]) -> list[Any]:
    return [part for item in fields.items() for part in item]
