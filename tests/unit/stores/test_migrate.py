"""The migrations and the schema say the same, on both databases."""

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text

from jobs.stores.database import Database
from jobs.stores.migrate import MIGRATIONS, migrating, upgrade
from jobs.stores.schema import is_ours, metadata
from jobs.stores.sessions import SessionStore


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'test.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))


def test_the_migrations_make_the_schema(database: Database) -> None:
    """Tables, columns, types, keys and indexes."""
    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_object": is_ours, "compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_every_table_carries_the_tenant() -> None:
    """No row is without an owner."""
    assert [table.name for table in metadata.sorted_tables if "tenant" not in table.c] == []
    assert [table.name for table in metadata.sorted_tables if table.c.tenant.nullable] == []


def test_several_processes_can_migrate_at_once(url: str) -> None:
    """A release that runs on two machines: one works, the other waits, and both succeed."""
    start = f"from jobs.stores.migrate import upgrade; upgrade({url!r})"
    processes = [subprocess.Popen([sys.executable, "-c", start]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert "documents" in _tables(url)


def test_upgrading_twice_changes_nothing(url: str) -> None:
    """The second run finds nothing to do."""
    upgrade(url)
    before = _tables(url)
    upgrade(url)
    assert _tables(url) == before


def test_a_migration_can_be_taken_back(url: str) -> None:
    """Downgrading to the start leaves alembic's own table alone."""
    upgrade(url)
    with migrating(url) as connection:
        settings = AlembicConfig(attributes={"connection": connection})
        settings.set_main_option("script_location", str(MIGRATIONS))
        command.downgrade(settings, "base")
    assert _tables(url) == {"alembic_version"}


def test_conversations_from_before_have_their_sessions(url: str) -> None:
    """Counted as memorized and analyzed: an upgrade asks no model anything."""
    upgrade(url, "0008")
    database = Database(url)
    with database.write() as connection:
        for number in range(3):
            values = {"tenant": "a", "user_id": "1", "session_id": "s", "message": "x", "response": "y", "model": "m"}
            counts = {"cut_off": False, "prompt_tokens": 1, "completion_tokens": number, "estimated": True}
            names = [*values, *counts, "response_time", "created_at"]
            row = values | counts | {"response_time": 0.1, "created_at": datetime(2026, 1, 31, tzinfo=UTC)}
            into = f"INSERT INTO conversations ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
            connection.execute(text(into), row)
    upgrade(url)
    [session] = SessionStore(database).list("a", "1")
    assert (session.session_id, session.exchanges, SessionStore(database).claim("a", "j", 9)) == ("s", 3, [])
    database.engine.dispose()


def test_a_failed_migration_leaves_nothing(url: str) -> None:
    """All in one transaction, the definitions of tables too."""

    def fail_half_way() -> None:
        with migrating(url) as connection:
            connection.execute(text("CREATE TABLE half_done (id integer)"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert _tables(url) == set()


def _tables(url: str) -> set[str]:
    database = Database(url)
    with database.read() as connection:
        names = set(inspect(connection).get_table_names())
    database.engine.dispose()
    return names
