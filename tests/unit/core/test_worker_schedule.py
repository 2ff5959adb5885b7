"""The scheduler: due jobs move once, in order, with their tenants' hints; upkeep starts once an interval."""

from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.rate_limit import RateLimit
from rq.serializers import JSONSerializer

from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.schedule import UPKEEP_TENANT, Scheduler
from jobs.core.spec import get_job_type, job


class NoArgs(BaseModel):
    """No arguments."""


@job("probe.upkeep", queue="low", every=3600)
def upkeep(ctx: JobContext, args: NoArgs) -> None:
    """Look after something."""


@pytest.fixture
def queue(fake_redis: Redis) -> Queue:
    """The default queue."""
    return Queue("default", connection=fake_redis, serializer=JSONSerializer)


def schedule(queue: Queue, seconds: float, **options: object) -> Job:
    """Schedule a job so many seconds from now."""
    return queue.enqueue_at(datetime.now(UTC) + timedelta(seconds=seconds), "builtins.len", [], **options)


def test_due_jobs_move_and_others_stay(fake_redis: Redis, queue: Queue) -> None:
    """Status, list and registry change together; two schedulers move a job once."""
    due, later = schedule(queue, -5), schedule(queue, 60)
    first, second = Scheduler(fake_redis), Scheduler(fake_redis)
    assert (first.promote(), second.promote()) == (1, 0)
    assert queue.get_job_ids() == [due.id]
    assert due.get_status() == "queued"
    due.refresh()
    assert due.enqueued_at is not None
    assert queue.scheduled_job_registry.get_job_ids(cleanup=False) == [later.id]


def test_at_front_and_ttl_are_kept(fake_redis: Redis, queue: Queue) -> None:
    """As RQ's own scheduler does."""
    queue.enqueue("builtins.len", [])
    front = schedule(queue, -5, at_front=True, ttl=50)
    Scheduler(fake_redis).promote()
    assert queue.get_job_ids()[0] == front.id
    assert 0 < fake_redis.ttl(front.key) <= 50


def test_a_vanished_job_leaves_the_schedule(fake_redis: Redis, queue: Queue) -> None:
    """An id without a hash is dropped, a hash of a wrong type too."""
    gone, wrong = schedule(queue, -5), schedule(queue, -5)
    fake_redis.delete(gone.key, wrong.key)
    fake_redis.set(wrong.key, "text")
    assert Scheduler(fake_redis).promote() == 0
    assert not fake_redis.exists("rq:scheduled:default")


def test_a_rate_limited_job_goes_through_its_limit(fake_redis: Redis, queue: Queue) -> None:
    """RQ decides whether it may be enqueued."""
    limit = RateLimit("one", concurrency=1)
    first = queue.enqueue("builtins.len", [], rate_limit=limit)
    second = schedule(queue, -5, rate_limit=limit)
    Scheduler(fake_redis).promote()
    assert queue.get_job_ids() == [first.id]
    assert second.get_status() == "rate_limited"


def test_promoted_jobs_take_turns_too(fake_redis: Redis, queue: Queue) -> None:
    """A tenant's retries get hints, so that they cannot hold up another tenant."""
    job = schedule(queue, -5, meta={"tenant": "acme"})
    Scheduler(fake_redis).promote()
    assert fake_redis.lrange("offstage:fair:default:acme", 0, -1) == [job.id.encode()]


def test_upkeep_starts_once_an_interval(fake_redis: Redis) -> None:
    """However many schedulers there are."""
    for _ in range(3):
        scheduler = Scheduler(fake_redis)
        scheduler.keep_up(JobClient(fake_redis, result_ttl=60), [get_job_type("probe.upkeep")])
        scheduler.start_upkeep()
    [job_id] = fake_redis.lrange("rq:queue:low", 0, -1)
    assert JobClient(fake_redis, result_ttl=60).get(UPKEEP_TENANT, job_id.decode()).type == "probe.upkeep"


def test_a_hash_that_cannot_be_read_stops_no_scheduler(fake_redis: Redis, queue: Queue) -> None:
    """It goes to the failed ones, where people look; what is due moves all the same, now and the next time."""
    fake_redis.hset("rq:job:forged", mapping={"data": "x", "rate_limit_key": "k", "created_at": "nonsense"})
    fake_redis.zadd("rq:scheduled:default", {"forged": 1})
    due = schedule(queue, -5)
    scheduler = Scheduler(fake_redis)
    scheduler.promote()
    assert queue.get_job_ids() == [due.id]
    assert scheduler.promote() == 0
    assert not fake_redis.exists("rq:scheduled:default")
    assert fake_redis.zrange("rq:failed:default", 0, -1) == [b"forged"]
