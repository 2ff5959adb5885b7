"""Many writers at once, on both databases; and a lock that is held for long."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from jobs.stores.database import Database, is_away

ROOT = Path(__file__).resolve().parents[3]
WRITERS, ROUNDS = 8, 60


@pytest.fixture
def counts(database: Database) -> Iterator[Database]:
    """A database with two counters at zero."""
    with database.write() as connection:
        connection.execute(text("CREATE TABLE counts (name VARCHAR(10) PRIMARY KEY, n INTEGER NOT NULL)"))
        connection.execute(text("INSERT INTO counts VALUES ('all', 0), ('first', 0)"))
    yield database
    with database.write() as connection:
        connection.execute(text("DROP TABLE counts"))


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Hold SQLite's write lock, as another process would."""
    with database.write():
        yield


def url_of(database: Database) -> str:
    return database.url.render_as_string(hide_password=False)


def test_eight_processes_lose_no_update_and_none_is_locked_out(counts: Database) -> None:
    """Each counts in every round, and of each round one is the first: nobody's work is overwritten, nobody fails."""
    command = [sys.executable, "-m", "tests.unit.stores.writer", url_of(counts), str(ROUNDS)]
    writers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(WRITERS)]
    said = [writer.communicate(timeout=120)[0] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS
    with counts.read() as connection:
        found = {row.name: row.n for row in connection.execute(text("SELECT name, n FROM counts"))}
    assert found == {"all": WRITERS * ROUNDS, "first": ROUNDS}
    assert sum(map(int, said)) == ROUNDS


def test_a_writer_waits_for_the_lock(sqlite_database: Database) -> None:
    """And has it when the other has let go."""
    done: list[float] = []

    def write() -> None:
        with sqlite_database.write() as connection:
            connection.execute(text("SELECT 1"))
        done.append(time.monotonic())

    writer = Thread(target=write)
    with locked(sqlite_database):
        writer.start()
        writer.join(0.3)
        assert writer.is_alive()
        released = time.monotonic()
    writer.join(10)
    assert done
    assert done[0] >= released


def test_reading_goes_on_under_the_lock(sqlite_database: Database) -> None:
    """WAL: who reads waits for nobody."""
    with locked(sqlite_database):
        assert sqlite_database.answers()


def test_who_waits_for_the_lock_holds_up_no_other_request(sqlite_database: Database) -> None:
    """In a web process with gevent: a second greenlet counts on while the first waits."""
    program = f"""
from gevent import monkey
monkey.patch_all()
import gevent
from sqlalchemy import text
from jobs.stores.database import Database
database, ticks = Database({url_of(sqlite_database)!r}), []

def write():
    with database.write() as connection:
        connection.execute(text("SELECT 1"))
    return len(ticks)

def tick():
    while True:
        gevent.sleep(0.01)
        ticks.append(1)

print("waiting", flush=True)
gevent.spawn(tick)
print(gevent.spawn(write).get())
"""
    with locked(sqlite_database):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.5)  # what the lock's holder does meanwhile
    assert int(process.communicate(timeout=20)[0]) > 10


def test_a_lock_that_is_held_too_long_is_a_database_that_is_away(sqlite_database: Database) -> None:
    """The web answers 503, a job waits; what was asked for is not half done."""
    impatient = Database(url_of(sqlite_database), busy_seconds=0.2)
    with locked(sqlite_database):
        with pytest.raises(OperationalError) as raised, impatient.write():
            pass
        assert is_away(raised.value)
    with impatient.write() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    impatient.engine.dispose()


def test_an_error_does_not_show_the_parameters_of_its_statement(counts: Database) -> None:
    """They are people's texts, and errors go to the log."""
    with pytest.raises(IntegrityError) as raised, counts.write() as connection:
        connection.execute(text("INSERT INTO counts (name, n) VALUES ('secret', :n)"), {"n": None})
    assert "hide_parameters" in str(raised.value)
    with pytest.raises(DBAPIError) as refused, counts.write() as connection:
        connection.execute(text("INSERT INTO counts VALUES (:name, :n)"), {"name": "我的秘密", "n": None})
    assert "我的秘密" not in str(refused.value).replace(str(refused.value.orig), "")
