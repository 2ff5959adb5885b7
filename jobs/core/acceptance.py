"""Accepted means done: work is committed in the database before it is enqueued, and enqueued anew if Redis loses it.

With Redis away, accepted work waits in the database; `maintenance.reconcile` enqueues it when Redis is back.
"""

import json
import logging
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from rq.job import Job

from jobs.core.enqueue import NewJob, UnknownDependency, enqueue
from jobs.core.errors import JobCanceled
from jobs.core.view import JobNotFound, JobProblem, JobView, read_job
from jobs.core.webhooks import MAX_WEBHOOKS, TooManyWebhooks, Webhook, WebhookView, add_webhook, follow
from jobs.core.worker_parts.outage import AWAY, Absence
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import CANCELED, COMPLETED, FAILED, OPEN, NewWork, Taken, Work

_CONTENT = ("args", "queue", "description", "timeout", "retries", "ttl", "due", "depends_on", "runs_anyway", "marks")
log = logging.getLogger(__name__)


class Acceptance:
    """Takes work in, and gives Redis what it has lost."""

    def __init__(self, redis: Redis, store: WorkStore) -> None:
        self._redis = redis
        self.store = store
        self._absence = Absence()

    @property
    def redis_is_away(self) -> bool:
        """Whether Redis did not answer a moment ago: asking again would take as long."""
        return bool(self._absence)

    def mark_away(self) -> None:
        """Note that Redis does not answer."""
        self._absence.note()

    def accept(self, job: NewJob, webhook: Webhook | None = None) -> str:
        """Commit a job, enqueue it if Redis is there, and return the id of the job that does the work.

        Raises:
            UnknownDependency: the tenant has no job of an id that it is to depend on; nothing was accepted.
            TooManyWebhooks: the job that does the work has its share.
        """
        job = accepted(job)
        taken = self._take(job, webhook)
        if taken.is_new:
            self._begin(job, webhook)
            return taken.id
        if taken.id == job.id and taken.state == OPEN:  # sent again: whoever accepted it may not have come to this
            self._begin(job, None, again=True)
        if webhook:
            self._follow(job, taken.id, webhook)
        return taken.id

    def restore(self, work: Work, *, rebuilt: bool = False) -> None:
        """Enqueue work that Redis does not have. `rebuilt`: what failed or was canceled before does not run again."""
        job, webhooks = new_job(work, rebuilt=rebuilt)
        parents = open_parents(self.store, job)
        if parents is None:
            return
        for webhook in webhooks:
            add_webhook(self._redis, work.tenant, work.id, webhook, ttl=job.ttl)
        enqueue(self._redis, replace(job, depends_on=parents, fresh=True))

    def bring_back(self, tenant: str, job_id: str) -> bool:
        """Enqueue a tenant's open work that Redis does not have; return whether there is such work."""
        work = self.store.get(tenant, job_id)
        if work is None or work.state != OPEN:
            return False
        self.restore(work)
        return True

    def reopen(self, tenant: str, job_id: str) -> bool:
        """Enqueue a tenant's ended work once more if Redis does not have it; return whether that was so."""
        work = self.store.get(tenant, job_id)
        if work is None or self._redis.exists(Job.key_for(job_id)):
            return False  # one that Redis has is reopened by the attempt that claims it
        self.store.reopen(job_id)
        self.restore(work)
        return True

    def view(self, tenant: str, job_id: str) -> JobView | None:
        """Return a tenant's job as its row has it, or None without one."""
        work = self.store.get(tenant, job_id)
        return view_of(work) if work else None

    def mirror(self, view: JobView, generation: int | None = None) -> None:
        """Record an end that Redis knows of and the row does not, as when `rq` or a dashboard made it."""
        if view.state == COMPLETED:
            self.store.complete(view.id, generation, json.dumps(view.result, ensure_ascii=False))
        elif view.ended and view.error:
            self.store.end(view.id, view.state, view.error.code, view.error.message, generation=generation)

    def _take(self, job: NewJob, webhook: Webhook | None) -> Taken:
        new = new_work(job, webhook)
        while True:
            taken = self.store.accept(new)
            if taken.id == job.id or taken.state != OPEN or not self._has_ended(job.tenant, taken.id):
                return taken

    def _follow(self, job: NewJob, taken: str, webhook: Webhook) -> None:
        """Give a job that was there before one more webhook; what Redis does not take now, the reconciler sees to."""
        self.store.add_webhook(job.tenant, taken, lambda content: _with_webhook(content, webhook))
        if self.redis_is_away:
            return
        try:
            if not follow(self._redis, job.tenant, taken, webhook, ttl=job.ttl):
                self.bring_back(job.tenant, taken)
        except AWAY:
            self.mark_away()

    def _has_ended(self, tenant: str, job_id: str) -> bool:
        """Look whether open work was ended by others than us; then its row says so from now on."""
        if self.redis_is_away:
            return False
        try:
            view = read_job(self._redis, tenant, job_id)
        except JobNotFound:
            return False
        except AWAY:
            self.mark_away()
            return False
        if view.ended:
            self.mirror(view)
        return view.ended

    def _begin(self, job: NewJob, webhook: Webhook | None, *, again: bool = False) -> None:
        """Enqueue work. What is refused leaves no row, which the reconciler would start; what fails when it is sent
        `again` was acknowledged before, and stays."""
        try:
            self._enqueue(job, webhook)
        except Exception as error:
            if isinstance(error, UnknownDependency) or not again:
                self.store.delete(job.tenant, job.id)
            raise

    def _enqueue(self, job: NewJob, webhook: Webhook | None) -> None:
        """Enqueue accepted work; that comes later if Redis is away, or has lost what this depends on."""
        if self.redis_is_away:
            self._check_parents(job)
            return
        try:
            if webhook:
                add_webhook(self._redis, job.tenant, job.id, webhook, ttl=job.ttl)
            enqueue(self._redis, replace(job, fresh=True))  # whether another does the same, the database has decided
        except UnknownDependency:
            self._check_parents(job)
            self._try_to_bring_back(job)
        except AWAY as error:
            log.error("Redis does not do its work, job %s is enqueued later: %s", job.id, error)
            self.mark_away()
            self._check_parents(job)

    def _check_parents(self, job: NewJob) -> None:
        """Look for what a job depends on among accepted work.

        Raises:
            UnknownDependency: there is no such job.
        """
        known = self.store.known(job.tenant, job.depends_on) if job.depends_on else {}
        for job_id in job.depends_on:
            if job_id not in known:
                raise UnknownDependency(job_id)

    def _try_to_bring_back(self, job: NewJob) -> None:
        with suppress(UnknownDependency):  # what it waits for is open, and comes back first
            self.bring_back(job.tenant, job.id)


