"""What all tests share: a Redis of our own on a free port, and a fake one for unit tests."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakeredis import FakeRedis, FakeServer
from hypothesis import settings
from redis import Redis

from config import Config
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from local.redis_server import RedisServer

settings.register_profile("offstage", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("offstage")

for _name in Config.model_fields:  # whatever is set on this machine is not for the tests
    os.environ.pop(_name.upper(), None)


@pytest.fixture
def fake_redis() -> Iterator[FakeRedis]:
    """An empty Redis inside this process, with Lua. Forking workers cannot share it: use `redis` for those."""
    with FakeRedis(server=FakeServer(server_type="redis", version=(7, 0))) as client:
        yield client


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite database to copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def sqlite_database(migrated_file: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty, migrated SQLite database."""
    database = Database(f"sqlite:///{shutil.copy(migrated_file, tmp_path / 'test.db')}")
    yield database
    database.engine.dispose()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real server for this test session. Tests that stop or kill one start their own."""
    folder: Path = tmp_path_factory.mktemp("redis")
    with RedisServer(folder) as server:
        yield server


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """A client of the real server, which is empty at the start of the test."""
    with Redis.from_url(redis_server.url) as client:
        client.flushall()
        yield client
