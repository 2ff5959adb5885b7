"""What RQ promises of a job holds for our worker as for RQ's own: the same checks on both, ours with threads too."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Repeat, Retry
from rq.group import Group
from rq.job import Dependency
from rq.rate_limit import RateLimit
from rq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.results import Result

from tests.integration.worker import tasks
from tests.integration.worker.fleet import WorkerProcess, eventually
from tests.integration.worker.looks import ids, ledger, status

StartWorker = Callable[..., WorkerProcess]
Burst = Callable[..., None]


def test_results(queue: Queue, burst: Burst) -> None:
    """A result, a None, and one that cannot be serialized are kept with their execution."""
    jobs = [queue.enqueue(tasks.add, 1, 2), queue.enqueue(tasks.nothing), queue.enqueue(tasks.opaque)]
    burst()
    assert [status(job) for job in jobs] == ["finished"] * 3
    assert [job.return_value() for job in jobs] == [3, None, "Unserializable return value"]
    for job in jobs:
        job.refresh()
        result = job.latest_result()
        assert result is not None
        assert result.type == Result.Type.SUCCESSFUL
        assert result.execution_started_at is not None
        assert result.execution_ended_at is not None
        assert result.worker_name == job.worker_name
        assert job.started_at is not None
        assert job.ended_at is not None
        assert job.enqueued_at <= job.started_at <= job.ended_at
        assert job.get_executions() == []
    assert set(ids(FinishedJobRegistry(queue=queue))) == {job.id for job in jobs}


@pytest.mark.parametrize("function", [tasks.fail, tasks.kill_self])
def test_failures(queue: Queue, burst: Burst, function: Any) -> None:
    """A job that raises, and one that dies, are in the failed registry with the reason."""
    job = queue.enqueue(function, failure_ttl=60)
    burst()
    assert status(job) == "failed"
    assert ids(FailedJobRegistry(queue=queue)) == [job.id]
    result = job.latest_result()
    assert result is not None
    assert result.type == Result.Type.FAILED
    reasons = ("ValueError",) if function is tasks.fail else ("SIGKILL", "signal 9")
    assert any(reason in str(result.exc_string) for reason in reasons)
    assert ids(StartedJobRegistry(queue=queue)) == []


@pytest.mark.parametrize(("ttl", "kept"), [(0, None), (60, 60), (-1, -1), (None, 500)])
def test_result_ttl(redis: Redis, queue: Queue, burst: Burst, ttl: int | None, kept: int | None) -> None:
    """0 deletes at once, -1 keeps for ever, None is the worker's default."""
    job = queue.enqueue(tasks.add, 1, 2, result_ttl=ttl)
    burst()
    if kept is None:
        assert not redis.exists(job.key)
        assert not redis.exists(Result.get_key(job.id))
        return
    for key in (job.key, Result.get_key(job.id)):
        assert kept - 30 <= redis.ttl(key) <= kept
    score = redis.zscore(FinishedJobRegistry(queue=queue).key, job.id)
    assert score is not None
    assert (score == float("inf")) == (kept == -1)


