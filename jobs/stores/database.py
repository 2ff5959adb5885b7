"""The database: one engine, one schema, short transactions.

SQLite runs in WAL mode and takes its write lock when a transaction that will write begins (`BEGIN IMMEDIATE`): the
default, deferred, loses concurrent updates without an error. PostgreSQL runs as it is. On both, errors do not show the
parameters of a statement: those are people's texts, and errors go to the log.
"""

import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, literal, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

SQLITE_BUSY_SECONDS = 15.0
_BUSY_PAUSE = (0.001, 0.01)  # seconds between two tries for the write lock
_SQLITE_AWAY = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_READONLY")


class Database:
    """Hands out connections. Building one connects nothing.

    Use `read()` for queries and `write()` for changes: each is one transaction. On SQLite, who would write waits for
    other writers for `busy_seconds` at most.
    """

    def __init__(self, url: str, *, busy_seconds: float = SQLITE_BUSY_SECONDS) -> None:
        self.url = make_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        if self.is_sqlite and self.url.database:
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
        self.engine = _sqlite_engine(url, busy_seconds) if self.is_sqlite else _postgres_engine(url)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Yield a connection for queries; nothing is committed."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Yield a connection in a transaction that commits at the end, or rolls back when the block raises."""
        with self.engine.connect().execution_options(offstage_write=True) as connection, connection.begin():
            yield connection

    def answers(self) -> bool:
        """Say whether the database answers."""
        try:
            with self.read() as connection:
                return connection.execute(text("SELECT 1")).scalar() == 1
        except SQLAlchemyError:
            return False

    def after_fork(self) -> None:
        """Forget inherited connections without closing them: they belong to the parent process."""
        self.engine.dispose(close=False)


def _postgres_engine(url: str) -> Engine:
    return create_engine(url, pool_pre_ping=True, hide_parameters=True)


def _sqlite_engine(url: str, busy_seconds: float) -> Engine:
    options = {"timeout": busy_seconds, "check_same_thread": False}
    engine = create_engine(url, connect_args=options, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        connection.create_function("lower", 1, _lower, deterministic=True)  # SQLite's own knows ASCII only
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if connection.get_execution_options().get("offstage_write"):
            _begin_writing(connection, busy_seconds)
        else:
            connection.exec_driver_sql("BEGIN")

    return engine


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _begin_writing(connection: Connection, busy_seconds: float) -> None:
    """Take the write lock, with the waiting done here.

    SQLite's own waits in C, where no other request of a web process goes on; and it waits longer the longer it has
    waited, so that newcomers overtake.
    """
    raw: Any = connection.connection.dbapi_connection
    until = time.monotonic() + busy_seconds
    raw.execute("PRAGMA busy_timeout=0")
    try:
        while not _begun(connection, last=time.monotonic() > until):
            time.sleep(random.uniform(*_BUSY_PAUSE))  # noqa: S311 - spreads the tries, guards nothing
    finally:
        raw.execute(f"PRAGMA busy_timeout={round(busy_seconds * 1000)}")


def _begun(connection: Connection, *, last: bool) -> bool:
    try:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    except OperationalError as error:
        if last or not str(getattr(error.orig, "sqlite_errorname", "")).startswith("SQLITE_BUSY"):
            raise
        return False
    return True


def insert_into(connection: Connection, table: Any) -> Any:
    """Return an INSERT that knows ON CONFLICT, which both databases have and SQLAlchemy keeps in their dialects."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def inserted(connection: Connection, table: Any, row: Mapping[str, Any]) -> bool:
    """Insert a row; return False, and change nothing, if one of its keys is there already."""
    new = insert_into(connection, table).values(row).on_conflict_do_nothing().returning(literal(1))
    return connection.execute(new).first() is not None


def take_turns(connection: Connection, name: str) -> None:
    """Let the transactions that call this with the same name go one after another, from here to their ends: what one
    counts, no other changes. On SQLite all that write do so anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


def utc(time: datetime | None) -> datetime | None:
    """Return a time as it was stored: SQLite hands it out without its zone."""
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time


def is_away(error: BaseException) -> bool:
    """Say whether an error means that the database does not do its work now, and may do so later."""
    if isinstance(error, PoolTimeout):  # every connection is in use, by those who wait for an answer
        return True
    if not isinstance(error, DBAPIError):
        return False
    name = getattr(error.orig, "sqlite_errorname", None)
    if name is not None:
        return str(name).startswith(_SQLITE_AWAY)
    return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
