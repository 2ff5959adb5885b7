"""Jobs that wait for their children, come back later, or run steps at the same time: on real workers, over kills."""

import shutil
import time
from pathlib import Path

import pytest
from redis import Redis
from rq.defaults import RQ_KEY_PREFIX

from jobs.core import keys
from jobs.core.client import JobClient
from jobs.core.schedule import Scheduler
from jobs.core.worker_parts.scripts import call
from tests.integration.worker import kinds
from tests.integration.worker.fleet import Fleet, eventually
from tests.integration.worker.test_engine_jobs import TENANT, ended, worker

assert kinds


@pytest.fixture
def client(redis: Redis) -> JobClient:
    """A client that keeps jobs for an hour."""
    return JobClient(redis, result_ttl=3600)


@pytest.fixture(autouse=True)
def _database(migrated_file: Path, tmp_path: Path) -> None:
    """Give the workers a database: what a job starts has a row."""
    shutil.copy(migrated_file, tmp_path / "offstage.db")


def halves(redis: Redis, job_id: str) -> list[str]:
    return sorted(half.decode() for half in redis.lrange(f"halves:{job_id}", 0, -1))


@pytest.mark.parametrize("name", ["probe.fan_out", "probe.fan_out_apart"])
@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_a_parent_waits_for_its_children_without_a_worker(
    redis: Redis, fleet: Fleet, client: JobClient, name: str, kind: str
) -> None:
    """One worker does them all: the parent begins, leaves, and comes back once. A child that fails has ended too."""
    job_id = client.start(name, {"children": 6, "broken": 2}, tenant=TENANT)
    worker(fleet, kind=kind)
    view = ended(redis, client, job_id)
    assert (view.state, view.result) == ("completed", ["failed"] * 2 + ["completed"] * 4)
    assert (view.attempt, view.attempts) == (1, [])
    assert redis.llen(f"runs:{job_id}") == 2
    assert not redis.keys("rq:job:*:dependents")


