"""What the worker's tests share: queues on a real Redis, and worker processes that end with the test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from local.redis_server import RedisServer
from tests.integration.worker.fleet import Fleet


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
