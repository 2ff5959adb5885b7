"""Schedules: what is started when, and what became of the last runs.

`next_run` decides who may go on with a schedule: a run is recorded by the one that moves it from the time of that run
to the next, in one conditional update.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from jobs.stores.database import Database, take_turns
from jobs.stores.schema import schedules

MAX_RUNS = 10  # kept of each schedule
MAX_SCHEDULES = 1000  # of one tenant, beside those of the file
_SYNCS = 5  # tries


class ScheduleNotFound(Exception):
    """There is no such schedule."""

    code: ClassVar[str] = "schedule_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class ScheduleExists(Exception):
    """There is a schedule of that name."""

    code: ClassVar[str] = "schedule_exists"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class TooManySchedules(Exception):
    """There are as many schedules as one tenant may have."""

    code: ClassVar[str] = "too_many_schedules"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class ScheduleReadOnly(Exception):
    """This schedule stands in the service's file, and is changed there."""

    code: ClassVar[str] = "schedule_read_only"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class Schedule:
    """A schedule as it stands. Times are in seconds since 1970; `every` is in seconds, None for one with a `cron` line.

    `number` gives the order of creation. `source` is `api` or `file`, `missed` is `run_once` or `skip`. `next_run` is
    None while nothing is planned. `runs` are the last ones, newest first.
    """

    id: str
    tenant: str
    name: str
    source: str
    type: str
    args: Mapping[str, Any]
    cron: str | None
    every: int | None
    timezone: str
    missed: str
    enabled: bool
    anchor: int
    next_run: int | None
    number: int = 0
    runs: Sequence[Mapping[str, Any]] = ()
    error_code: str | None = None
    error_message: str | None = None
    created_at: datetime | None = None

    @property
    def definition(self) -> tuple[Any, ...]:
        """What its owner has said of it."""
        timing = (self.cron, self.every, self.timezone)
        return (self.name, self.type, json.dumps(self.args, sort_keys=True), *timing, self.missed, self.enabled)


