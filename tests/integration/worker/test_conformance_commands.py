"""What RQ promises of a worker holds for ours as for its own: commands, signals, registries, the command line."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.command import (
    send_kill_horse_command,
    send_shutdown_command,
    send_stop_execution_command,
    send_stop_job_command,
)
from rq.registry import (
    FailedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer
from rq.suspension import resume, suspend
from rq.worker import Worker

from tests.integration.worker import tasks
from tests.integration.worker.fleet import WorkerProcess, eventually
from tests.integration.worker.looks import ids, ledger, running, status

StartWorker = Callable[..., WorkerProcess]
Burst = Callable[..., None]


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