def test_ttl_of_a_waiting_job_ends_with_its_start(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """A job that waits too long goes; one that runs stays."""
    gone = queue.enqueue(tasks.trace, ttl=1)
    eventually(lambda: not redis.exists(gone.key))
    first = queue.enqueue(tasks.trace)
    start()
    eventually(lambda: status(first) == "finished")  # the worker is there, however slow the machine
    job = queue.enqueue(tasks.nap, 2.5, ttl=2)
    eventually(lambda: status(job) == "finished")
    assert job.return_value() == "rested"
    assert ledger(redis, gone) == []


def test_retry_at_once_and_later(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """`Retry` on enqueue: as many attempts as asked for, intervals through the scheduled registry."""
    soon = queue.enqueue(tasks.fail_times, 2, retry=Retry(max=2))
    later = queue.enqueue(tasks.fail, retry=Retry(max=1, interval=60))
    never = queue.enqueue(tasks.fail, retry=Retry(max=2))
    start()
    eventually(lambda: status(soon) == "finished" and status(later) == "scheduled" and status(never) == "failed")
    assert ledger(redis, soon) == ["start"] * 3
    assert ledger(redis, never) == ["start"] * 3
    assert ids(ScheduledJobRegistry(queue=queue)) == [later.id]
    later.refresh()
    assert later.retries_left == 0


def test_returned_retry(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """A returned `Retry` runs the job again, or schedules it, and leaves a result of its own."""
    soon, later = queue.enqueue(tasks.ask_again, 2), queue.enqueue(tasks.ask_again, 1, 60)
    start()
    eventually(lambda: status(soon) == "finished" and status(later) == "scheduled")
    assert [result.type for result in soon.results()] == [
        Result.Type.SUCCESSFUL, Result.Type.RETRIED, Result.Type.RETRIED,
    ]  # fmt: skip
    later.refresh()
    assert later.number_of_retries == 1


def test_repeat(redis: Redis, queue: Queue, burst: Burst) -> None:
    """`Repeat` runs the job again after its end."""
    job = queue.enqueue(tasks.trace, repeat=Repeat(times=2))
    burst()
    assert ledger(redis, job) == ["start", "end"] * 3
    assert status(job) == "finished"


def test_callbacks(redis: Redis, queue: Queue, burst: Burst) -> None:
    """Success and failure callbacks run in the worker; one that raises fails the job."""
    good = queue.enqueue(tasks.add, 1, 2, on_success=Callback(tasks.on_success), on_failure=Callback(tasks.on_failure))
    bad = queue.enqueue(tasks.fail, on_success=Callback(tasks.on_success), on_failure=Callback(tasks.on_failure))
    spoilt = queue.enqueue(tasks.add, 1, 2, on_success=Callback(tasks.bad_callback))
    burst()
    assert ledger(redis, good) == ["success 3"]
    assert ledger(redis, bad) == ["start", "failure ValueError"]
    assert status(spoilt) == "failed"


def test_dependencies(redis: Redis, queue: Queue, burst: Burst) -> None:
    """A child runs after its parents; after a failed one only if it allows that."""
    parent, failing = queue.enqueue(tasks.trace), queue.enqueue(tasks.fail)
    child = queue.enqueue(tasks.trace, depends_on=parent)
    stuck = queue.enqueue(tasks.trace, depends_on=failing)
    tolerant = queue.enqueue(tasks.trace, depends_on=Dependency(failing, allow_failure=True))
    grandchild = queue.enqueue(tasks.trace, depends_on=[child, tolerant])
    assert set(ids(DeferredJobRegistry(queue=queue))) == {child.id, stuck.id, tolerant.id, grandchild.id}
    burst()
    assert [status(job) for job in (parent, child, tolerant, grandchild)] == ["finished"] * 4
    assert status(stuck) == "deferred"
    assert ids(DeferredJobRegistry(queue=queue)) == [stuck.id]


def test_rate_limit(redis: Redis, queue: Queue, burst: Burst) -> None:
    """A limit of one lets one in at a time, and none is left behind."""
    limit = RateLimit("one", concurrency=1)
    jobs = [queue.enqueue(tasks.trace, 0.05, rate_limit=limit) for _ in range(3)]
    assert [status(job) for job in jobs].count("queued") == 1
    burst()
    assert [status(job) for job in jobs] == ["finished"] * 3


def test_group(redis: Redis, queue: Queue, burst: Burst) -> None:
    """The jobs of a group can be found by it."""
    group = Group.create(connection=redis)
    jobs = group.enqueue_many(queue, [Queue.prepare_data(tasks.add, (1, n)) for n in range(3)])
    burst()
    assert sorted(job.return_value() for job in jobs) == [1, 2, 3]
    assert len(group.get_jobs()) == 3


def test_cancel_and_delete_of_waiting_jobs(redis: Redis, queue: Queue, burst: Burst) -> None:
    """Neither runs."""
    canceled, deleted = queue.enqueue(tasks.trace), queue.enqueue(tasks.trace)
    canceled.cancel()
    deleted.delete()
    burst()
    assert ledger(redis, canceled) == ledger(redis, deleted) == []
    assert ids(CanceledJobRegistry(queue=queue)) == [canceled.id]
