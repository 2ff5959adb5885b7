"""What belongs to a job goes with it, and not before."""

import time
from dataclasses import replace

from redis import Redis

from jobs.core import keys
from jobs.core.enqueue import NewJob, enqueue
from jobs.core.sweep import sweep

JOB = NewJob("j1", "acme", "a.b", {}, "default", "a.b", timeout=60, retries=1, ttl=3600)


def fill(redis: Redis, job_id: str, ttl: int | None) -> list[str]:
    """Put a job there with everything that a job may have; return the keys of ours."""
    enqueue(redis, replace(JOB, id=job_id))
    found = keys.of_job("acme", job_id)
    for key in found:
        redis.set(key, "x", ex=ttl)
    return found


def test_everything_of_a_job_that_is_gone_goes(fake_redis: Redis) -> None:
    """Its keys, its place in the index and in RQ's registries, hints beside an empty queue."""
    mine = fill(fake_redis, "gone", None)
    for kind in ("finished", "failed"):
        fake_redis.zadd(f"rq:{kind}:default", {"gone": time.time() - 1})
    for kind in ("canceled", "deferred"):
        fake_redis.zadd(f"rq:{kind}:default", {"gone": time.time() + 1e9})
    fake_redis.delete("rq:job:gone", "rq:queue:default")
    assert sweep(fake_redis, time.time()) == 5
    assert not fake_redis.exists(*mine)
    assert set(fake_redis.keys("*")) == {b"rq:queues"}


def test_nothing_of_a_living_job_expires(fake_redis: Redis) -> None:
    """A job that is paused for weeks has its steps when it goes on."""
    mine = fill(fake_redis, "alive", 100)
    assert sweep(fake_redis, time.time()) == 0
    assert [fake_redis.ttl(key) for key in mine] == [-1] * len(mine)
    assert fake_redis.zrange(keys.jobs("acme"), 0, -1) == [b"alive"]
    assert fake_redis.exists("offstage:fair:default")


def test_what_belongs_to_an_ended_job_goes_with_it(fake_redis: Redis) -> None:
    """What has a time to live keeps it; what has none gets the job's."""
    mine = fill(fake_redis, "ended", None)
    fake_redis.expire(mine[0], 20)
    fake_redis.expire("rq:job:ended", 50)
    fake_redis.zadd("rq:finished:default", {"ended": time.time() + 50})
    sweep(fake_redis, time.time())
    assert [round(float(fake_redis.ttl(key)), -1) for key in mine] == [20, *([50] * (len(mine) - 1))]
    assert fake_redis.zcard("rq:finished:default") == 1


def test_a_tenant_called_jobs_and_many_ids(fake_redis: Redis) -> None:
    """Its hints are not an index; an index longer than one script's worth is gone through."""
    for n in range(1000):
        enqueue(fake_redis, replace(JOB, id=f"j{n}", tenant="jobs"))
        if n % 2:
            fake_redis.delete(f"rq:job:j{n}")
    assert sweep(fake_redis, time.time()) == 500
    assert fake_redis.zcard(keys.jobs("jobs")) == 500
    assert fake_redis.llen("offstage:fair:default:jobs") == 1000
