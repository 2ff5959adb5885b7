"""Batches on real workers that are killed at random: counts stay exact, the callback starts once."""

import random
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis

from jobs.core import batches
from jobs.core.batch_intake import JobSpec, member_id
from jobs.core.batches import BatchClient, BatchView
from jobs.core.schedule import Scheduler
from tests.integration.worker import kinds
from tests.integration.worker.fleet import Fleet, WorkerProcess, eventually

assert kinds
TENANT = "local"
QUEUES = ["high", "default", "low"]
QUICK = {"dead_after": 1.5, "maintenance_interval": 2}
CALLBACK = JobSpec("probe.callback", {})


@pytest.fixture
def client(redis: Redis) -> BatchClient:
    """A client that keeps batches for an hour."""
    return BatchClient(redis, result_ttl=3600)


def looks(redis: Redis, client: BatchClient, batch_id: str) -> Iterator[BatchView]:
    """Look at a batch again and again, doing the scheduler's and the maintenance's work; each look is checked."""
    scheduler = Scheduler(redis)
    while True:
        scheduler.promote()
        redis.delete(batches._TENDED)
        batches.tend(redis)
        view = client.get(TENANT, batch_id)
        assert sum(view.counts.values()) == view.total
        assert (view.state == "running") == (view.ended_at is None)
        yield view


def ended(redis: Redis, client: BatchClient, batch_id: str, seconds: float = 60.0) -> BatchView:
    """Return a batch once it has ended."""
    found = looks(redis, client, batch_id)
    eventually(lambda: next(found).ended_at, seconds, what="the batch's end")
    return client.get(TENANT, batch_id)


def called(redis: Redis) -> Any:
    """The batches whose callback ran."""
    return eventually(lambda: redis.lrange("callbacks", 0, -1), 40, what="the callback")


@pytest.mark.parametrize("kind", ["ours", "threads", "stock"])
def test_a_batch_runs_to_its_end(redis: Redis, fleet: Fleet, client: BatchClient, kind: str) -> None:
    """On every kind of worker: failures and retries are counted, and the callback starts once."""
    size = 10 if kind == "stock" else 100
    batch_id = client.start([JobSpec("probe.moody", {})] * size, tenant=TENANT, on_complete=CALLBACK)
    fleet.start(QUEUES, types=True, kind=kind)
    view = ended(redis, client, batch_id)
    assert {state: number for state, number in view.counts.items() if number} == {
        "completed": size * 4 // 5,
        "failed": size // 5,
    }
    assert view.state == "failed"
    assert called(redis) == [batch_id.encode()]


def test_kills_change_no_count(redis: Redis, fleet: Fleet, client: BatchClient) -> None:
    """Two workers, one of which is killed again and again: every job ends once, each of its states adds up at every
    look, and the callback starts once."""
    size = 400
    batch_id = client.start([JobSpec("probe.moody", {})] * size, tenant=TENANT, on_complete=CALLBACK)
    found, until = looks(redis, client, batch_id), time.monotonic() + 120
    kills, next_kill = 0, 0
    while next(found).ended_at is None:
        assert time.monotonic() < until
        fleet.replace_dead(QUEUES, 2, types=True, set=QUICK)
        if kills < 12 and redis.llen("marks") >= next_kill:
            random.choice([WorkerProcess.kill_both, WorkerProcess.kill_horse])(random.choice(fleet.workers))
            kills += 1
            next_kill = redis.llen("marks") + random.randint(10, 25)
    view = client.get(TENANT, batch_id)
    failed = [number for number in range(size) if number % 256 % 5 == 0]
    assert (view.counts["completed"], view.counts["failed"]) == (size - len(failed), len(failed))
    marks = {mark.decode() for mark in redis.lrange("marks", 0, -1)}
    assert marks == {member_id(batch_id, number) for number in range(size)} - {
        member_id(batch_id, number) for number in failed
    }
    fleet.replace_dead(QUEUES, 2, types=True, set=QUICK)
    assert called(redis) == [batch_id.encode()]
    assert kills >= 5


def test_cancel_ends_a_batch_under_way(redis: Redis, fleet: Fleet, client: BatchClient) -> None:
    """What runs is stopped, what waits never starts, and the callback runs."""
    batch_id = client.start([JobSpec("probe.stepwise", {})] * 200, tenant=TENANT, on_complete=CALLBACK)
    fleet.start(QUEUES, types=True, kind="threads")
    found = looks(redis, client, batch_id)
    eventually(lambda: next(found).counts["running"] == 4, 40)
    client.cancel(TENANT, batch_id)
    view = ended(redis, client, batch_id)
    assert view.state == "canceled"
    assert view.counts["canceled"] + view.counts["completed"] == 200
    assert view.counts["completed"] <= 4  # one that was at its last step may have ended before the word came
    assert redis.llen("rq:queue:default") == 0
    assert called(redis) == [batch_id.encode()]
