"""The one function that RQ executes, and what happens when an attempt fails.

RQ sees three outcomes: a result; a returned `Retry`, for another attempt after a wait of this error's own; or the
exception, when the job has failed for good.
"""

import json
import logging
import os
import random
import time
from functools import cache
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

from rq import Retry, get_current_job
from rq.job import Job
from rq.timeouts import JobTimeoutException
from rq.utils import now
from sqlalchemy.exc import SQLAlchemyError

from jobs.core import keys
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import (
    Interrupted,
    InvalidArguments,
    JobCanceled,
    JobError,
    JobTimeout,
    KeptFailure,
    Postponed,
    ResourceLimitExceeded,
    UnknownJobType,
)
from jobs.core.events import add_event
from jobs.core.job import retries_allowed
from jobs.core.shutdown import stop_if_asked
from jobs.core.spec import Failure, JobType, discover, get_job_type
from jobs.core.statistics import attempt_failed
from jobs.core.view import attempt_record
from jobs.core.worker_parts.outage import AWAY, until_back, waits
from jobs.stores.database import is_away
from jobs.stores.work_rows import CANCELED, COMPLETED, FAILED, Work

if TYPE_CHECKING:
    from jobs.services import Services

log = logging.getLogger(__name__)

UNEXPECTED = "internal_error"
NEW_TYPE_SECONDS = 3600  # of a job whose type this worker does not know: another one, newer than this, may
NEW_TYPE_WAIT = 10.0
MAX_OUTAGES = 60  # of the database and of Redis in a job's life; each is waited for, up to a minute


def run(name: str, args: dict[str, Any]) -> Any:
    """Run a job of the given type in this worker process."""
    job = get_current_job()
    if job is None:
        raise RuntimeError("run() is executed by an RQ worker")
    return run_with(process_services(), job, name, args)


def run_with(services: "Services", job: Job, name: str, args: dict[str, Any]) -> Any:
    """Run a job with the given services; return its result as JSON data, or a `Retry` for another attempt.

    Raises:
        Exception: what the job raised, when it has failed for good.
    """
    try:
        return _attempt(services, job, name, args)
    except Exception as error:
        if isinstance(error, JobCanceled):
            raise
        if isinstance(error, UnknownJobType) and (now() - job.created_at).total_seconds() < NEW_TYPE_SECONDS:
            raise Postponed(NEW_TYPE_WAIT) from error
        if is_away(error) or isinstance(error, AWAY):
            _await_surroundings(services, job, error)
        _log(job, error)
        wait = _record(services, job, error)
        if wait is None:
            raise
        return Retry(max=retries_allowed(job), interval=[wait])


def _attempt(services: "Services", job: Job, name: str, args: dict[str, Any]) -> Any:
    job_type = get_job_type(name)
    claim = services.work.claim(job.id, again="rebuilt" not in job.meta) if "work" in job.meta else None
    if claim and claim.generation is None:
        return _kept_outcome(claim.work)
    context = _context(services, job)
    _follow_parent(services, job)
    result = job_type.dump_result(job_type.function(context, job_type.args_model.model_validate(args)))
    if claim:  # before RQ is told: a crash in between gives the same result, and not a second run
        services.work.complete(job.id, claim.generation, json.dumps(result, ensure_ascii=False))
    return result


def _follow_parent(services: "Services", job: Job) -> None:
    """Do not begin a child whose parent was canceled or paused before it knew of the child.

    Raises:
        JobCanceled, Interrupted: as for the parent.
    """
    tenant, parent = job.meta["tenant"], job.meta.get("parent")
    if not isinstance(parent, str):
        return
    status: Any = services.redis.hget(Job.key_for(parent), "status")
    cancel, pause, paused = services.redis.hmget(keys.state(tenant, parent), "cancel", "pause", "paused")
    if cancel or status in (b"canceled", b"stopped"):
        raise JobCanceled
    if pause or paused:
        services.redis.hset(keys.state(tenant, job.id), "pause", "1")  # it is parked when it leaves
        raise Interrupted


def _kept_outcome(work: Work) -> Any:
    """Return what work came to that has ended already, though Redis does not know it.

    Raises:
        JobCanceled, KeptFailure: it did not complete.
    """
    if work.state == COMPLETED:
        return json.loads(work.result or "null")
    if work.state == CANCELED:
        raise JobCanceled
    raise KeptFailure(work.error_code or UNEXPECTED, work.error_message or "")


def _await_surroundings(services: "Services", job: Job, error: Exception) -> None:
    """Wait while the database or Redis is away, and let the job begin again: what it cannot help uses up no attempt.

    Returns when it has waited in vain too often: then the error counts as any other.
    """
    key = keys.state(job.meta["tenant"], job.id)
    log.warning("job %s, %s: what it stands on does not do its work: %s", job.id, job.description, type(error).__name__)
    if until_back(lambda: services.redis.hincrby(key, "outages", 1)) > MAX_OUTAGES:
        return
    services.redis.expire(key, services.config.result_ttl)
    for wait in islice(waits(), MAX_OUTAGES):
        stop_if_asked()
        time.sleep(wait)
        if services.database.answers():
            break
    raise Interrupted


