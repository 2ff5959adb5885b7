"""Keep Redis as small as what it holds: what belongs to a job goes with the job.

Everything of an ended job has a time to live of its own. What has none, and what others would only clean when the next
job comes, is looked after here: the tenants' indexes, RQ's registries, hints beside queues, keys of jobs that are gone.
"""

from collections.abc import Iterator
from typing import Any, cast

from redis import Redis
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import as_text

from jobs.core import keys
from jobs.core.worker_parts.scripts import call

_BATCH = 200  # jobs in one script: about a millisecond
_INDEX = "offstage:*:jobs"
_BY_TIME = ("finished", "failed")  # registries whose scores are the end of the time to live
_BY_JOB = ("canceled", "deferred")
_PARTS = [key.split(":")[2] for key in keys.of_job("tenant", "id")]


def sweep(redis: Redis, now: float) -> int:
    """Look after all that is kept of jobs; return how many entries were taken out."""
    gone = 0
    for index in redis.scan_iter(match=_INDEX, count=1000, _type="zset"):
        _, tenant, *rest = as_text(index).split(":")
        if rest != ["jobs"]:  # hints of a tenant of that name
            continue
        for ids in _members(redis, as_text(index)):
            gone += call(redis, "sweep", [], [RQ_KEY_PREFIX, tenant, len(_PARTS), *_PARTS, *ids])
    for key in cast(set[bytes], redis.smembers(f"{RQ_KEY_PREFIX}:queues")):
        gone += _sweep_queue(redis, as_text(key).removeprefix(f"{RQ_KEY_PREFIX}:queue:"), now)
    return gone


def _sweep_queue(redis: Redis, queue: str, now: float) -> int:
    gone = 0
    for kind in _BY_TIME:
        gone += redis.zremrangebyscore(f"{RQ_KEY_PREFIX}:{kind}:{queue}", 0, now)
    for kind in _BY_JOB:
        registry = f"{RQ_KEY_PREFIX}:{kind}:{queue}"
        for ids in _members(redis, registry):
            gone += call(redis, "trim", [], [RQ_KEY_PREFIX, registry, *ids])
    call(redis, "forget", [], [RQ_KEY_PREFIX, queue])
    return gone


def _members(redis: Redis, key: str) -> Iterator[list[bytes]]:
    """Yield the members of a sorted set, some at a time; one that is taken out meanwhile does no harm."""
    cursor = 0
    while True:
        cursor, found = cast(tuple[int, list[tuple[bytes, Any]]], redis.zscan(key, cursor, count=_BATCH))
        for start in range(0, len(found), _BATCH):
            yield [member for member, _ in found[start : start + _BATCH]]
        if cursor == 0:
            return
