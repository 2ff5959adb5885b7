"""Dead workers: taken over once, by whoever is there; strays come back; commands are heard after an outage."""

import os
import signal
import time
from pathlib import Path

from redis import Redis
from rq import Queue, Retry
from rq.command import send_stop_job_command
from rq.serializers import JSONSerializer

from jobs.core.worker_parts import scripts
from local.redis_server import RedisServer
from tests.integration.worker import tasks
from tests.integration.worker.fleet import Fleet, eventually
from tests.integration.worker.looks import ledger, running, status

QUICK = {"set": {"dead_after": 1.5}}


def test_five_recoverers_requeue_once(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """The job of a killed worker starts once more, and uses one retry."""
    job = queue.enqueue(tasks.nap, 12, retry=Retry(max=5))
    victim = fleet.start(["default"], **QUICK)
    running(redis, job)
    for _ in range(5):
        fleet.start(["default"], **QUICK)
    eventually(lambda: redis.zcard("offstage:workers") == 6, 20)
    victim.kill_both()
    eventually(lambda: status(job) == "finished", 40)
    job.refresh()
    assert ledger(redis, job) == ["start", "start", "end"]
    assert job.retries_left == 4
    assert redis.zcard("offstage:workers") == 5


def test_a_job_without_retries_fails_as_abandoned(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """RQ's own rule for plain jobs: no retries left, so it has failed, and its next ones run."""
    job = queue.enqueue(tasks.nap, 30)
    victim = fleet.start(["default"], **QUICK)
    running(redis, job)
    victim.kill_both()
    fleet.start(["default"], **QUICK)
    eventually(lambda: status(job) == "failed", 20)
    assert "WorkerDied" in str(job.latest_result().exc_string)  # type: ignore[union-attr]
    after = queue.enqueue(tasks.add, 1, 1)
    eventually(lambda: status(after) == "finished")


def test_a_dead_stock_workers_job_is_taken_over_too(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """An execution whose worker nobody knows any more is found by the cleanup."""
    job = queue.enqueue(tasks.nap, 1, retry=Retry(max=1))
    victim = fleet.start(["default"], kind="stock", name="stock-victim")
    running(redis, job)
    victim.kill_both()
    redis.delete("rq:worker:stock-victim", "rq:clean_registries:default")  # as when their time is up
    fleet.start(["default"], set={"dead_after": 1.5, "maintenance_interval": 1})
    eventually(lambda: status(job) == "finished", 20)
    assert ledger(redis, job) == ["start", "start", "end"]


def test_a_start_that_was_answered_to_nobody_is_put_back(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """A job that Redis has as running here, and no slot knows, goes back without using a retry."""
    fleet.start(["other"], name="forgetful")
    eventually(lambda: redis.hget("rq:worker:forgetful", "state") == b"idle")
    job = queue.enqueue(tasks.trace, retry=Retry(max=1))
    now = time.time()
    args = ["rq", "forgetful", "2026-01-01T00:00:00.000000Z", repr(now), "e" * 32, 3600, "0"]
    assert scripts.call(redis, "start", [queue.key], args)
    fleet.start(["default"])
    eventually(lambda: status(job) == "finished", 40)
    job.refresh()
    assert job.retries_left == 1


def test_starting_again_with_the_same_execution_returns_the_same_job(redis: Redis, queue: Queue) -> None:
    """A reply that was lost is asked for again, and no second job is taken."""
    jobs = [queue.enqueue(tasks.trace) for _ in range(2)]
    args = ["rq", "w", "2026-01-01T00:00:00.000000Z", "1.0", "e" * 32, 3600]
    first = scripts.call(redis, "start", [queue.key], [*args, "0"])
    again = scripts.call(redis, "start", [queue.key], [*args, "1"])
    assert first[1] == again[1] == jobs[0].id.encode()
    assert queue.count == 1


def test_commands_are_heard_after_an_outage(tmp_path: Path) -> None:
    """A stop command reaches a worker that Redis had left for a while."""
    with RedisServer(tmp_path / "redis") as server, Redis.from_url(server.url) as redis:
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        with Fleet(server.url, tmp_path) as fleet:
            fleet.start(["default"])
            eventually(lambda: redis.zcard("offstage:workers") == 1)
            os.kill(server.pid, signal.SIGSTOP)
            time.sleep(1)
            os.kill(server.pid, signal.SIGCONT)
            server.kill()
            server.start()
            job = eventually(lambda: queue.enqueue(tasks.nap, 60))
            running(redis, job)
            channels = f"rq:pubsub:{eventually(lambda: redis.hget(job.key, 'worker_name')).decode()}"
            eventually(lambda: dict(redis.pubsub_numsub(channels))[channels.encode()] == 1)
            send_stop_job_command(redis, job.id, serializer=JSONSerializer)
            eventually(lambda: status(job) == "stopped")
