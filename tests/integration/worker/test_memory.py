"""Redis stays as small as what it holds."""

import re
from pathlib import Path

import pytest
from redis import Redis

from bench import memory
from jobs.core import keys
from local.redis_server import RedisServer

JOBS = 3_000
ID = re.compile(rb"[0-9a-f]{32}")


@pytest.fixture
def server(tmp_path: Path) -> RedisServer:
    return RedisServer(tmp_path / "redis")


def test_no_key_of_an_expired_job_stays(server: RedisServer, tmp_path: Path) -> None:
    """Of jobs that completed, failed, were canceled, scheduled, shared, spoke and stepped: no key, no entry of an
    index, a registry or a queue's hints. What is left does not depend on how many there were."""
    with server, memory.worker(server.url, tmp_path):
        redis = Redis.from_url(server.url)
        memory.run(redis, 500)
        memory.settle(redis)
        before = _names(redis)
        memory.run(redis, JOBS)
        assert len(_names(redis)) > len(before) + 100  # the last ones are still there
        memory.settle(redis)
        memory.until(lambda: not any(ID.search(name) for name in _names(redis)), 30)
        lasting = {name for name in _names(redis) if redis.ttl(name) == -1}  # the others are locks and rates
        assert lasting <= before
        for tenant in memory.TENANTS:
            assert redis.exists(keys.jobs(tenant)) == 0
        for kind in ("finished", "failed", "canceled", "deferred", "scheduled", "wip"):
            assert redis.exists(f"rq:{kind}:default") == 0, kind
        assert not [name for name in _names(redis) if b":fair:" in name or b":fingerprint:" in name]
        redis.close()


def _names(redis: Redis) -> set[bytes]:
    """Return all keys but those of the worker's own life."""
    found = {name for name in redis.scan_iter(count=1000) if not name.startswith((b"rq:worker:", b"rq:clean"))}
    return {name for name in found if redis.exists(name)}