def accepted(job: NewJob) -> NewJob:
    """Return a job that knows of its row."""
    return replace(job, marks={**job.marks, "work": True})


def open_parents(store: WorkStore, job: NewJob) -> list[str] | None:
    """Return which jobs an accepted one still waits for; None if one of them did not complete, and this one is not to
    run for that. Its row says so then."""
    known = store.known(job.tenant, job.depends_on) if job.depends_on else {}
    failed = next((one for one in known.values() if one.state in (FAILED, CANCELED)), None)
    if failed and not job.runs_anyway:
        store.end(job.id, CANCELED, "dependency_failed", f"The job {failed.id} did not complete.")
        return None
    return [job_id for job_id in job.depends_on if job_id in known and known[job_id].state == OPEN]


def new_work(job: NewJob, webhook: Webhook | None = None, batch_id: str | None = None) -> NewWork:
    """Return a job as the database keeps it."""
    return NewWork(
        id=job.id,
        tenant=job.tenant,
        type=job.type,
        content=content(job, webhook),
        keep=job.ttl,
        fingerprint=job.fingerprint,
        fresh=job.fresh,
        reuse_seconds=job.reuse_seconds,
        batch_id=batch_id,
        webhooks=1 if webhook else 0,
    )


def content(job: NewJob, webhook: Webhook | None = None) -> str:
    """Return what it takes to enqueue a job, as JSON."""
    fields: dict[str, Any] = {name: getattr(job, name) for name in _CONTENT}
    fields["webhooks"] = [vars(webhook)] if webhook else []
    return _dump(fields)


def _with_webhook(content: str, webhook: Webhook) -> str | None:
    fields = json.loads(content)
    if vars(webhook) in fields["webhooks"]:
        return None
    if len(fields["webhooks"]) == MAX_WEBHOOKS:
        raise TooManyWebhooks
    return _dump({**fields, "webhooks": [*fields["webhooks"], vars(webhook)]})


def _dump(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=dict)


def new_job(work: Work, *, rebuilt: bool = False) -> tuple[NewJob, list[Webhook]]:
    """Return the job of accepted work, ready to be enqueued, and its webhooks."""
    fields = json.loads(work.content)
    webhooks = [Webhook(**webhook) for webhook in fields.pop("webhooks", [])]
    if rebuilt:
        fields["marks"]["rebuilt"] = True
    return NewJob(id=work.id, tenant=work.tenant, type=work.type, **fields), webhooks


def view_of(work: Work) -> JobView:
    """Return a job as its row has it: what it said while it ran, and its attempts, are not among that."""
    job, webhooks = new_job(work)
    due = datetime.fromtimestamp(job.due, UTC) if job.due and job.due > time.time() else None
    return JobView(
        id=work.id,
        type=work.type,
        description=job.description,
        state=work.state if work.state != OPEN else "scheduled" if due else "queued",
        queue=job.queue,
        attempt=max(1, work.generation),
        retries_left=job.retries if work.state == OPEN else 0,
        attempts=[],
        created_at=work.created_at,
        ended_at=work.ended_at,
        next_attempt_at=due,
        batch_id=work.batch_id,
        depends_on=list(job.depends_on),
        result=json.loads(work.result) if work.result else None,
        error=_problem(work),
        webhooks=[WebhookView(host=webhook.host, deliveries=[]) for webhook in webhooks],
        from_row=True,
    )


def _problem(work: Work) -> JobProblem | None:
    if work.error_code:
        return JobProblem(code=work.error_code, message=work.error_message or "")
    return JobProblem(code=JobCanceled.code, message=str(JobCanceled())) if work.state == CANCELED else None
