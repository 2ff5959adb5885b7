"""Schedules: checked, planned, started once, whatever the clock and the schedulers do."""

import logging
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError
from redis import Redis

from config import ConfigError, load_config
from jobs.core import schedules, spec
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.schedule_file import read_schedules
from jobs.core.schedules import GRACE, ScheduleSpec, ScheduleStarter, run_id
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from jobs.stores.schedules import (
    MAX_RUNS,
    Schedule,
    ScheduleExists,
    ScheduleNotFound,
    ScheduleReadOnly,
    ScheduleStore,
)
from tests.fakes import engine_services, job_client

TENANT = "acme"
START = 1_000_000_000.0  # a Sunday in September 2001


class WordArgs(BaseModel):
    word: str


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("schedules") / "migrated.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def store(migrated: Path, tmp_path: Path) -> Iterator[ScheduleStore]:
    database = Database(f"sqlite:///{shutil.copy(migrated, tmp_path / 'test.db')}")
    yield ScheduleStore(database)
    database.engine.dispose()


@pytest.fixture
def client(fake_redis: Redis) -> JobClient:
    return job_client(engine_services(fake_redis))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def starter(store: ScheduleStore, client: JobClient, clock: Clock) -> ScheduleStarter:
    return ScheduleStarter(store, client, clock=clock)


@pytest.fixture(autouse=True)
def word_job() -> Iterator[None]:
    """Declare `test.word`, which clients may start, and `test.secret`, which they may not."""

    @spec.job("test.word", public=True)
    def word(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    @spec.job("test.secret")
    def secret(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    yield
    spec._registry.pop("test.word", None)
    spec._registry.pop("test.secret", None)


def given(**fields: Any) -> dict[str, Any]:
    timing = {} if "cron" in fields else {"every": 60}
    return {"name": "hourly", "type": "test.word", "args": {"word": "好"}, **timing, **fields}


def created(store: ScheduleStore, **fields: Any) -> Schedule:
    return schedules.create(store, TENANT, ScheduleSpec(**given(**fields)), START)


def job_ids(client: JobClient) -> set[str]:
    return {view.id for view in client.list(TENANT, limit=100).jobs}


def outcomes(schedule: Schedule) -> list[tuple[float, str]]:
    """Return the last runs, oldest first: seconds after the start, outcome."""
    return [(run["planned_at"] - START, run["outcome"]) for run in reversed(schedule.runs)]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", {"name": ""}),
        ("type", {"type": "no.such"}),
        ("type", {"type": "test.secret"}),
        ("args", {"args": {}}),
        ("cron", {"cron": "61 * * * *"}),
        ("cron", {"cron": "0 0 31 2 *"}),
        ("every", {"every": 0}),
        ("every", {"every": 367 * 86400}),
        ("every", {"every": 1.5}),
        ("every", {"every": None}),
        ("every", {"every": 60, "cron": "* * * * *"}),
        ("timezone", {"timezone": "Mars/Olympus"}),
        ("missed", {"missed": "perhaps"}),
        ("tenant", {"tenant": "other"}),
    ],
)
def test_what_does_not_fit_is_named(field: str, wrong: dict[str, Any]) -> None:
    """By its field, and without the value."""
    with pytest.raises(ValidationError) as caught:
        ScheduleSpec(**given(**wrong))
    assert [error["loc"] for error in caught.value.errors()] == [(field,)]


def test_a_due_run_is_started_once_and_the_next_is_planned(
    store: ScheduleStore, starter: ScheduleStarter, client: JobClient, clock: Clock
) -> None:
    """Nothing before its time; then one job with the announced id, however often one looks."""
    schedule = created(store)
    assert schedule.next_run == START + 60
    clock.now += 59.9
    assert starter.start_due() == 0
    clock.now += 0.2
    assert [starter.start_due() for _ in range(3)] == [1, 0, 0]
    assert job_ids(client) == {run_id(schedule, int(START) + 60)}
    after = store.get(TENANT, schedule.id)
    assert (after.next_run, outcomes(after)) == (START + 120, [(60, "started")])
    assert client.get(TENANT, after.runs[0]["job_id"]).type == "test.word"


def test_two_schedulers_that_see_the_same_run_start_it_once(
    store: ScheduleStore, starter: ScheduleStarter, client: JobClient, clock: Clock
) -> None:
    """Also when the slower one has read the schedule before the other moved it on; it then records nothing."""
    schedule = created(store)
    clock.now += 60
    slow = _Frozen(store, store.due(clock.now, 10))
    starter.start_due()
    ScheduleStarter(slow, client, clock=clock).start_due()
    assert len(job_ids(client)) == 1
    assert outcomes(store.get(TENANT, schedule.id)) == [(60, "started")]


