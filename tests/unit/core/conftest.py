"""The engine over fakeredis, and arguments to play with."""

from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from redis import Redis

from jobs.core import spec
from jobs.core.client import JobClient
from jobs.services import Services
from tests.fakes import engine_services, job_client

TENANT = "acme"


class WordArgs(BaseModel):
    word: str
    times: int = 1


class Counted(BaseModel):
    count: int


@pytest.fixture
def services(fake_redis: Redis) -> Services:
    return engine_services(fake_redis)


@pytest.fixture
def client(services: Services) -> JobClient:
    return job_client(services)


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Each test declares its own job types."""
    before = dict(spec._registry)
    yield
    spec._registry.clear()
    spec._registry.update(before)
