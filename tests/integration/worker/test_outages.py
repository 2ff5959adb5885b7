"""Redis killed, hung or restarted while jobs run: workers live on, and what ended meanwhile is recorded."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import ConstantBackoff
from redis.retry import Retry as ClientRetry
from rq import Queue, Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from local.redis_server import RedisServer
from tests.integration.worker import tasks
from tests.integration.worker.fleet import Fleet, WorkerProcess, eventually

OUTAGE = 2.0  # seconds


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that this test may break."""
    with RedisServer(tmp_path / "redis") as running:
        yield running


@pytest.fixture
def patient(server: RedisServer) -> Iterator[Redis]:
    """A client that waits for the server to come back."""
    with Redis.from_url(server.url, retry=ClientRetry(ConstantBackoff(0.1), 100)) as client:
        yield client


def kill(server: RedisServer) -> None:
    """Kill the server; it comes back with what it had on disk."""
    server.kill()
    time.sleep(OUTAGE)
    server.start()


def hang(server: RedisServer) -> None:
    """Stop the server's process for a while."""
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(OUTAGE)
    os.kill(server.pid, signal.SIGCONT)


def restart(server: RedisServer) -> None:
    """Shut the server down in good order, and start it later."""
    server.stop()
    time.sleep(OUTAGE)
    server.start()


@pytest.mark.parametrize("outage", [kill, hang, restart])
@pytest.mark.parametrize("kind", ["ours", "threads"])
@pytest.mark.parametrize("ending", ["returns", "raises", "retries"])
def test_a_job_that_ends_while_redis_is_away_is_recorded(
    server: RedisServer,
    patient: Redis,
    tmp_path: Path,
    outage: Callable[[RedisServer], None],
    kind: str,
    ending: str,
) -> None:
    """It ran once for its result, and the same worker goes on afterwards, although it was silent for long."""
    queue = Queue("default", connection=patient, serializer=JSONSerializer)
    function = {"returns": tasks.quiet, "raises": tasks.quiet_failure, "retries": tasks.quiet_failure}[ending]
    job = queue.enqueue(function, 1.5, retry=Retry(max=1, interval=3600) if ending == "retries" else None)
    marker = tmp_path / "ran"
    job.meta["marker"] = str(marker)
    job.save_meta()
    with Fleet(server.url, tmp_path) as fleet:
        workers = [fleet.start(["default"], kind=kind, set={"dead_after": 1.0}) for _ in range(2)]
        eventually(marker.exists)
        eventually(lambda: patient.zcard("offstage:workers") == 2)
        outage(server)
        wanted = {"returns": "finished", "raises": "failed", "retries": "scheduled"}[ending]
        eventually(lambda: _status(patient, job) == wanted, 20, what=f"{wanted}, not {_status(patient, job)}")
        assert marker.read_text() == "x"
        after = queue.enqueue(tasks.add, 1, 2)
        eventually(lambda: _status(patient, after) == "finished", 20)
        assert _alive(workers)
        assert not patient.keys("rq:execution:*")


@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_a_worker_whose_redis_is_gone_for_good_can_be_stopped(
    server: RedisServer, patient: Redis, tmp_path: Path, kind: str
) -> None:
    """It does not wait for ever to say what became of its job; other workers would find out."""
    job = Queue("default", connection=patient, serializer=JSONSerializer).enqueue(tasks.quiet, 1.0)
    marker = tmp_path / "ran"
    job.meta["marker"] = str(marker)
    job.save_meta()
    with Fleet(server.url, tmp_path) as fleet:
        worker = fleet.start(["default"], kind=kind, set={"shutdown_grace": 1.0})
        eventually(marker.exists)
        server.kill()
        worker.terminate_group()
        eventually(lambda: worker.process.poll() is not None, 30)


def _status(redis: Redis, job: Job) -> str:
    return (redis.hget(job.key, "status") or b"").decode()


def _alive(workers: list[WorkerProcess]) -> bool:
    return all(worker.process.poll() is None for worker in workers)