def test_a_scheduler_that_died_half_way_leaves_the_run_to_the_next(
    store: ScheduleStore, client: JobClient, clock: Clock
) -> None:
    """Killed after the enqueue: the next one finds the job there, and records the run."""
    schedule = created(store)
    clock.now += 60
    with pytest.raises(KeyboardInterrupt):
        ScheduleStarter(_Dying(store), client, clock=clock).start_due()
    assert outcomes(store.get(TENANT, schedule.id)) == []
    ScheduleStarter(store, client, clock=clock).start_due()
    assert len(job_ids(client)) == 1
    assert outcomes(store.get(TENANT, schedule.id)) == [(60, "started")]


@pytest.mark.parametrize(("missed", "jobs"), [("run_once", 1), ("skip", 0)])
def test_what_was_missed_is_run_once_or_skipped(
    store: ScheduleStore, starter: ScheduleStarter, client: JobClient, clock: Clock, missed: str, jobs: int
) -> None:
    """Ten runs fell into the time that nobody was there; the rhythm goes on as if nothing had been."""
    schedule = created(store, missed=missed)
    clock.now += 605
    starter.start_due()
    starter.start_due()
    assert len(job_ids(client)) == jobs
    after = store.get(TENANT, schedule.id)
    assert after.next_run == START + 660
    assert outcomes(after) == [(60, "started" if jobs else "skipped")]
    clock.now = START + 660
    starter.start_due()
    assert len(job_ids(client)) == jobs + 1


def test_a_little_late_is_not_missed(
    store: ScheduleStore, starter: ScheduleStarter, client: JobClient, clock: Clock
) -> None:
    """A restart of the scheduler takes seconds."""
    created(store, missed="skip")
    clock.now += 60 + GRACE
    starter.start_due()
    assert len(job_ids(client)) == 1


def test_a_clock_that_jumps_starts_nothing_twice(
    store: ScheduleStore, starter: ScheduleStarter, client: JobClient, clock: Clock
) -> None:
    """Ahead by an hour and back again, over and over: never the same planned time twice."""
    schedule = created(store, cron="*/10 * * * *")
    for jump in (3600, -3600, 7200, -7200, -30, 60, 3600, -1800):
        clock.now += jump
        for _ in range(3):
            starter.start_due()
    planned = [seconds for seconds, _ in outcomes(store.get(TENANT, schedule.id))]
    assert len(set(planned)) == len(planned) == len(job_ids(client)) == 2
    assert planned == sorted(planned)


