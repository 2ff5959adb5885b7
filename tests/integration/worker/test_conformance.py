"""What RQ promises holds for our worker as for RQ's own: the same checks on both, ours also with threads."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue, Repeat, Retry
from rq.command import (
    send_kill_horse_command,
    send_shutdown_command,
    send_stop_execution_command,
    send_stop_job_command,
)
from rq.group import Group
from rq.job import Dependency, Job
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
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend
from rq.worker import Worker

from tests.integration.worker import tasks
from tests.integration.worker.fleet import Fleet, WorkerProcess, eventually

StartWorker = Callable[..., WorkerProcess]


@pytest.fixture(params=["stock", "ours", "threads"])
def kind(request: pytest.FixtureRequest) -> str:
    """RQ's worker, ours, and ours with four threads."""
    return str(request.param)


@pytest.fixture
def start(fleet: Fleet, kind: str) -> StartWorker:
    """Start a worker of this kind."""
    return lambda *queues, **options: fleet.start([*queues] or ["default"], kind=kind, **options)


@pytest.fixture
def burst(start: StartWorker) -> Callable[..., None]:
    """Run a worker until the queues are empty."""

    def run(*queues: str, **options: Any) -> None:
        worker = start(*queues, work={"burst": True, **options.pop("work", {})}, **options)
        assert worker.process.wait(30) == 0

    return run


Burst = Callable[..., None]


def ledger(redis: Redis, job: Job) -> list[str]:
    """The words of a job's ledger."""
    return [b" ".join(line.split()[:2] if line.split()[0] in (b"success", b"failure") else line.split()[:1]).decode()
            for line in redis.lrange(tasks.ledger_key(job.id), 0, -1)]  # fmt: skip


def ids(registry: Any) -> list[str]:
    """A registry's job ids, without cleaning it."""
    return list(registry.get_job_ids(cleanup=False))


def status(job: Job) -> str:
    """A job's status in Redis."""
    return job.get_status().value


def running(redis: Redis, job: Job) -> None:
    """Wait until the job's function has begun."""
    eventually(lambda: redis.exists(tasks.ledger_key(job.id)))


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
    job = queue.enqueue(tasks.nap, 2.5, ttl=2)
    start()
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


