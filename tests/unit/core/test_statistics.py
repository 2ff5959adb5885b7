"""What is kept of ended jobs, and what is made of it."""

from datetime import UTC, datetime, timedelta

import pytest
from redis import Redis

from jobs.core import keys
from jobs.core.enqueue import NewJob, enqueue
from jobs.core.estimate import explain
from jobs.core.statistics import (
    KEPT,
    attempt_completed,
    attempt_failed,
    by_kind,
    job_ended,
    percentile,
    queue_statistics,
)
from jobs.core.view import JobView, read_job

TENANT = "acme"


def complete(redis: Redis, kind: str, *seconds: float, tenant: str = TENANT) -> None:
    with redis.pipeline() as pipeline:
        for one in seconds:
            attempt_completed(pipeline, tenant, kind, one)
        pipeline.execute()


def put(redis: Redis, job_id: str, kind: str, queue: str = "default", due: float | None = None) -> str:
    job = NewJob(job_id, TENANT, kind, {}, queue, kind, timeout=60, retries=1, ttl=3600, due=due)
    return enqueue(redis, job)


def add_worker(redis: Redis, name: str, queues: str = "high,default,low", threads: int = 1) -> None:
    redis.hset(f"rq:worker:{name}", mapping={"birth": "x", "state": "idle", "queues": queues, "threads": threads})
    for queue in queues.split(","):
        redis.sadd(f"rq:workers:{queue}", f"rq:worker:{name}")


def run(redis: Redis, worker: str, job_id: str, kind: str, seconds: float) -> None:
    """Have a worker run a job since so many seconds."""
    put(redis, job_id, kind)
    redis.lrem("rq:queue:default", 0, job_id)
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    redis.hset(f"rq:job:{job_id}", mapping={"status": "started", "started_at": began.isoformat()})
    redis.sadd(f"rq:worker:{worker}:executions", f"{job_id}:e1")


def view_of(redis: Redis, job_id: str) -> JobView:
    return explain(redis, TENANT, read_job(redis, TENANT, job_id))


def test_kinds_are_told_apart_by_tenant(fake_redis: Redis) -> None:
    """Counts, failures by code, percentiles; what has not run is left out; another tenant sees its own only."""
    complete(fake_redis, "a.b", *(n / 10 for n in range(1, 21)))
    with fake_redis.pipeline() as pipeline:
        for code in ("timeout", "timeout", "corrupt"):
            attempt_failed(pipeline, TENANT, "a.b", 9, code)
        pipeline.execute()
    [kind] = by_kind(fake_redis, TENANT, ["a.b", "c.d"])
    assert (kind.type, kind.count, kind.failures) == ("a.b", 23, 3)
    assert kind.failure_codes == {"timeout": 2, "corrupt": 1}
    assert (kind.window, kind.window_failures, kind.p50_seconds, kind.p95_seconds) == (23, 3, 1.2, 9)
    assert by_kind(fake_redis, "other", ["a.b", "c.d"]) == []


def test_the_window_is_bounded_and_the_count_is_not(fake_redis: Redis) -> None:
    """Old durations go."""
    complete(fake_redis, "a.b", *([100.0] * 50), *([1.0] * KEPT))
    [kind] = by_kind(fake_redis, TENANT, ["a.b"])
    assert (kind.count, kind.window, kind.p95_seconds) == (KEPT + 50, KEPT, 1)
    assert fake_redis.llen(keys.durations(TENANT, "a.b")) == KEPT


@pytest.mark.parametrize(
    ("numbers", "share", "expected"),
    [([], 0.5, None), ([7.0], 0.95, 7.0), ([1.0, 2.0, 3.0, 4.0], 0.5, 2.0), ([*map(float, range(1, 101))], 0.95, 95.0)],
)
def test_percentiles_are_of_the_nearest_rank(numbers: list[float], share: float, expected: float | None) -> None:
    """One of the numbers, or nothing."""
    assert percentile(numbers, share) == expected


def test_a_queue_shows_depth_age_rate_and_workers(fake_redis: Redis) -> None:
    """A deleted job at the head is passed over; a worker that died is not counted."""
    put(fake_redis, "gone", "a.b")
    fake_redis.delete("rq:job:gone")
    put(fake_redis, "old", "a.b")
    put(fake_redis, "new", "a.b")
    put(fake_redis, "later", "a.b", due=4e9)
    fake_redis.hset("rq:job:old", "enqueued_at", (datetime.now(UTC) - timedelta(seconds=90)).isoformat())
    add_worker(fake_redis, "w1", threads=4)
    add_worker(fake_redis, "w2")
    add_worker(fake_redis, "dead")
    fake_redis.delete("rq:worker:dead")
    fake_redis.hset("rq:worker:w1", "state", "busy")
    with fake_redis.pipeline() as pipeline:
        for _ in range(30):
            job_ended(pipeline, "default")
        pipeline.execute()
    default, low = queue_statistics(fake_redis, ["default", "low"])
    assert (default.queued, default.scheduled, default.running) == (3, 1, 0)
    assert default.oldest_seconds == pytest.approx(90, abs=5)
    assert 24 <= default.ended_per_minute <= 30
    assert default.workers.model_dump() == {"count": 2, "busy": 1, "slots": 5}
    assert (low.queued, low.oldest_seconds, low.ended_per_minute) == (0, None, 0)


