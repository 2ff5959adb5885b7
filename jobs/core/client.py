"""Start jobs, look at them, stop them."""

import time
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

from pydantic import BaseModel, ValidationError
from redis import Redis
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from jobs.core import keys
from jobs.core.enqueue import NewJob, enqueue
from jobs.core.errors import InvalidArguments
from jobs.core.events import end_event
from jobs.core.reuse import fingerprint
from jobs.core.spec import get_job_type
from jobs.core.view import JobView, read_job, read_jobs

MAX_LISTED = 100


class WrongState(Exception):
    """The job's state does not allow that."""

    code = "wrong_state"

    def __init__(self, view: JobView) -> None:
        super().__init__(f"The job is {view.state}.")
        self.view = view


class JobClient:
    """Everything that may be asked of jobs.

    `result_ttl` is how many seconds an ended job is kept. `on_canceled` is told of a job that was canceled before a
    worker had it.
    """

    def __init__(self, redis: Redis, *, result_ttl: int, on_canceled: Callable[[Job], None] | None = None) -> None:
        self._redis = redis
        self._on_canceled = on_canceled
        self._ttl = result_ttl

    def start(
        self,
        name: str,
        args: BaseModel | dict[str, Any],
        *,
        tenant: str,
        queue: str | None = None,
        delay: float = 0,
        job_id: str | None = None,
        fresh: bool = False,
    ) -> str:
        """Put a job on its queue and return its id, or that of the job that does the same already.

        `delay` is in seconds. With a `job_id` of the caller's, a job that exists already is left as it is. `fresh`
        starts a job of a reusing type anew.

        Raises:
            UnknownJobType: no module declares `name`.
            InvalidArguments: `args` do not fit the type's model.
        """
        job_type = get_job_type(name)
        checked = _check(job_type.args_model, args)
        job = NewJob(
            id=job_id or uuid4().hex,
            tenant=tenant,
            type=name,
            args=checked.model_dump(mode="json"),
            queue=queue or job_type.queue,
            description=job_type.description(checked),
            timeout=job_type.timeout,
            retries=job_type.retries,
            ttl=self._ttl,
            due=time.time() + delay if delay > 0 else None,
            fingerprint=fingerprint(name, checked) if job_type.reuse else None,
            fresh=fresh,
            reuse_seconds=job_type.reuse,
        )
        return enqueue(self._redis, job)

    def get(self, tenant: str, job_id: str) -> JobView:
        """Return a job of the tenant.

        Raises:
            JobNotFound: the tenant has none of that id.
        """
        return read_job(self._redis, tenant, job_id)

    def list(self, tenant: str, *, before: float | None = None, limit: int = 20) -> "list[tuple[float, JobView]]":
        """Return a tenant's jobs with their creation times, newest first.

        `before` is the creation time to go on from, in seconds since 1970. Ended jobs that Redis has dropped are
        dropped from the tenant's index as they are met.
        """
        found: list[tuple[float, JobView]] = []
        upper: float | str = "+inf" if before is None else f"({before!r}"
        wanted = min(limit, MAX_LISTED)
        while len(found) < wanted:
            page = cast(
                "list[tuple[bytes, float]]",
                self._redis.zrange(
                    keys.jobs(tenant), upper, "-inf", byscore=True, desc=True, offset=0, num=wanted, withscores=True
                ),
            )
            views = read_jobs(self._redis, tenant, [job_id.decode() for job_id, _ in page])
            for (job_id, created), view in zip(page, views, strict=True):
                if view:
                    found.append((created, view))
                else:
                    self._redis.zrem(keys.jobs(tenant), job_id)
                upper = f"({created!r}"
            if len(page) < wanted:
                break
        return found[:wanted]

    def cancel(self, tenant: str, job_id: str) -> JobView:
        """Cancel a job. One that waits never starts; one that runs is stopped; a canceled one stays as it is.

        Raises:
            JobNotFound: the tenant has none of that id.
            WrongState: it has completed or failed.
        """
        view = self.get(tenant, job_id)
        if view.state == "canceled":
            return view
        if view.ended:
            raise WrongState(view)
        if view.state == "running":
            self._stop_running(tenant, view)
        else:
            self._cancel_waiting(tenant, job_id)
        return self.get(tenant, job_id)

    def requeue(self, tenant: str, job_id: str) -> JobView:
        """Put a failed job back on its queue, with a full set of attempts.

        Raises:
            JobNotFound: the tenant has none of that id.
            WrongState: it has not failed.
        """
        view = self.get(tenant, job_id)
        if view.state != "failed":
            raise WrongState(view)
        try:
            FailedJobRegistry(view.queue, connection=self._redis, serializer=JSONSerializer).requeue(job_id)
        except InvalidJobOperation:  # another request was quicker
            return self.get(tenant, job_id)
        return self.get(tenant, job_id)

    def _cancel_waiting(self, tenant: str, job_id: str) -> None:
        job = Job.fetch(job_id, connection=self._redis, serializer=JSONSerializer)
        try:
            job.cancel()
        except InvalidJobOperation:  # another request was quicker
            return
        if self._on_canceled:
            self._on_canceled(job)
        key = keys.events(tenant, job_id)
        with self._redis.pipeline() as pipeline:
            pipeline.expire(Job.key_for(job_id), self._ttl)
            pipeline.xadd(key, end_event("canceled"))  # type: ignore[arg-type]
            pipeline.expire(key, self._ttl)
            pipeline.execute()

    def _stop_running(self, tenant: str, view: JobView) -> None:
        """Tell the job at its next checkpoint, and its worker at once."""
        with self._redis.pipeline() as pipeline:
            pipeline.hset(keys.state(tenant, view.id), "cancel", "1")
            pipeline.expire(keys.state(tenant, view.id), self._ttl)
            pipeline.execute()
        try:
            send_stop_job_command(self._redis, view.id, serializer=JSONSerializer)
        except (InvalidJobOperation, NoSuchJobError):  # it ended between the look and the word
            return


def _check(model: type[BaseModel], args: BaseModel | dict[str, Any]) -> BaseModel:
    if isinstance(args, model):
        return args
    try:
        return model.model_validate(args)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, problem["loc"])) for problem in error.errors())
        raise InvalidArguments(f"These arguments do not fit: {fields}.") from None