def test_timeout(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """A job over its time fails with RQ's exception; the next one runs."""
    late, next_one = queue.enqueue(tasks.nap, 30, job_timeout=1), queue.enqueue(tasks.add, 1, 1)
    start()
    eventually(lambda: status(late) == "failed" and status(next_one) == "finished", 15)
    assert "maximum timeout value" in str(late.latest_result().exc_string)  # type: ignore[union-attr]


def test_started_registry_and_worker_state(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """While a job runs, registry, executions, worker state and job tell of it; afterwards none does."""
    job = queue.enqueue(tasks.nap, 1.0)
    start(name="conformant")
    running(redis, job)
    [worker] = Worker.all(connection=redis, serializer=JSONSerializer)
    assert worker.name == "conformant"
    assert worker.get_state() == "busy"
    assert worker.get_current_job_id() == job.id
    assert ids(StartedJobRegistry(queue=queue)) == [job.id]
    [execution] = job.get_executions()
    job.refresh()
    assert (status(job), job.worker_name, execution.job_id) == ("started", "conformant", job.id)
    eventually(lambda: status(job) == "finished")
    eventually(lambda: redis.hget(worker.key, "state") == b"idle")
    assert ids(StartedJobRegistry(queue=queue)) == []
    worker.refresh()
    assert worker.successful_job_count == 1
    assert worker.total_working_time >= 1.0
    assert not redis.exists(worker.executions_key)


@pytest.mark.parametrize("by", ["job", "execution"])
def test_stop_command(redis: Redis, queue: Queue, start: StartWorker, by: str) -> None:
    """The job stops, its callback runs, and the worker goes on with the next one."""
    job = queue.enqueue(tasks.nap, 30, on_stopped=Callback(tasks.on_stopped))
    start()
    running(redis, job)
    if by == "job":
        send_stop_job_command(redis, job.id, serializer=JSONSerializer)
    else:
        send_stop_execution_command(redis, job.id, job.get_executions()[0].id)
    eventually(lambda: status(job) == "stopped")
    assert ledger(redis, job) == ["start", "stopped"]
    assert ids(FailedJobRegistry(queue=queue)) == [job.id]
    after = queue.enqueue(tasks.add, 1, 1)
    eventually(lambda: status(after) == "finished")


def test_kill_horse_command(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """The job fails and the worker lives."""
    job = queue.enqueue(tasks.nap, 30)
    start(name="victim")
    running(redis, job)
    send_kill_horse_command(redis, "victim")
    eventually(lambda: status(job) == "failed")
    after = queue.enqueue(tasks.add, 1, 1)
    eventually(lambda: status(after) == "finished")


@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "command"])
def test_warm_shutdown(redis: Redis, queue: Queue, start: StartWorker, how: str) -> None:
    """The running job ends, the next one waits for another worker, the worker's name is free again."""
    job, waiting = queue.enqueue(tasks.nap, 1.0), queue.enqueue(tasks.trace)
    worker = start(name="leaving", threads=1)
    running(redis, job)
    if how == "command":
        send_shutdown_command(redis, "leaving")
    else:
        worker.process.send_signal(getattr(signal, how))
    assert worker.process.wait(10) == 0
    assert (status(job), status(waiting)) == ("finished", "queued")
    assert redis.smembers("rq:workers") == set()
    assert redis.hexists("rq:worker:leaving", "death")


def test_cold_shutdown(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """A second signal ends the worker at once."""
    job = queue.enqueue(tasks.nap, 60)
    worker = start()
    running(redis, job)
    worker.process.send_signal(signal.SIGINT)
    time.sleep(1.2)  # RQ ignores a second signal within a second
    worker.process.send_signal(signal.SIGINT)
    worker.process.wait(5)
    assert "end" not in ledger(redis, job)


def test_suspend_and_resume(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """A suspended worker starts nothing; resumed it goes on."""
    start(name="pausing")
    eventually(lambda: redis.hget("rq:worker:pausing", "state") == b"idle")
    suspend(redis)
    job = queue.enqueue(tasks.trace)
    time.sleep(1.5)
    if status(job) != "queued":  # RQ's own worker takes one more, since it waits inside BLPOP
        job = queue.enqueue(tasks.trace)
        time.sleep(1.0)
    assert status(job) == "queued"
    resume(redis)
    eventually(lambda: status(job) == "finished")


def test_order_of_queues_and_at_front(redis: Redis, burst: Burst) -> None:
    """Earlier queues first; `at_front` goes before."""
    queues = {name: Queue(name, connection=redis, serializer=JSONSerializer) for name in ("high", "low")}
    order = [
        queues["low"].enqueue(tasks.trace),
        queues["high"].enqueue(tasks.trace),
        queues["high"].enqueue(tasks.trace, at_front=True),
    ]
    burst("high", "low", threads=1)
    starts = [float(redis.lrange(tasks.ledger_key(job.id), 0, 0)[0].split()[1]) for job in order]
    assert starts[2] < starts[1] < starts[0]


def test_max_jobs_and_max_idle_time(redis: Redis, queue: Queue, burst: Burst, start: StartWorker) -> None:
    """A worker leaves after so many jobs, or so long without."""
    jobs = [queue.enqueue(tasks.trace) for _ in range(3)]
    worker = start(work={"max_jobs": 2})
    assert worker.process.wait(10) == 0
    assert sorted(status(job) for job in jobs) == ["finished", "finished", "queued"]
    worker = start(work={"max_idle_time": 1})
    assert worker.process.wait(10) == 0
    assert [status(job) for job in jobs] == ["finished"] * 3


def test_scheduled_jobs_with_the_built_in_scheduler(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """`enqueue_in` runs when its time has come."""
    job = queue.enqueue_in(timedelta(seconds=1), tasks.trace)
    assert ids(ScheduledJobRegistry(queue=queue)) == [job.id]
    start(work={"with_scheduler": True})
    eventually(lambda: status(job) == "finished")


def test_cancel_and_delete_of_waiting_jobs(redis: Redis, queue: Queue, burst: Burst) -> None:
    """Neither runs."""
    canceled, deleted = queue.enqueue(tasks.trace), queue.enqueue(tasks.trace)
    canceled.cancel()
    deleted.delete()
    burst()
    assert ledger(redis, canceled) == ledger(redis, deleted) == []
    assert ids(CanceledJobRegistry(queue=queue)) == [canceled.id]


def test_a_job_deleted_while_it_runs_leaves_no_ghost(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """Its hash does not come back, and the worker goes on."""
    job = queue.enqueue(tasks.nap, 0.5)
    start()
    running(redis, job)
    job.delete()
    after = queue.enqueue(tasks.add, 1, 1)
    eventually(lambda: status(after) == "finished")
    eventually(lambda: "end" in ledger(redis, job))
    eventually(lambda: not redis.exists(StartedJobRegistry(queue=queue).key))


def test_requeue_of_failed_jobs(redis: Redis, queue: Queue, start: StartWorker) -> None:
    """`rq requeue` on the command line brings a failed job back."""
    job = queue.enqueue(tasks.fail_times, 1)
    start()
    eventually(lambda: status(job) == "failed")
    pool = redis.connection_pool.connection_kwargs
    url = f"redis://{pool['host']}:{pool['port']}/0"
    command = [sys.executable, "-m", "rq.cli", "requeue", "--queue", "default", "--all", "-u", url]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    eventually(lambda: status(job) == "finished")


def test_rq_info_counts_workers(redis: Redis, start: StartWorker) -> None:
    """`rq info` lists the worker with its queues."""
    start("high", "default", name="listed")
    eventually(lambda: redis.hget("rq:worker:listed", "state") == b"idle")
    pool = redis.connection_pool.connection_kwargs
    url = f"redis://{pool['host']}:{pool['port']}/0"
    command = [sys.executable, "-m", "rq.cli", "info", "--raw", "-u", url]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout
    assert "worker listed" in printed
    assert "high, default" in printed
