"""Jobs that wait for others, with real workers: ours tell children at once, stock ones leave some to the sweep."""

import pytest
from redis import Redis

from jobs.core import dependencies
from jobs.core.client import JobClient
from jobs.core.enqueue import OnDependencyFailure
from tests.integration.worker import kinds
from tests.integration.worker.fleet import Fleet, eventually
from tests.integration.worker.test_engine_jobs import TENANT, ended, worker

assert kinds


@pytest.fixture
def client(redis: Redis) -> JobClient:
    """A client that keeps jobs for an hour."""
    return JobClient(redis, result_ttl=3600)


def start(client: JobClient, name: str, *parents: str, on_failure: OnDependencyFailure = "cancel") -> str:
    return client.start(name, {}, tenant=TENANT, depends_on=parents, on_dependency_failure=on_failure)


@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_a_diamond_runs_from_top_to_bottom(redis: Redis, fleet: Fleet, client: JobClient, kind: str) -> None:
    """Each job starts after its parents' ends, and the last one once."""
    top = start(client, "probe.mark")
    sides = [start(client, "probe.mark", top) for _ in range(20)]
    bottom = start(client, "probe.mark", *sides)
    worker(fleet, kind=kind)
    assert {ended(redis, client, job_id).state for job_id in (top, *sides, bottom)} == {"completed"}
    marks = [mark.decode() for mark in redis.lrange("marks", 0, -1)]
    assert (marks[0], sorted(marks[1:-1]), marks[-1]) == (top, sorted(sides), bottom)
    assert not redis.keys("rq:job:*:dependents")
    assert not redis.keys("rq:job::*:dependencies")


@pytest.mark.parametrize("name", ["probe.broken", "probe.deadly", "probe.memory"])
def test_a_parents_failure_ends_the_wait_at_once(redis: Redis, fleet: Fleet, client: JobClient, name: str) -> None:
    """After its last attempt, however that ended: one child is canceled with its own child, the other runs."""
    parent = start(client, name)
    child = start(client, "probe.noop", parent)
    grandchild, heir = start(client, "probe.noop", child), start(client, "probe.noop", parent, on_failure="run")
    worker(fleet, set={"isolated_memory_mb": 256})
    assert ended(redis, client, parent).state == "failed"
    assert client.get(TENANT, child).state == client.get(TENANT, grandchild).state == "canceled"
    assert ended(redis, client, heir).state == "completed"


def test_stopping_a_running_parent_cancels_its_children(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """In the same step."""
    parent = start(client, "probe.stepwise")
    child = start(client, "probe.noop", parent)
    worker(fleet)
    eventually(lambda: redis.llen(f"steps:{parent}") > 1)
    client.cancel(TENANT, parent)
    assert ended(redis, client, parent).state == "canceled"
    assert client.get(TENANT, child).state == "canceled"


def test_a_stock_worker_releases_and_the_sweep_does_the_rest(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """`rq worker` starts the children of what completes, as in RQ; it leaves those of what failed, for the sweep."""
    good, bad = start(client, "probe.noop"), start(client, "probe.misused")
    child, orphan = start(client, "probe.noop", good), start(client, "probe.noop", bad)
    worker(fleet, kind="stock")
    assert ended(redis, client, child).state == "completed"
    assert ended(redis, client, bad).state == "failed"
    assert client.get(TENANT, orphan).state == "waiting"
    dependencies.sweep(redis, "default")
    assert client.get(TENANT, orphan).state == "canceled"
