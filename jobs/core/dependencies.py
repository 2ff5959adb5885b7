"""Jobs that wait for others: released when these complete, canceled or released when one does not.

RQ's own keys hold who waits for whom. RQ leaves a job whose parent failed, was canceled or deleted waiting for ever;
here every end tells those who wait for it, and a sweep finds those whom nobody could tell.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq.defaults import RQ_KEY_PREFIX
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import utcformat

from jobs.core import keys
from jobs.core.events import end_event
from jobs.core.spec import Failure
from jobs.core.worker_parts.scripts import call, source

UNTOLD = "offstage:untold"  # set: jobs that were canceled while they waited and whose capability has not been told
CAUSE = "offstage_cause"  # field of a job that another one canceled: why, as its client reads it
_SWEEP = 500  # jobs in one script
_TELL = 100  # jobs in one go


def settle(redis: Redis, job_id: str) -> None:
    """Tell a job's batch and those who wait for it how it ended; nothing if it has not."""
    call(redis, "ended", [], _args(job_id))


def settle_with(pipeline: Pipeline, job_id: str) -> None:
    """Do so in the transaction that records the end."""
    pipeline.eval(source("ended"), 0, *_args(job_id))


def cancel(redis: Redis, job_id: str) -> bool:
    """Cancel a job that waits, with those whom that cancels. Returns whether it waited."""
    return bool(call(redis, "cancel", [], _args(job_id)))


def sweep(redis: Redis, queue: str) -> None:
    """Look after a queue's waiting jobs: a process may have died between an end and its telling, and RQ's tools
    delete and cancel without telling."""
    now = datetime.now(UTC)
    cursor = 0
    while True:
        cursor, found = redis.zscan(f"{RQ_KEY_PREFIX}:deferred:{queue}", cursor, count=_SWEEP)
        if found:
            call(redis, "unblock", [], [RQ_KEY_PREFIX, utcformat(now), now.timestamp(), queue, *(i for i, _ in found)])
        if cursor == 0:
            return


def tell_canceled(redis: Redis, tell: Callable[[Job], None]) -> None:
    """Call `tell` for jobs that were canceled while they waited and whose type wants to know; then let them end for
    their watchers.

    A job is taken off the list after the call, so it may be told twice, by two processes, but never not at all.
    """
    ids: Any = redis.srandmember(UNTOLD, _TELL)
    for job_id in ids:
        with suppress(NoSuchJobError):
            job = Job.fetch(job_id.decode(), connection=redis, serializer=JSONSerializer)
            tell(job)
            _add_end(redis, job)
        redis.srem(UNTOLD, job_id)


def is_untold(redis: Redis, job_id: str) -> bool:
    """Say whether the capability of a job that was canceled is still to be told, so that more may come of it."""
    return bool(redis.sismember(UNTOLD, job_id))


def _add_end(redis: Redis, job: Job) -> None:
    cause: Any = redis.hget(job.key, CAUSE)
    failure = Failure("DependencyFailed", retryable=False, **json.loads(cause)) if cause else None
    key = keys.events(job.meta["tenant"], job.id)
    with redis.pipeline() as pipeline:
        pipeline.xadd(key, end_event("canceled", failure))  # type: ignore[arg-type]
        if (ttl := job.result_ttl or 0) > 0:
            pipeline.expire(key, ttl)
        pipeline.execute()


def _args(job_id: str) -> list[Any]:
    now = datetime.now(UTC)
    return [RQ_KEY_PREFIX, job_id, utcformat(now), now.timestamp()]