def test_a_parent_of_ended_children_goes_on_at_once(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """Also when they end before it has left its worker, as those that were done before a crash."""
    job_id = client.start("probe.fan_out", {"children": 0}, tenant=TENANT)
    worker(fleet)
    assert ended(redis, client, job_id).result == []


def test_what_it_waits_for_is_shown(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    job_id = client.start("probe.fan_out", {"children": 2, "seconds": 0.5}, tenant=TENANT)
    worker(fleet)
    view = eventually(lambda: (view := client.get(TENANT, job_id)).state == "waiting" and view)
    assert view.waits_for is not None
    assert view.waits_for.reason == "jobs"
    assert set(view.waits_for.ids) <= {child.decode() for child in redis.smembers(keys.children(TENANT, job_id))}
    assert ended(redis, client, job_id).state == "completed"


def test_children_are_paused_and_resumed_with_their_parent(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """While it is paused nothing goes on; then everything does, on another worker, and no half is done twice."""
    job_id = client.start("probe.fan_out", {"children": 4, "seconds": 0.3}, tenant=TENANT)
    first = worker(fleet)
    eventually(lambda: redis.llen(f"halves:{job_id}") >= 2)
    assert client.pause(TENANT, job_id).state == "paused"
    children = [child.decode() for child in redis.smembers(keys.children(TENANT, job_id))]
    eventually(lambda: all(client.get(TENANT, child).state in ("paused", "completed") for child in children))
    done = redis.llen(f"halves:{job_id}")
    first.stop()
    worker(fleet)
    time.sleep(0.5)  # for whatever might go on
    assert redis.llen(f"halves:{job_id}") == done < 8
    client.resume(TENANT, job_id)
    assert ended(redis, client, job_id).result == ["completed"] * 4
    assert halves(redis, job_id) == sorted(f"{n}.{half}" for n in range(4) for half in range(2))


def test_children_that_end_while_their_parent_is_paused_are_not_waited_for(
    redis: Redis, fleet: Fleet, client: JobClient
) -> None:
    """The parent is paused alone, as if the word to a child had been lost."""
    job_id = client.start("probe.fan_out", {"children": 1, "seconds": 1.5}, tenant=TENANT)
    worker(fleet)
    eventually(lambda: redis.llen(f"halves:{job_id}") == 1)
    [child] = [child.decode() for child in redis.smembers(keys.children(TENANT, job_id))]
    assert call(redis, "pause", [], [RQ_KEY_PREFIX, job_id, keys.state(TENANT, job_id)])
    ended(redis, client, child)
    assert client.get(TENANT, job_id).state == "paused"
    client.resume(TENANT, job_id)
    assert ended(redis, client, job_id).result == ["completed"]


def test_children_are_canceled_with_their_parent(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    job_id = client.start("probe.fan_out", {"children": 4, "seconds": 0.3}, tenant=TENANT)
    worker(fleet)
    eventually(lambda: redis.llen(f"halves:{job_id}") >= 1 and client.get(TENANT, job_id).state == "waiting")
    assert client.cancel(TENANT, job_id).state == "canceled"
    children = [child.decode() for child in redis.smembers(keys.children(TENANT, job_id))]
    eventually(lambda: all(client.get(TENANT, child).state in ("canceled", "completed") for child in children))
    assert "canceled" in {client.get(TENANT, child).state for child in children}


def test_no_child_is_lost_or_done_again_while_workers_are_killed(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """A half is done twice only if it was under way at a kill."""
    ids = [client.start("probe.fan_out", {"children": 5, "seconds": 0.05}, tenant=TENANT) for _ in range(5)]
    scheduler, kills, until = Scheduler(redis), 0, time.monotonic() + 90
    while not all(client.get(TENANT, job_id).ended for job_id in ids):
        assert time.monotonic() < until
        scheduler.promote()
        fleet.replace_dead(["default"], 2, types=True, set={"dead_after": 2.0})
        if kills < 6 and sum(redis.llen(f"halves:{job_id}") for job_id in ids) > 7 * kills:
            fleet.workers[kills % 2].kill_both()
            kills += 1
    assert kills >= 3
    for job_id in ids:
        assert client.get(TENANT, job_id).result == ["completed"] * 5
        assert set(halves(redis, job_id)) == {f"{n}.{half}" for n in range(5) for half in range(2)}
    assert sum(redis.llen(f"halves:{job_id}") for job_id in ids) - 50 <= 2 * kills


@pytest.mark.parametrize("name", ["probe.later", "probe.later_apart"])
def test_a_postponed_job_comes_back_without_using_an_attempt(
    redis: Redis, fleet: Fleet, client: JobClient, name: str
) -> None:
    """It is scheduled meanwhile, and its worker is free."""
    job_id = client.start(name, {}, tenant=TENANT)
    worker(fleet)
    eventually(lambda: client.get(TENANT, job_id).state == "scheduled")
    view = ended(redis, client, job_id)
    assert (view.state, view.result, view.attempts) == ("completed", 1, [])
    assert redis.get(f"visits:{job_id}") == b"3"


@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_steps_run_at_the_same_time(redis: Redis, fleet: Fleet, client: JobClient, kind: str) -> None:
    """What one comes to says nothing of the others."""
    job_id = client.start("probe.together", {"count": 8, "seconds": 1.0}, tenant=TENANT)
    worker(fleet, kind=kind)
    eventually(lambda: redis.llen(f"taken:{job_id}") == 8)
    assert redis.llen(f"through:{job_id}") == 0  # all have begun before one has ended
    assert ended(redis, client, job_id).result == [0, 2, 4, 6]


def test_steps_that_ran_together_are_kept_over_pause_and_kill(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """A pause waits for what is under way and loses nothing; after a kill, what had ended is not done again."""
    job_id = client.start("probe.together", {"count": 12, "seconds": 0.4, "limit": 2}, tenant=TENANT)
    first = worker(fleet, set={"dead_after": 2.0})
    eventually(lambda: redis.llen(f"through:{job_id}") >= 1)
    client.pause(TENANT, job_id)
    eventually(lambda: client.get(TENANT, job_id).state == "paused")
    taken = [int(number) for number in redis.lrange(f"taken:{job_id}", 0, -1)]
    assert len(taken) < 12
    through = redis.llen(f"through:{job_id}")
    assert through == len([number for number in taken if number % 2 == 0])
    client.resume(TENANT, job_id)
    eventually(lambda: redis.llen(f"through:{job_id}") > through)
    first.kill_both()
    kept = {int(number) for number in redis.lrange(f"through:{job_id}", 0, -1)}
    worker(fleet, set={"dead_after": 2.0})
    assert ended(redis, client, job_id).result == [0, 2, 4, 6, 8, 10]
    again = [int(number) for number in redis.lrange(f"through:{job_id}", 0, -1)]
    assert sum(again.count(number) for number in kept) <= len(kept) + 2  # an answer and its note are two commands


def test_a_job_that_tells_its_progress_leaves_no_step_behind(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """Paused again and again, no step is taken twice: each time what is under way is waited for."""
    job_id = client.start("probe.together_told", {"count": 16, "seconds": 0.2, "limit": 3}, tenant=TENANT)
    worker(fleet)
    for wanted in (1, 5, 9):
        eventually(lambda wanted=wanted: redis.llen(f"taken:{job_id}") >= wanted)  # type: ignore[misc]
        client.pause(TENANT, job_id)
        eventually(lambda: client.get(TENANT, job_id).state == "paused")
        client.resume(TENANT, job_id)
    assert ended(redis, client, job_id).result == 16
    assert sorted(map(int, redis.lrange(f"taken:{job_id}", 0, -1))) == list(range(16))
