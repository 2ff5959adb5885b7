"""What the worker's tests share: queues on a real Redis, and worker processes that end with the test."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from local.redis_server import RedisServer
from tests.integration.worker.fleet import Fleet, WorkerProcess


@pytest.fixture
def queue(redis: Redis) -> Queue:
    """The default queue."""
    return Queue("default", connection=redis, serializer=JSONSerializer)


@pytest.fixture
def fleet(redis_server: RedisServer, tmp_path: Path) -> Iterator[Fleet]:
    """Workers on the session's Redis."""
    with Fleet(redis_server.url, tmp_path) as workers:
        yield workers
    problems = (tmp_path / "workers.log").read_text(encoding="utf-8", errors="replace")
    print(problems[-8000:])  # noqa: T201 - shown with a failed test


@pytest.fixture(params=["stock", "ours", "threads"])
def kind(request: pytest.FixtureRequest) -> str:
    """RQ's worker, ours, and ours with four threads."""
    return str(request.param)


@pytest.fixture
def start(fleet: Fleet, kind: str) -> Callable[..., WorkerProcess]:
    """Start a worker of this kind."""
    return lambda *queues, **options: fleet.start([*queues] or ["default"], kind=kind, **options)


@pytest.fixture
def burst(start: Callable[..., WorkerProcess]) -> Callable[..., None]:
    """Run a worker until the queues are empty."""

    def run(*queues: str, **options: Any) -> None:
        worker = start(*queues, work={"burst": True, **options.pop("work", {})}, **options)
        assert worker.process.wait(30) == 0

    return run
