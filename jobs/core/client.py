"""Start jobs, look at them, stop them."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from redis import Redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from jobs.core import dependencies, keys
from jobs.core.acceptance import Acceptance
from jobs.core.enqueue import OnDependencyFailure, Options, enqueue, prepare
from jobs.core.listing import JobFilter, Page, Place
from jobs.core.view import JobNotFound, JobView, read_job, read_jobs
from jobs.core.webhooks import Webhook, follow
from jobs.core.worker_parts.outage import AWAY
from jobs.core.worker_parts.scripts import call
from jobs.stores.work import WorkStore

MAX_ROUNDS = 20  # looks for jobs that fit a filter, before a page is given as it is
PREFIX = "rq"


class WrongState(Exception):
    """The job's state does not allow that."""

    code = "wrong_state"

    def __init__(self, view: JobView) -> None:
        super().__init__(f"The job is {view.state}.")
        self.view = view


class JobClient:
    """Everything that may be asked of jobs.

    `result_ttl` is how many seconds an ended job is kept. `on_canceled` is told of a job that was canceled before a
    worker had it. With a store of `work`, what is started is committed there first, and survives the loss of Redis.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        result_ttl: int,
        on_canceled: Callable[[Job], None] | None = None,
        work: WorkStore | None = None,
    ) -> None:
        self._redis = redis
        self._on_canceled = on_canceled
        self._ttl = result_ttl
        self._acceptance = Acceptance(redis, work) if work else None

    def start(
        self,
        name: str,
        args: BaseModel | dict[str, Any],
        *,
        tenant: str,
        queue: str | None = None,
        timeout: int | None = None,
        retries: int | None = None,
        due: float | None = None,
        job_id: str | None = None,
        fresh: bool = False,
        depends_on: Sequence[str] = (),
        on_dependency_failure: OnDependencyFailure = "cancel",
        keep: int | None = None,
        webhook: Webhook | None = None,
        parent: str | None = None,
    ) -> str:
        """Put a job on its queue and return its id, or that of the job that does the same already.

        The options are those of `Options`; `webhook` is told of the end, a `parent` takes it along. With a `job_id` of
        the caller's, a job that exists is left as it is. With Redis away, work that is kept in the database is
        enqueued later.

        Raises:
            UnknownJobType: no module declares `name`.
            InvalidArguments: `args` do not fit the type's model.
            UnknownDependency: the tenant has no job of an id in `depends_on`.
            TooManyWebhooks: the job that does the same has its share.
        """
        options = Options(queue, timeout, retries, due, fresh, depends_on, on_dependency_failure, keep)
        job = prepare(name, args, tenant, self._ttl, options, job_id, {"parent": parent} if parent else {})
        if self._acceptance:
            return self._acceptance.accept(job, webhook)
        started = enqueue(self._redis, job)
        if webhook:
            follow(self._redis, tenant, started, webhook, ttl=job.ttl)
        return started

    def get(self, tenant: str, job_id: str, *, kind: str | None = None) -> JobView:
        """Return a job of the tenant, of one type only if `kind` names it.

        Raises:
            JobNotFound: the tenant has none of that id.
        """
        view = self._get(tenant, job_id)
        if kind not in (None, view.type):
            raise JobNotFound
        return view

    def steps(self, tenant: str, job_id: str) -> dict[str, bytes]:
        """Return the finished steps of a tenant's job: their results as JSON, by name."""
        found: Any = self._redis.hgetall(keys.steps(tenant, job_id))
        steps = {name.decode(): result for name, result in found.items()}
        return {name: result for name, result in steps.items() if not name.startswith(keys.COUNT)}

    def _get(self, tenant: str, job_id: str) -> JobView:
        if self._acceptance is None:
            return read_job(self._redis, tenant, job_id)
        try:
            if not self._acceptance.redis_is_away:
                return read_job(self._redis, tenant, job_id)
        except AWAY:
            self._acceptance.mark_away()
        except JobNotFound:
            pass
        view = self._acceptance.view(tenant, job_id)
        if view is None:
            raise JobNotFound
        return view

    def list(self, tenant: str, *, after: Place | None = None, limit: int = 20, only: JobFilter | None = None) -> Page:
        """Return a tenant's jobs, newest first, from right after a place on.

        Ended jobs that Redis has dropped are dropped from the tenant's index as they are met. A filter that fits few
        jobs may give a page with less than `limit`, or none, and still a place to go on from.
        """
        found: list[JobView] = []
        for _ in range(MAX_ROUNDS):
            start = self._rank(tenant, after)
            ids: Any = self._redis.zrange(keys.jobs(tenant), start, start + limit - 1, desc=True, withscores=True)
            for (job_id, created), view in zip(ids, self._read(tenant, ids), strict=True):
                after = Place(created, job_id.decode())
                if view and (only is None or only.fits(view)):
                    found.append(view)
                    if len(found) == limit:
                        return Page(found, after)
            if len(ids) < limit:
                return Page(found, None)
        return Page(found, after)

    def _rank(self, tenant: str, after: Place | None) -> int:
        """Return how many jobs of the list come before a place; jobs may have come or gone since it was given out."""
        if after is None:
            return 0
        rank: Any = self._redis.zrevrank(keys.jobs(tenant), after.job_id)
        return self._redis.zcount(keys.jobs(tenant), f"({after.created!r}", "+inf") if rank is None else int(rank) + 1

    def _read(self, tenant: str, ids: Any) -> Sequence[JobView | None]:
        views = read_jobs(self._redis, tenant, [job_id.decode() for job_id, _ in ids])
        if gone := [job_id for (job_id, _), view in zip(ids, views, strict=True) if view is None]:
            self._redis.zrem(keys.jobs(tenant), *gone)
        return views

    def pause(self, tenant: str, job_id: str) -> JobView:
        """Pause a job, and its children. One that waits does not start; one that runs leaves at its next checkpoint and
        frees its worker.

        Raises:
            JobNotFound: the tenant has none of that id.
            WrongState: it has ended, or waits for a batch.
        """
        view = self.present(tenant, job_id)
        if not call(self._redis, "pause", [], [PREFIX, job_id, keys.state(tenant, job_id)]):
            raise WrongState(view)
        self._for_children(tenant, job_id, self.pause)
        return self.get(tenant, job_id)

    def resume(self, tenant: str, job_id: str) -> JobView:
        """Let a paused job go on, after its last finished step, and its children. One that is under way stays so.

        Raises:
            JobNotFound: the tenant has none of that id.
            WrongState: it has ended.
        """
        view, now = self.present(tenant, job_id), datetime.now(UTC)
        args = [PREFIX, job_id, keys.state(tenant, job_id), utcformat(now), now.timestamp()]
        resumed = call(self._redis, "resume", [], args)
        if not self._for_children(tenant, job_id, self.resume) and not resumed and view.ended:
            raise WrongState(view)
        return self.get(tenant, job_id)

    def delete(self, tenant: str, job_id: str) -> None:
        """Forget an ended job, with its result, attempts and events.

        Raises:
            JobNotFound: the tenant has none of that id.
            WrongState: it has not ended.
        """
        view = self.get(tenant, job_id)
        if not view.ended:
            raise WrongState(view)
        dependencies.settle(self._redis, job_id)
        if self._acceptance:  # first: a row without a job would be started again
            self._acceptance.store.delete(tenant, job_id)
        with suppress(NoSuchJobError):
            Job.fetch(job_id, connection=self._redis, serializer=JSONSerializer).delete()
        with self._redis.pipeline() as pipeline:
            pipeline.delete(*keys.of_job(tenant, job_id))
            pipeline.zrem(keys.jobs(tenant), job_id)
            pipeline.execute()

    def cancel(self, tenant: str, job_id: str) -> JobView:
        """Cancel a job, and its children. One that waits never starts; one that runs is stopped.

        Raises:
            JobNotFound: the tenant has none of that id.
            WrongState: it has completed or failed.
        """
        view = self.present(tenant, job_id)
        if view.state == "canceled":
            return view
        if view.ended:
            raise WrongState(view)
        waited = dependencies.cancel(self._redis, job_id)
        if not waited:
            stop_running(self._redis, tenant, job_id, self._ttl)
        self._for_children(tenant, job_id, self.cancel)
        view = self.get(tenant, job_id)
        if waited and self._acceptance:
            self._acceptance.mirror(view)
        if waited and self._on_canceled:
            dependencies.tell_canceled(self._redis, self._on_canceled)
        return view

    def requeue(self, tenant: str, job_id: str) -> JobView:
        """Put a failed job back on its queue, with a full set of attempts.

        Raises:
            JobNotFound: the tenant has none of that id.
            WrongState: it has not failed.
        """
        view = self.get(tenant, job_id)
        if view.state != "failed":
            raise WrongState(view)
        if self._acceptance and self._acceptance.reopen(tenant, job_id):
            return self.get(tenant, job_id)
        try:
            FailedJobRegistry(view.queue, connection=self._redis, serializer=JSONSerializer).requeue(job_id)
        except InvalidJobOperation:  # another request was quicker
            return self.get(tenant, job_id)
        return self.get(tenant, job_id)

    def present(self, tenant: str, job_id: str) -> JobView:
        """Return a job that is to be acted on, and give Redis what it has lost of it. Raises as `get`."""
        try:
            return read_job(self._redis, tenant, job_id)
        except JobNotFound:
            if self._acceptance and self._acceptance.bring_back(tenant, job_id):
                return read_job(self._redis, tenant, job_id)
        return self.get(tenant, job_id)

    def _for_children(self, tenant: str, job_id: str, act: Callable[[str, str], JobView]) -> int:
        """Do to a job's children what was done to it, where their state allows it; return of how many it did."""
        children: Any = self._redis.smembers(keys.children(tenant, job_id))
        done = 0
        for child in children:
            with suppress(JobNotFound, WrongState):
                act(tenant, child.decode())
                done += 1
        return done


def stop_running(redis: Redis, tenant: str, job_id: str, ttl: int) -> None:
    """Tell a job to stop: itself at its next checkpoint, and its worker at once. The word is kept `ttl` seconds."""
    with redis.pipeline() as pipeline:
        pipeline.hset(keys.state(tenant, job_id), "cancel", "1")
        pipeline.expire(keys.state(tenant, job_id), ttl)
        pipeline.execute()
    try:
        send_stop_job_command(redis, job_id, serializer=JSONSerializer)
    except (InvalidJobOperation, NoSuchJobError):  # it ended between the look and the word
        return
