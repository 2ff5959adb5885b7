"""What ended, how long it took, and how the queues stand.

For each tenant and job type the durations of the last attempts are kept, with the code of those that failed, and
counters; without the tenant, durations of those that completed, for estimates; for each queue, how many jobs ended in
each ten seconds. The finish script writes the same as `attempt_completed` and `job_ended`.
"""

import math
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any, cast

from pydantic import BaseModel, Field
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import ResponseError
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import as_text

from jobs.core import keys

KEPT = 200  # durations of each list
BUCKET = 10  # seconds
_BUCKET_TTL = 120
_RATE_BUCKETS = 6  # full ones, beside the one that is being filled
_HEADS = 10  # jobs at a queue's head that are looked at: a deleted one may still stand there


class KindStatistics(BaseModel):
    """What became of the attempts of one job type. Percentiles are of the last `window` attempts, in seconds."""

    type: str
    count: int = Field(description="Attempts that have ended.")
    failures: int = Field(description="Attempts that failed.")
    failure_codes: dict[str, int]
    window: int
    window_failures: int
    p50_seconds: float | None
    p95_seconds: float | None


class Workers(BaseModel):
    """Worker processes that serve a queue, and how many jobs they can run at once."""

    count: int
    busy: int
    slots: int


class QueueStatistics(BaseModel):
    """A queue, for all tenants together. `running` are jobs that came from it."""

    name: str
    queued: int
    running: int
    scheduled: int
    oldest_seconds: float | None = Field(description="Age of the job at its head, since it was enqueued.")
    ended_per_minute: float = Field(description="Jobs that ended in about the last minute.")
    workers: Workers


def attempt_failed(pipeline: Pipeline, tenant: str, kind: str, seconds: float, code: str) -> None:
    """Keep a failed attempt."""
    key = keys.durations(tenant, kind)
    pipeline.lpush(key, f"{seconds:.3f} {code}")
    pipeline.ltrim(key, 0, KEPT - 1)
    pipeline.hincrby(keys.attempt_counts(tenant, kind), f"failed:{code}", 1)


def attempt_completed(pipeline: Pipeline, tenant: str, kind: str, seconds: float) -> None:
    """Keep an attempt that completed."""
    for key in (keys.durations(tenant, kind), keys.kind_durations(kind)):
        pipeline.lpush(key, f"{seconds:.3f}")
        pipeline.ltrim(key, 0, KEPT - 1)
    pipeline.hincrby(keys.attempt_counts(tenant, kind), "completed", 1)


def job_ended(pipeline: Pipeline, queue: str) -> None:
    """Count a job that has ended, in whatever way."""
    key = keys.ended(queue, int(time.time() // BUCKET))
    pipeline.incr(key)
    pipeline.expire(key, _BUCKET_TTL)


def by_kind(redis: Redis, tenant: str, kinds: Iterable[str]) -> list[KindStatistics]:
    """Return the statistics of a tenant's job types, without those of which nothing has ended yet."""
    names = sorted(kinds)
    with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.hgetall(keys.attempt_counts(tenant, name))
            pipeline.lrange(keys.durations(tenant, name), 0, KEPT - 1)
        raw = pipeline.execute()
    return [_kind(name, *raw[2 * n : 2 * n + 2]) for n, name in enumerate(names) if raw[2 * n]]


def percentile(ordered: list[float], share: float) -> float | None:
    """Return the nearest-rank percentile of ascending numbers; None of no number."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def queue_statistics(redis: Redis, names: Iterable[str]) -> list[QueueStatistics]:
    """Return how the queues stand. It says nothing of whose jobs they are."""
    now, names = time.time(), list(names)
    bucket = int(now // BUCKET)
    with redis.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.llen(f"{RQ_KEY_PREFIX}:queue:{name}")
            pipeline.zcard(f"{RQ_KEY_PREFIX}:wip:{name}")
            pipeline.zcard(f"{RQ_KEY_PREFIX}:scheduled:{name}")
            pipeline.lrange(f"{RQ_KEY_PREFIX}:queue:{name}", 0, _HEADS - 1)
            pipeline.mget([keys.ended(name, bucket - age) for age in range(_RATE_BUCKETS + 1)])
        raw = pipeline.execute()
    found = []
    for n, name in enumerate(names):
        queued, running, scheduled, heads, ended = raw[5 * n : 5 * n + 5]
        seconds = _RATE_BUCKETS * BUCKET + now % BUCKET
        found.append(
            QueueStatistics(
                name=name,
                queued=queued,
                running=running,
                scheduled=scheduled,
                oldest_seconds=_age_of_first(redis, heads, now),
                ended_per_minute=round(60 * sum(map(int, filter(None, ended))) / seconds, 1),
                workers=_workers(redis, name),
            )
        )
    return found


def worker_keys(redis: Redis, queue: str) -> list[str]:
    """Return the Redis keys of the workers that serve a queue."""
    return [as_text(key) for key in cast(set[bytes], redis.smembers(f"{RQ_KEY_PREFIX}:workers:{queue}"))]


def _kind(name: str, counts: dict[bytes, bytes], durations: list[bytes]) -> KindStatistics:
    codes = Counter({as_text(key).partition(":")[2]: int(count) for key, count in counts.items() if b":" in key})
    attempts = [as_text(entry).partition(" ") for entry in durations]
    ordered = sorted(float(seconds) for seconds, _, _ in attempts)
    failures = sum(codes.values())
    return KindStatistics(
        type=name,
        count=failures + int(counts.get(b"completed", 0)),
        failures=failures,
        failure_codes=dict(codes.most_common()),
        window=len(attempts),
        window_failures=sum(1 for _, _, code in attempts if code),
        p50_seconds=percentile(ordered, 0.5),
        p95_seconds=percentile(ordered, 0.95),
    )


def _age_of_first(redis: Redis, job_ids: list[bytes], now: float) -> float | None:
    for job_id in job_ids:
        with suppress(ResponseError, ValueError):  # no hash, or no time: not ours to judge
            enqueued = redis.hget(f"{RQ_KEY_PREFIX}:job:{as_text(job_id)}", "enqueued_at")
            if enqueued:
                return round(max(0.0, now - datetime.fromisoformat(as_text(enqueued)).timestamp()), 3)
    return None


def _workers(redis: Redis, queue: str) -> Workers:
    with redis.pipeline(transaction=False) as pipeline:
        for key in worker_keys(redis, queue):
            pipeline.hmget(key, "birth", "state", "threads")
        alive: list[Any] = [row for row in pipeline.execute() if row[0]]
    busy = sum(1 for _, state, _ in alive if state == b"busy")
    return Workers(count=len(alive), busy=busy, slots=sum(int(threads or 1) for _, _, threads in alive))