def attempt_ended(job: Job, error: JobError) -> int | None:
    """Record an attempt that ended without the runner: its process was killed, stopped by a limit, or vanished.

    Returns the wait in seconds before the next attempt, or None when the job has failed for good.
    """
    return _record(process_services(), job, error)


def run_failure_hook(job: Job, failure: Failure, services: "Services | None" = None) -> None:
    """Record in its row that a job has failed for good or was canceled, and tell the capability, so that nothing stays
    'processing' for ever."""
    if "work" in job.meta:
        _record_end(services or process_services(), job, failure)
    job_type = _type_of(job)
    if job_type is None or job_type.on_failure is None:
        return
    try:
        args = job_type.args_model.model_validate(job.args[1])
        job_type.on_failure(_context(services or process_services(), job), args, failure)
    except Exception:
        log.exception("failure hook failed", extra={"job_id": job.id, "job_type": job_type.name})


def _record_end(services: "Services", job: Job, failure: Failure) -> None:
    state = CANCELED if failure.code == JobCanceled.code else FAILED
    try:
        services.work.end(job.id, state, failure.code, failure.message)
    except SQLAlchemyError:  # the reconciler will, from what Redis says
        log.exception("the end of job %s is not in its row yet", job.id)


def failure_of(error: BaseException) -> Failure:
    """Say what an exception means to clients: by its type, never by its text.

    Errors that carry `code` and `retryable` speak for themselves, ours and the providers' alike. Anything else is a
    fault of ours: its text stays in the log.
    """
    kind = type(error).__name__
    if isinstance(error, JobTimeoutException):
        error = JobTimeout()
    elif isinstance(error, MemoryError):
        error = ResourceLimitExceeded()
    code = getattr(error, "code", None)
    if isinstance(code, str) and hasattr(error, "retryable"):
        return Failure(kind, code, str(error), bool(error.retryable))
    return Failure(kind, UNEXPECTED, "The job failed unexpectedly.", True)


_building: dict[int, Lock] = {}  # by process: a forked one must not inherit a lock that is held


@cache
def _services_of(_pid: int) -> "Services":
    from config import load_config
    from jobs.services import build_services

    discover()
    return build_services(load_config())


def process_services() -> "Services":
    """Return this process's services, built on first use, by one thread."""
    pid = os.getpid()
    with _building.setdefault(pid, Lock()):
        return _services_of(pid)


def _log(job: Job, error: BaseException) -> None:
    """Log a failed attempt: a line for what jobs fail with, the traceback for what nobody has thought of."""
    code = failure_of(error).code
    unexpected = error if code == UNEXPECTED else None
    log.warning("job %s, %s, failed: %s", job.id, job.description, code, exc_info=unexpected)


def _context(services: "Services", job: Job) -> JobContext:
    return JobContext(
        job_id=job.id,
        tenant=job.meta["tenant"],
        attempt=(job.number_of_retries or 0) + 1,
        services=services,
        client=JobClient(services.redis, result_ttl=services.config.result_ttl, work=services.work),
        ttl=job.result_ttl,
        created_at=job.created_at,
        worker=job.worker_name or "",
    )


def _type_of(job: Job) -> JobType | None:
    try:
        discover()
        return get_job_type(job.args[0])
    except (UnknownJobType, InvalidArguments, LookupError):
        return None


def _record(services: "Services", job: Job, error: BaseException) -> int | None:
    """Keep a failed attempt, when Redis is there to keep it; return the wait before the next one, None without one."""
    return until_back(lambda: _keep_attempt(services, job, error))


def _keep_attempt(services: "Services", job: Job, error: BaseException) -> int | None:
    tenant, ttl = job.meta["tenant"], services.config.result_ttl
    failure, used = failure_of(error), job.number_of_retries or 0
    again = failure.retryable and used < retries_allowed(job)
    wait = _wait(_type_of(job), used, error) if again else None
    key = keys.attempts(tenant, job.id)
    number = services.redis.llen(key) + 1
    with services.redis.pipeline() as pipeline:
        pipeline.rpush(key, attempt_record(number, job.started_at, job.worker_name or "", failure))
        pipeline.expire(key, ttl)
        seconds = (now() - job.started_at).total_seconds() if job.started_at else 0.0
        attempt_failed(pipeline, tenant, job.meta.get("type", ""), seconds, failure.code)
        if again:
            retry = {"state": "retrying", "wait": wait, "error": {"code": failure.code, "message": failure.message}}
            add_event(pipeline, services.config, tenant, job.id, "status", retry)
        else:  # a later `rq requeue` has all attempts again, and is not stopped by an old word
            job.number_of_retries = 0
            pipeline.hset(job.key, "number_of_retries", 0)
            pipeline.hdel(keys.state(tenant, job.id), "cancel", "pause")
        pipeline.execute()
    return wait


def _wait(job_type: JobType | None, used: int, error: BaseException) -> int:
    asked = getattr(error, "retry_after", None)
    if asked is not None:
        return max(1, round(float(asked)))
    if job_type is None:
        return 1
    backoff = job_type.backoff
    wait: float = min(backoff.cap, backoff.base * 2**used)
    return max(1, round(wait * random.uniform(1, 1.25)))  # noqa: S311 - spreads retries, guards nothing
