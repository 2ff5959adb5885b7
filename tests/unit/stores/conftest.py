"""Databases for the tests of the stores: each test gets an empty, migrated one, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from jobs.stores.schema import metadata
from tests.postgres import PostgresServer

_MIGRATED = "migrated"
_TABLES = ", ".join(metadata.tables)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A real server for this test session, with a migrated database."""
    with PostgresServer() as server:
        _administer(server, f"CREATE DATABASE {_MIGRATED}")
        upgrade(_url(server, _MIGRATED))
        yield server


@pytest.fixture
def empty_postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a PostgreSQL database without tables."""
    name = f"t{uuid4().hex}"
    _administer(postgres, f"CREATE DATABASE {name}")
    yield _url(postgres, name)
    _administer(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty, migrated database; the test runs once on each kind."""
    if request.param == "sqlite":
        yield request.getfixturevalue("sqlite_database")
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    database = Database(_url(server, _MIGRATED))
    with database.write() as connection:
        connection.execute(text(f"TRUNCATE {_TABLES} RESTART IDENTITY CASCADE"))
    yield database
    database.engine.dispose()


def _url(server: PostgresServer, name: str) -> str:
    return make_url(server.url).set(database=name).render_as_string(hide_password=False)


def _administer(server: PostgresServer, statement: str) -> None:
    engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