class ScheduleStore:
    """The table of schedules. A tenant may have `limit` of its own."""

    def __init__(self, database: Database, *, limit: int = MAX_SCHEDULES) -> None:
        self._database = database
        self._limit = limit

    def add(self, schedule: Schedule) -> Schedule:
        """Keep a new schedule.

        Raises:
            ScheduleExists: the tenant has one of that name.
            TooManySchedules: the tenant has as many as it may.
        """
        try:
            with self._database.write() as connection:
                take_turns(connection, f"schedules of {schedule.tenant}")
                mine = (schedules.c.tenant == schedule.tenant, schedules.c.source == "api")
                count = select(func.count()).where(*mine)
                if connection.execute(count).scalar_one() >= self._limit:
                    raise TooManySchedules
                _insert(connection, schedule)
        except IntegrityError:
            raise ScheduleExists from None
        return self.get(schedule.tenant, schedule.id)

    def get(self, tenant: str, schedule_id: str) -> Schedule:
        """Return a tenant's schedule.

        Raises:
            ScheduleNotFound: the tenant has none of that id.
        """
        wanted = select(schedules).where(schedules.c.id == schedule_id, schedules.c.tenant == tenant)
        with self._database.read() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            raise ScheduleNotFound
        return _schedule(row)

    def due(self, now: float, limit: int) -> list[Schedule]:
        """Return schedules of all tenants whose time has come, the longest due first."""
        wanted = select(schedules).where(schedules.c.next_run <= now).order_by(schedules.c.next_run).limit(limit)
        with self._database.read() as connection:
            return [_schedule(row) for row in connection.execute(wanted)]

    def list(self, tenant: str, *, before: int | None = None, limit: int = 20) -> "list[Schedule]":
        """Return a tenant's schedules, newest first, from the number `before` on."""
        wanted = select(schedules).where(schedules.c.tenant == tenant)
        if before is not None:
            wanted = wanted.where(schedules.c.number < before)
        with self._database.read() as connection:
            rows = connection.execute(wanted.order_by(schedules.c.number.desc()).limit(limit)).all()
        return [_schedule(row) for row in rows]

    def replace(self, schedule: Schedule, *, keep_plan: bool = False) -> Schedule:
        """Write what its owner may say of a schedule and, unless the plan is to be kept, when it is due next.

        Raises:
            ScheduleNotFound: it was deleted meanwhile.
            ScheduleExists: the tenant has another one of that name.
        """
        try:
            with self._database.write() as connection:
                changed = _update(connection, schedule, keep_plan=keep_plan)
        except IntegrityError:
            raise ScheduleExists from None
        if not changed:
            raise ScheduleNotFound
        return self.get(schedule.tenant, schedule.id)

    def delete(self, tenant: str, schedule_id: str) -> None:
        """Forget a tenant's schedule; the jobs that it has started are left alone.

        Raises:
            ScheduleNotFound: the tenant has none of that id.
        """
        with self._database.write() as connection:
            wanted = delete(schedules).where(schedules.c.id == schedule_id, schedules.c.tenant == tenant)
            if not connection.execute(wanted).rowcount:
                raise ScheduleNotFound

    def advance(
        self, schedule: Schedule, next_run: int | None, run: Mapping[str, Any], error: tuple[str, str] | None
    ) -> bool:
        """Record a run and move on to the next, if nobody has meanwhile. Says whether this call did it."""
        values = {
            "next_run": next_run,
            "runs": json.dumps([run, *schedule.runs][:MAX_RUNS], ensure_ascii=False),
            "error_code": error[0] if error else None,
            "error_message": error[1] if error else None,
        }
        wanted = update(schedules).where(schedules.c.id == schedule.id, schedules.c.next_run == schedule.next_run)
        with self._database.write() as connection:
            return bool(connection.execute(wanted.values(values)).rowcount)

    def sync(self, given: Sequence[Schedule]) -> None:
        """Make the file's schedules those given. One that is the same as before keeps its next run and its runs."""
        for left in reversed(range(_SYNCS)):
            try:
                self._sync(given)
                return
            except IntegrityError:  # another scheduler was quicker with a new one: the next look finds it
                if not left:
                    raise

    def _sync(self, given: Sequence[Schedule]) -> None:
        with self._database.write() as connection:
            rows = connection.execute(select(schedules).where(schedules.c.source == "file"))
            there = {schedule.id: schedule for schedule in map(_schedule, rows)}
            gone = [schedule_id for schedule_id in there if schedule_id not in {schedule.id for schedule in given}]
            connection.execute(delete(schedules).where(schedules.c.id.in_(gone)))
            for schedule in given:
                before = there.get(schedule.id)
                if before is None:
                    _insert(connection, schedule)
                elif before.definition != schedule.definition:
                    _update(connection, schedule)


def _insert(connection: Connection, schedule: Schedule) -> None:
    created = {"created_at": datetime.now(UTC), "runs": "[]"}
    connection.execute(insert(schedules).values({**_values(schedule), **created}))


def _update(connection: Connection, schedule: Schedule, *, keep_plan: bool = False) -> bool:
    wanted = update(schedules).where(schedules.c.id == schedule.id, schedules.c.tenant == schedule.tenant)
    kept = ("anchor", "next_run") if keep_plan else ()
    values = {name: value for name, value in _values(schedule).items() if name not in kept}
    return bool(connection.execute(wanted.values(values)).rowcount)


def _values(schedule: Schedule) -> dict[str, Any]:
    """Return what is written whenever a schedule is."""
    names = "id tenant name source type cron every timezone missed enabled anchor next_run error_code error_message"
    return {
        **{name: getattr(schedule, name) for name in names.split()},
        "args": json.dumps(dict(schedule.args), ensure_ascii=False),
    }


def _schedule(row: Row[Any]) -> Schedule:
    values = dict(row._mapping)
    schedule = Schedule(**values | {"args": json.loads(values["args"]), "runs": json.loads(values["runs"])})
    if schedule.created_at and schedule.created_at.tzinfo is None:
        return replace(schedule, created_at=schedule.created_at.replace(tzinfo=UTC))
    return schedule