def test_one_that_cannot_be_started_does_not_stop_the_others(
    store: ScheduleStore, starter: ScheduleStarter, client: JobClient, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Its type is gone: it carries the error, is planned again, and is well again when the type is back."""
    broken = store.add(replace(_planned(), id="a" * 32, name="broken", type="test.gone"))
    lame = store.add(
        replace(_planned(), id="b" * 32, name="lame", timezone="Mars/Olympus", cron="* * * * *", every=None)
    )
    sound = created(store, name="sound")
    clock.now += 60
    with caplog.at_level(logging.CRITICAL):
        starter.start_due()
    assert len(job_ids(client)) == 2  # of the sound one and of the lame one, which has no next run
    after = store.get(TENANT, broken.id)
    assert (after.error_code, outcomes(after), after.next_run) == ("unknown_job_type", [(60, "failed")], START + 120)
    lame = store.get(TENANT, lame.id)
    assert (lame.error_code, lame.next_run, outcomes(lame)) == ("bad_timing", None, [(60, "started")])
    assert store.get(TENANT, sound.id).error_code is None
    spec._registry["test.gone"] = spec.get_job_type("test.word")
    clock.now += 60
    starter.start_due()
    del spec._registry["test.gone"]
    assert store.get(TENANT, broken.id).error_code is None


def test_a_schedule_is_changed_disabled_and_enabled(
    store: ScheduleStore, starter: ScheduleStarter, client: JobClient, clock: Clock
) -> None:
    """A new timing and an enabling plan anew; other changes keep the plan; a disabled one starts nothing."""
    schedule = created(store)

    def change(**changes: Any) -> Schedule:
        return schedules.change(store, TENANT, schedule.id, changes, clock.now)

    clock.now += 30
    assert change(args={"word": "x"}).next_run == START + 60
    assert change(name="other", missed="skip").next_run == START + 60
    assert change(every=100).next_run == START + 130
    timed = change(cron="0 * * * *")
    assert (timed.every, timed.cron) == (None, "0 * * * *")
    assert change(enabled=False).next_run is None
    clock.now += 7200
    assert starter.start_due() == 0
    enabled = change(enabled=True)
    assert enabled.next_run
    assert clock.now < enabled.next_run <= clock.now + 3600
    for wrong in ({"type": "no.such"}, {"args": {}}, {"cron": None}, {"name": None}, {"enabled": None}):
        with pytest.raises(ValidationError):
            change(**wrong)


def test_one_whose_type_is_gone_can_be_disabled(store: ScheduleStore) -> None:
    """But not enabled."""
    schedule = created(store)
    del spec._registry["test.word"]
    assert not schedules.change(store, TENANT, schedule.id, {"enabled": False}, START).enabled
    with pytest.raises(ValidationError):
        schedules.change(store, TENANT, schedule.id, {"enabled": True}, START)


def test_names_are_a_tenants_own(store: ScheduleStore) -> None:
    """Taken names are refused, at creation and at renaming; another tenant's do not matter, nor can it see them."""
    schedule = created(store)
    with pytest.raises(ScheduleExists):
        created(store)
    second = created(store, name="second")
    with pytest.raises(ScheduleExists):
        schedules.change(store, TENANT, second.id, {"name": "hourly"}, START)
    schedules.create(store, "other", ScheduleSpec(**given()), START)
    with pytest.raises(ScheduleNotFound):
        store.get("other", schedule.id)
    with pytest.raises(ScheduleNotFound):
        schedules.remove(store, "other", schedule.id)
    assert [schedule.name for schedule in store.list(TENANT)] == ["second", "hourly"]


def test_the_last_runs_are_kept(store: ScheduleStore, starter: ScheduleStarter, clock: Clock) -> None:
    """Ten of them, newest first."""
    schedule = created(store, every=1)
    for _ in range(15):
        clock.now += 1
        starter.start_due()
    runs = store.get(TENANT, schedule.id).runs
    assert [run["planned_at"] for run in runs] == [START + second for second in range(15, 15 - MAX_RUNS, -1)]


def test_the_file_is_taken_over_and_kept_to(store: ScheduleStore, tmp_path: Path) -> None:
    """New ones come, unchanged ones keep their plan, changed ones are planned anew, missing ones go."""
    path = tmp_path / "schedules.toml"
    config = load_config(schedules_file=str(path))

    def sync(text: str, now: float) -> dict[str, Schedule]:
        path.write_text(text, encoding="utf-8")
        store.sync(read_schedules(config, now))
        return {schedule.name: schedule for schedule in store.list("local")}

    table = '[[schedules]]\nname = "{}"\ntype = "test.word"\nargs = {{ word = "好" }}\nevery = {}\n'
    first = sync(table.format("a", 60) + table.format("b", 60), START)
    assert {name: (s.source, s.next_run) for name, s in first.items()} == {
        "a": ("file", START + 60),
        "b": ("file", START + 60),
    }
    with pytest.raises(ScheduleReadOnly):
        schedules.change(store, "local", first["a"].id, {"enabled": False}, START)
    with pytest.raises(ScheduleReadOnly):
        schedules.remove(store, "local", first["a"].id)
    second = sync(table.format("a", 60) + table.format("b", 90), START + 1000)
    assert {name: s.next_run for name, s in second.items()} == {"a": START + 60, "b": START + 1090}
    assert second["b"].id == first["b"].id
    assert list(sync(table.format("c", 60), START)) == ["c"]
    assert sync("", START) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[schedules]\n", "cannot be read"),
        ("other = 1\n", r"only \[\[schedules\]\] tables"),
        ('[[schedules]]\nname = "x"\n', r"schedule 1 \(x\): type: Field required"),
        ('[[schedules]]\nname = "x"\ntype = "no.such"\nevery = 5\n', "type: .*no job type"),
        ('[[schedules]]\nname = "x"\ntype = "test.word"\nevery = 5\n', "args: .*word"),
        ('[[schedules]]\nname = "x"\ntype = "test.word"\nargs.word = "x"\ncron = "x"\n', "cron: .*five fields"),
        ('[[schedules]]\nname = "x"\ntype = "test.word"\nargs.word = "x"\nevery = 5\ntenant = "b"\n', "no API key"),
        ('[[schedules]]\nname = "x"\ntype = "test.word"\nargs.word = "x"\nevery = 5\n' * 2, "another one of that name"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    """With what is wrong, and where."""
    path = tmp_path / "schedules.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        read_schedules(load_config(schedules_file=str(path)), START)


def test_a_missing_file_is_refused_and_none_is_none(tmp_path: Path) -> None:
    """A path that was given must lead somewhere."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read_schedules(load_config(schedules_file=str(tmp_path / "no.toml")), START)
    assert read_schedules(load_config(), START) == []


def _planned() -> Schedule:
    spec = ScheduleSpec(**given())
    return schedules.planned(spec, schedule_id="0" * 32, tenant=TENANT, source="api", now=START)


class _Frozen(ScheduleStore):
    """A store whose reader is late: it sees what was due before."""

    def __init__(self, store: ScheduleStore, seen: list[Schedule]) -> None:
        super().__init__(store._database)
        self._seen = seen

    def due(self, now: float, limit: int) -> list[Schedule]:
        return self._seen


class _Dying(ScheduleStore):
    """A store whose process is killed before it writes."""

    def __init__(self, store: ScheduleStore) -> None:
        super().__init__(store._database)

    def advance(self, *args: Any) -> bool:
        raise KeyboardInterrupt
