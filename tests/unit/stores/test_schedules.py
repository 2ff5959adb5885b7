"""The table of schedules, on SQLite and PostgreSQL."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import delete

from jobs.stores.database import Database
from jobs.stores.schedules import Schedule, ScheduleExists, ScheduleNotFound, ScheduleStore, TooManySchedules
from jobs.stores.schema import schedules

ONE = Schedule(
    id="1" * 32,
    tenant="acme",
    name="一",
    source="api",
    type="a.b",
    args={"word": "好"},
    cron=None,
    every=60,
    timezone="UTC",
    missed="run_once",
    enabled=True,
    anchor=1_000,
    next_run=1_060,
)
RUN = {"planned_at": 1_060, "at": 1_060.5, "outcome": "started", "job_id": "x"}


@pytest.fixture
def store(database: Database) -> ScheduleStore:
    with database.write() as connection:
        connection.execute(delete(schedules))
    return ScheduleStore(database)


def test_what_is_kept_comes_back(store: ScheduleStore) -> None:
    """With its number and the time of its creation."""
    kept = store.add(ONE)
    assert replace(kept, number=0, created_at=None, runs=()) == ONE
    assert kept.created_at
    assert kept.created_at.tzinfo


def test_of_many_at_once_one_moves_a_schedule_on(store: ScheduleStore) -> None:
    """The others learn that it was not them."""
    seen = store.add(ONE)
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda _: store.advance(seen, 1_120, RUN, None), range(24)))
    assert won.count(True) == 1
    assert store.get("acme", ONE.id).runs == [RUN]
    assert store.due(1_119, 10) == []
    assert [schedule.id for schedule in store.due(1_120, 10)] == [ONE.id]


def test_schedulers_that_start_together_take_the_file_over_once(store: ScheduleStore) -> None:
    """Both read the same; one that loses the race finds it done when it tries again."""
    given = [replace(ONE, id=f"{n:032}", name=f"s{n}", source="file") for n in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.sync(given), range(8)))
    assert len(store.list("acme", limit=100)) == 20
    store.sync(given[:5])
    assert len(store.list("acme", limit=100)) == 5


def test_what_is_changed_while_a_run_is_recorded_is_not_lost(store: ScheduleStore) -> None:
    """A change that leaves the plan alone does not put the schedule back to a run that was."""
    seen = store.add(ONE)
    assert store.advance(seen, 1_120, RUN, None)
    changed = store.replace(replace(seen, name="other"), keep_plan=True)
    assert (changed.name, changed.next_run, changed.runs) == ("other", 1_120, [RUN])


def test_a_tenant_has_so_many_and_no_more(store: ScheduleStore, database: Database) -> None:
    """Another tenant is not concerned, nor do those of the file count; a taken name is taken."""
    small = ScheduleStore(database, limit=1)
    small.sync([replace(ONE, id="5" * 32, source="file")])
    small.add(ONE)
    with pytest.raises(TooManySchedules):
        small.add(replace(ONE, id="2" * 32, name="two"))
    small.add(replace(ONE, id="3" * 32, tenant="other"))
    with pytest.raises(ScheduleExists):
        store.add(replace(ONE, id="4" * 32))


def test_a_deleted_schedule_is_gone(store: ScheduleStore) -> None:
    """For changing, deleting and moving on."""
    seen = store.add(ONE)
    with pytest.raises(ScheduleNotFound):
        store.delete("other", ONE.id)
    store.delete("acme", ONE.id)
    for act in (lambda: store.delete("acme", ONE.id), lambda: store.replace(seen), lambda: store.get("acme", ONE.id)):
        with pytest.raises(ScheduleNotFound):
            act()
    assert not store.advance(seen, 1_120, RUN, None)


def test_a_tenant_has_no_more_schedules_when_many_come_at_once(database: Database) -> None:
    """None of them counts without the others."""
    small = ScheduleStore(database, limit=3)

    def add(number: int) -> bool:
        try:
            small.add(replace(ONE, id=f"{number:032}", name=f"s{number}"))
        except TooManySchedules:
            return False
        return True

    with ThreadPoolExecutor(10) as pool:
        kept = list(pool.map(add, range(30)))
    assert (kept.count(True), len(small.list("acme", limit=100))) == (3, 3)