def test_a_wait_is_told_by_the_jobs_ahead_and_the_workers(fake_redis: Redis) -> None:
    """Ten of one second and ten of three before it, for two workers: twenty seconds."""
    complete(fake_redis, "quick.one", 1.0, 1.0)
    complete(fake_redis, "slow.one", 3.0, tenant="other")
    for n in range(10):
        put(fake_redis, f"q{n}", "quick.one")
        put(fake_redis, f"s{n}", "slow.one")
    last = put(fake_redis, "last", "quick.one")
    assert view_of(fake_redis, last).expected_start_seconds is None  # no worker
    add_worker(fake_redis, "w1")
    add_worker(fake_redis, "w2")
    view = view_of(fake_redis, last)
    assert view.waits_for
    assert (view.waits_for.reason, view.waits_for.position) == ("queue", 20)
    assert view.expected_start_seconds == pytest.approx(20)
    assert view.expected_seconds == 1


def test_a_higher_queue_comes_first_and_running_jobs_count_with_their_rest(fake_redis: Redis) -> None:
    """One worker: four seconds of ten are left of what runs, then five from the higher queue."""
    complete(fake_redis, "slow.one", 10.0)
    complete(fake_redis, "quick.one", 1.0)
    add_worker(fake_redis, "w1")
    run(fake_redis, "w1", "running", "slow.one", 6)
    for n in range(5):
        put(fake_redis, f"h{n}", "quick.one", queue="high")
    job_id = put(fake_redis, "mine", "quick.one")
    assert view_of(fake_redis, job_id).expected_start_seconds == pytest.approx(9, abs=0.5)
    add_worker(fake_redis, "w2")
    assert view_of(fake_redis, job_id).expected_start_seconds == pytest.approx(4.5, abs=0.5)


def test_a_long_queue_is_judged_by_its_head(fake_redis: Redis) -> None:
    """A thousand jobs are not all looked at."""
    complete(fake_redis, "quick.one", 0.5)
    add_worker(fake_redis, "w1")
    for n in range(200):
        put(fake_redis, f"j{n}", "quick.one")
    assert view_of(fake_redis, "j199").expected_start_seconds == pytest.approx(99.5)


def test_foreign_and_torn_jobs_do_no_harm(fake_redis: Redis) -> None:
    """Plain RQ jobs with pickled meta, keys of another type, times that are none, on the queue and running."""
    complete(fake_redis, "quick.one", 1.0)
    add_worker(fake_redis, "w1")
    fake_redis.hset("rq:job:pickled", mapping={"meta": b"\x80\x04}\x94.", "enqueued_at": "yesterday"})
    fake_redis.hset("rq:job:list", mapping={"meta": "[]"})
    fake_redis.set("rq:job:string", "x")
    for job_id in ("string", "pickled", "list", "gone"):
        fake_redis.rpush("rq:queue:default", job_id)
        fake_redis.sadd("rq:worker:w1:executions", f"{job_id}:e1")
    put(fake_redis, "mine", "quick.one")
    assert view_of(fake_redis, "mine").expected_start_seconds is None  # of none of those ahead is a kind known
    put(fake_redis, "next", "quick.one")
    assert view_of(fake_redis, "next").expected_start_seconds == pytest.approx(5)
    assert queue_statistics(fake_redis, ["default"])[0].queued == 6


def test_what_is_not_known_is_null(fake_redis: Redis) -> None:
    """Nothing of its kind has ended: neither wait nor duration; but an idle worker starts it at once."""
    add_worker(fake_redis, "w1")
    put(fake_redis, "first", "new.kind")
    put(fake_redis, "second", "new.kind")
    first, second = view_of(fake_redis, "first"), view_of(fake_redis, "second")
    assert (first.expected_start_seconds, first.expected_seconds) == (0, None)
    assert (second.expected_start_seconds, second.expected_seconds) == (None, None)


def test_every_wait_has_its_reason(fake_redis: Redis) -> None:
    """Queue, suspended workers, time, backoff, pause."""
    put(fake_redis, "queued", "a.b")
    put(fake_redis, "later", "a.b", due=datetime.now(UTC).timestamp() + 50)
    put(fake_redis, "retry", "a.b", due=datetime.now(UTC).timestamp() + 50)
    fake_redis.hset("rq:job:retry", "number_of_retries", 1)
    put(fake_redis, "paused", "a.b")
    fake_redis.hset("rq:job:paused", "status", "deferred")
    fake_redis.hset(keys.state(TENANT, "paused"), "paused", "1")
    reasons = {}
    for job_id in ("queued", "later", "retry", "paused"):
        view = view_of(fake_redis, job_id)
        assert view.waits_for
        reasons[job_id] = view.waits_for.reason
    assert reasons == {"queued": "queue", "later": "schedule", "retry": "backoff", "paused": "paused"}
    later = view_of(fake_redis, "later")
    assert later.expected_start_seconds == pytest.approx(50, abs=5)
    assert later.waits_for
    assert later.waits_for.until == later.next_attempt_at
    fake_redis.set("rq:suspended", "1")
    suspended = view_of(fake_redis, "queued")
    assert suspended.waits_for
    assert suspended.waits_for.reason == "suspended"
