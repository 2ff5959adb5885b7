"""Bring the database to the newest version: `python -m jobs.stores.migrate`, the Procfile's `release`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, text

from jobs.stores.database import Database

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
_ADVISORY_LOCK = 0x0FF57A6E


def upgrade(url: str, revision: str = "head") -> None:
    """Run the missing migrations, all or none. Of several processes at once, one works and the others wait."""
    from alembic import command
    from alembic.config import Config as AlembicConfig

    with migrating(url) as connection:
        settings = AlembicConfig(attributes={"connection": connection})
        settings.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        command.upgrade(settings, revision)


@contextmanager
def migrating(url: str) -> Iterator[Connection]:
    """Yield a connection in a transaction that no second migration shares."""
    database = Database(url)
    try:
        with database.write() as connection:
            if not database.is_sqlite:  # on SQLite, BEGIN IMMEDIATE is the lock
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield connection
    finally:
        database.engine.dispose()


if __name__ == "__main__":
    import sys

    from config import ConfigError, load_config

    try:
        upgrade(load_config().sqlalchemy_url)
    except ConfigError as error:
        sys.exit(f"offstage: {error}")
