"""Declared job types in real workers: retries, isolation, death, and the stop of a dyno."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from rq import Callback, Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs.core.client import JobClient
from jobs.core.schedule import Scheduler
from jobs.core.view import JobView
from local.redis_server import RedisServer
from tests.integration.worker import kinds
from tests.integration.worker.fleet import Fleet, WorkerProcess, eventually, send

assert kinds
TENANT = "local"
Start = Callable[[str], str]


@pytest.fixture
def client(redis: Redis) -> JobClient:
    """A client that keeps jobs for an hour."""
    return JobClient(redis, result_ttl=3600)


@pytest.fixture
def start(client: JobClient) -> Start:
    """Start a job by the name of its type."""
    return lambda name: client.start(name, {}, tenant=TENANT)


def ended(redis: Redis, client: JobClient, job_id: str, seconds: float = 20.0) -> JobView:
    """Return the job once it has ended, doing the scheduler's work meanwhile."""
    scheduler = Scheduler(redis)

    def look() -> JobView | None:
        scheduler.promote()
        view = client.get(TENANT, job_id)
        return view if view.ended else None

    return eventually(look, seconds, what=job_id)


def last_event(redis: Redis, job_id: str) -> bytes:
    """The last entry of the job's stream."""
    return redis.xrevrange(f"offstage:{TENANT}:events:{job_id}", count=1)[0][1][b"data"]


def worker(fleet: Fleet, **options: Any) -> WorkerProcess:
    """A worker of the declared job types."""
    return fleet.start(["high", "default", "low"], types=True, **options)


def test_a_job_completes_with_its_end_event(redis: Redis, fleet: Fleet, client: JobClient, start: Start) -> None:
    """Result, state and end event appear together."""
    job_id = start("probe.noop")
    worker(fleet)
    assert ended(redis, client, job_id).state == "completed"
    assert last_event(redis, job_id) == b'{"state":"completed"}'


def test_a_job_that_fails_each_time_uses_its_attempts(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start
) -> None:
    """Two attempts, the second after its backoff; then the hook, the end event, and a full set for `rq requeue`."""
    job_id = start("probe.broken")
    worker(fleet)
    view = ended(redis, client, job_id)
    assert view.state == "failed"
    assert [attempt.number for attempt in view.attempts] == [1, 2]
    assert b'"failed"' in last_event(redis, job_id)
    assert eventually(lambda: redis.lrange(f"hook:{job_id}", 0, -1)) == [b"temporarily_unavailable"]
    assert redis.hget(Job.key_for(job_id), "number_of_retries") == b"0"
    client.requeue(TENANT, job_id)
    assert len(ended(redis, client, job_id).attempts) == 4


def test_a_job_that_kills_its_worker_fails_and_says_why(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start
) -> None:
    """It gets its attempts, no more; jobs beside it run."""
    job_id, neighbour = start("probe.deadly"), start("probe.noop")
    worker(fleet)
    view = ended(redis, client, job_id)
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.code == "worker_died"
    assert "SIGKILL" in view.error.message
    assert redis.llen(f"starts:{job_id}") == 2
    assert ended(redis, client, neighbour).state == "completed"
    assert eventually(lambda: redis.lrange(f"hook:{job_id}", 0, -1)) == [b"worker_died"]


def test_in_threads_the_deadly_job_alone_is_blamed(redis: Redis, fleet: Fleet, client: JobClient, start: Start) -> None:
    """When several ran, each runs again in a process of its own, and the innocent ones use no attempt."""
    innocent = [start("probe.stepwise") for _ in range(2)]
    worker(fleet, kind="threads", threads=4)
    eventually(lambda: all(redis.exists(f"steps:{job_id}") for job_id in innocent))
    deadly = start("probe.deadly")
    view = ended(redis, client, deadly)
    assert view.error is not None
    assert view.error.code == "worker_died"
    for job_id in innocent:
        done = ended(redis, client, job_id)
        assert done.state == "completed"
        assert done.attempts == []


def test_an_isolated_job_has_its_own_process(redis: Redis, fleet: Fleet, client: JobClient, start: Start) -> None:
    """Its result comes back, and the horse lives on."""
    process = worker(fleet)
    first = ended(redis, client, start("probe.apart")).result
    second = ended(redis, client, start("probe.apart")).result
    assert first["pid"] != second["pid"]
    assert first["parent"] == second["parent"] == process.horse()


@pytest.mark.parametrize("kind", ["ours", "threads"])
@pytest.mark.parametrize(
    ("name", "code", "attempts"),
    [
        ("probe.memory", "resource_limit", 1),
        ("probe.cpu", "resource_limit", 1),
        ("probe.endless", "timeout", 1),
        ("probe.deadly_apart", "worker_died", 2),
    ],
)
def test_limits_end_isolated_jobs(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start, name: str, code: str, attempts: int, kind: str
) -> None:
    """Limits are not tried again; other deaths are. The horse is the same before and after."""
    process = worker(fleet, kind=kind, set={"isolated_cpu_seconds": 1, "isolated_memory_mb": 256})
    ended(redis, client, start("probe.noop"))
    horse = process.horse()
    view = ended(redis, client, start(name))
    assert view.state == "failed"
    assert view.error is not None
    assert view.error.code == code
    assert len(view.attempts) == attempts
    assert process.horse() == horse


@pytest.mark.parametrize("kind", ["ours", "threads"])
@pytest.mark.parametrize("name", ["probe.stepwise", "probe.stepwise_apart"])
def test_sigterm_to_all_processes_puts_a_long_job_back(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start, name: str, kind: str
) -> None:
    """It leaves at a checkpoint, without using an attempt, and goes on elsewhere after its last finished step."""
    job_id = start(name)
    first = worker(fleet, kind=kind)
    eventually(lambda: redis.llen(f"steps:{job_id}") > 3)
    first.terminate_group()
    began = time.monotonic()
    assert first.process.wait(5) == 0
    assert time.monotonic() - began < 3
    assert client.get(TENANT, job_id).state == "queued"
    worker(fleet)
    view = ended(redis, client, job_id)
    assert view.state == "completed"
    assert view.attempts == []
    assert [int(number) for number in redis.lrange(f"steps:{job_id}", 0, -1)] == list(range(40))


@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_cancel_reaches_the_running_job_only(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start, kind: str
) -> None:
    """The canceled one ends as canceled with its event; its neighbour completes without losing an attempt."""
    worker(fleet, kind=kind)
    neighbour, job_id = start("probe.stepwise"), start("probe.stepwise")
    running = job_id if kind == "threads" else neighbour
    eventually(lambda: redis.llen(f"steps:{running}") > 1)
    other = neighbour if running == job_id else job_id
    client.cancel(TENANT, running)
    assert ended(redis, client, running).state == "canceled"
    assert last_event(redis, running).startswith(b'{"state":"canceled"')
    view = ended(redis, client, other)
    assert view.state == "completed"
    assert view.attempts == []


def test_a_dead_workers_job_runs_again_within_30_seconds(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start
) -> None:
    """With the default settings, after kill -9 of parent and horse, on another worker."""
    job_id = start("probe.stepwise")
    redis.hset(Job.key_for(job_id), "meta", '{"tenant":"local","type":"probe.stepwise","retries":3}')
    first = worker(fleet)
    eventually(lambda: redis.llen(f"steps:{job_id}") > 2)
    worker(fleet)
    eventually(lambda: len(redis.smembers("rq:workers")) == 2)
    first.kill_both()
    killed, done = time.monotonic(), redis.llen(f"steps:{job_id}")
    assert start("probe.noop")
    scheduler = Scheduler(redis)

    def runs_again() -> bool:
        scheduler.promote()
        return redis.llen(f"steps:{job_id}") > done

    eventually(runs_again, 30, what="a new start")
    print(f"runs again {time.monotonic() - killed:.1f} s after kill -9")  # noqa: T201
    view = ended(redis, client, job_id)
    assert view.state == "completed"
    assert [attempt.code for attempt in view.attempts] == ["worker_died"]


def test_a_forged_job_is_not_run(redis: Redis, fleet: Fleet, client: JobClient, start: Start) -> None:
    """A hash that names another function, has pickled data, or is torn ends as failed; the worker lives on."""
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    forged = queue.enqueue("os.system", "touch /tmp/forged", on_success=Callback("os.abort")).id
    pickled = Queue("default", connection=redis).enqueue("os.system", "true").id
    torn = queue.enqueue("os.getpid").id
    redis.hset(Job.key_for(torn), mapping={"timeout": "soon", "meta": b"\x80\x04"})
    wrong = "wrong-type"
    redis.set(Job.key_for(wrong), "text")
    redis.rpush(queue.key, wrong)
    spoilt = [start("probe.noop"), start("probe.broken")]
    for job_id in spoilt:
        redis.set(f"rq:results:{job_id}", "text")
    process = worker(fleet)
    assert ended(redis, client, start("probe.noop")).state == "completed"
    for job_id in (forged, pickled, torn, *spoilt):
        assert redis.hget(Job.key_for(job_id), "status") == b"failed"
        assert redis.zscore("rq:failed:default", job_id) is not None
        assert Job.fetch(job_id, connection=redis, serializer=JSONSerializer).get_status() == "failed"
    assert redis.exists(f"offstage:quarantine:{torn}")
    send(process.pid, signal.SIGTERM)
    assert process.process.wait(5) == 0


def test_rqs_own_command_starts_the_worker(redis: Redis, redis_server: RedisServer) -> None:
    """`rq worker -w` runs jobs as JSON, with our job class, whatever the command's defaults are."""
    plain = Queue("default", connection=redis, serializer=JSONSerializer).enqueue("os.getpid")
    command = [sys.executable, "-m", "rq.cli", "worker", "-w", "jobs.core.worker.OffstageWorker", "--burst"]
    done = subprocess.run(
        [*command, "-u", redis_server.url, "high", "default"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert redis.hget(Job.key_for(plain.id), "status") == b"failed"
    result = plain.latest_result()
    assert result is not None
    assert "ForbiddenFunction" in str(result.exc_string)
