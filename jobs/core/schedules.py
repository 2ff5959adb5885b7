"""Schedules: check what a client asks for, and start what is due.

A run's job id follows from the schedule and the planned time, and the enqueue leaves an id that exists alone; then the
schedule moves on from that time in one conditional update. So any number of schedulers start each run once, and one
that dies between the two steps leaves the run to the next.
"""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Event
from typing import Any, Literal
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from jobs.core.client import JobClient
from jobs.core.cron import MAX_EVERY, Timing, check_cron, check_zone
from jobs.core.errors import JobError, UnknownJobType
from jobs.core.spec import get_job_type
from jobs.core.worker_parts.outage import AWAY
from jobs.domain.faults import told
from jobs.stores.schedules import Schedule, ScheduleReadOnly, ScheduleStore

INTERVAL = 0.25  # seconds between two looks
GRACE = 10  # seconds after its time until a run counts as missed
_BATCH = 100
_AFTER_TROUBLE = 2.0  # seconds
_TIMING = {"cron", "every", "timezone"}
log = logging.getLogger(__name__)


class ScheduleSpec(BaseModel):
    """What is to be started when. `cron` has five fields, in the time zone; `every` is in seconds, a year at most.

    `missed` says what becomes of runs while no scheduler was there: all of them together are run once, or skipped.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00]+$")
    type: str = Field(max_length=200)
    args: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    timezone: str = Field(default="UTC", max_length=64)
    cron: str | None = Field(default=None, max_length=200)
    every: int | None = Field(default=None, ge=1, le=MAX_EVERY, strict=True, validate_default=True)
    missed: Literal["run_once", "skip"] = "run_once"
    enabled: bool = True

    @field_validator("type")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            public = get_job_type(name).public
        except UnknownJobType:
            public = False
        if not public:
            raise ValueError("no job type that clients may start is called that")
        return name

    @field_validator("args")
    @classmethod
    def _fitting(cls, args: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if "type" in info.data:
            try:
                get_job_type(info.data["type"]).args_model.model_validate(args)
            except ValidationError as error:
                raise ValueError(told(error, "args")) from None
        return args

    @field_validator("timezone")
    @classmethod
    def _zone(cls, name: str) -> str:
        return check_zone(name)

    @field_validator("cron")
    @classmethod
    def _line(cls, line: str | None) -> str | None:
        return None if line is None else check_cron(line)

    @field_validator("every")
    @classmethod
    def _one_timing(cls, every: int | None, info: ValidationInfo) -> int | None:
        if "cron" in info.data and (every is None) == (info.data["cron"] is None):
            raise ValueError("give `cron` or `every`, one of them")
        return every


def planned(spec: ScheduleSpec, *, schedule_id: str, tenant: str, source: str, now: float) -> Schedule:
    """Return a schedule as it begins at `now`, in seconds since 1970."""
    anchor = int(now)
    timing = Timing(spec.cron, spec.every, spec.timezone, anchor)
    next_run = timing.next(now) if spec.enabled else None
    fields = spec.model_dump()
    return Schedule(id=schedule_id, tenant=tenant, source=source, anchor=anchor, next_run=next_run, **fields)


def file_schedule_id(tenant: str, name: str) -> str:
    """Return the id of a schedule of the file: the same each time that the file is read."""
    return uuid5(NAMESPACE_OID, f"offstage/schedule/{tenant}/{name}").hex


def run_id(schedule: Schedule, at: int) -> str:
    """Return the id of the job of a schedule's run that is planned for `at`, in seconds since 1970."""
    return uuid5(UUID(schedule.id), str(at)).hex


def create(store: ScheduleStore, tenant: str, spec: ScheduleSpec, now: float) -> Schedule:
    """Keep a client's new schedule.

    Raises:
        ScheduleExists: the tenant has one of that name.
        TooManySchedules: the tenant has as many as it may.
    """
    return store.add(planned(spec, schedule_id=uuid4().hex, tenant=tenant, source="api", now=now))


def change(store: ScheduleStore, tenant: str, schedule_id: str, changes: Mapping[str, Any], now: float) -> Schedule:
    """Change a client's schedule. Its next run is planned anew if its timing changes, or if it is enabled again.

    Raises:
        ScheduleNotFound: the tenant has none of that id.
        ScheduleReadOnly: it stands in the file.
        ScheduleExists: the tenant has another one of that name.
        ValidationError: what comes out does not fit.
    """
    before = _own(store, tenant, schedule_id)
    if changes == {"enabled": False}:  # possible whatever else is wrong with it
        return store.replace(replace(before, enabled=False, next_run=None))
    fields = {name: getattr(before, name) for name in ScheduleSpec.model_fields}
    if changes.get("cron") is not None or changes.get("every") is not None:
        fields |= {"cron": None, "every": None}
    spec = ScheduleSpec.model_validate(fields | dict(changes))
    after = planned(spec, schedule_id=schedule_id, tenant=tenant, source="api", now=now)
    goes_on = before.next_run is not None and after.enabled and not _TIMING & set(changes)
    return store.replace(after, keep_plan=goes_on)


def remove(store: ScheduleStore, tenant: str, schedule_id: str) -> None:
    """Forget a client's schedule.

    Raises:
        ScheduleNotFound: the tenant has none of that id.
        ScheduleReadOnly: it stands in the file.
    """
    store.delete(tenant, _own(store, tenant, schedule_id).id)


def _own(store: ScheduleStore, tenant: str, schedule_id: str) -> Schedule:
    schedule = store.get(tenant, schedule_id)
    if schedule.source != "api":
        raise ScheduleReadOnly
    return schedule


class ScheduleStarter:
    """Starts the runs that are due. `clock` gives the seconds since 1970."""

    def __init__(
        self,
        store: ScheduleStore,
        client: JobClient,
        *,
        file: list[Schedule] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._client = client
        self._file = file
        self._clock = clock

    def run(self, stop: Event) -> None:
        """Go on until `stop` is set, whatever is away meanwhile."""
        while not stop.is_set():
            wait = INTERVAL
            try:
                self.take_file()
                if self.start_due() == _BATCH:
                    continue
            except AWAY as error:
                log.error("schedules: Redis is away: %s", error)
            except Exception:
                log.exception("schedules: trouble; tried again soon")
                wait = _AFTER_TROUBLE
            stop.wait(wait)

    def take_file(self) -> None:
        """Make the file's schedules those that were given, once."""
        if self._file is not None:
            self._store.sync(self._file)
            self._file = None

    def start_due(self) -> int:
        """Start each run whose time has come; return how many schedules were looked at, at most 100."""
        due = self._store.due(self._clock(), _BATCH)
        for schedule in due:
            self._start(schedule, schedule.next_run or 0)
        return len(due)

    def _start(self, schedule: Schedule, at: int) -> None:
        now, error = self._clock(), None
        run: dict[str, Any] = {"planned_at": at, "at": now, "outcome": "started", "job_id": run_id(schedule, at)}
        if schedule.missed == "skip" and now - at > GRACE:
            run |= {"outcome": "skipped", "job_id": None}
        else:
            error = self._start_job(schedule, run["job_id"])
        if error:
            run |= {"outcome": "failed", "job_id": None, "error": {"code": error[0], "message": error[1]}}
        next_run, unplanned = _next(schedule, max(now, at))
        if error := error or unplanned:
            log.error("schedule %s of %s: %s", schedule.id, schedule.tenant, error[1])
        self._store.advance(schedule, next_run, run, error)

    def _start_job(self, schedule: Schedule, job_id: str) -> tuple[str, str] | None:
        """Start a run's job, unless it was before. Returns code and text of what stands against it."""
        try:
            if not get_job_type(schedule.type).public:
                raise UnknownJobType(f"No job type that clients may start is called {schedule.type!r}.")
            self._client.start(schedule.type, dict(schedule.args), tenant=schedule.tenant, job_id=job_id, fresh=True)
        except JobError as error:
            return error.code, str(error)
        except AWAY:
            raise
        except Exception:
            log.exception("schedule %s of %s", schedule.id, schedule.tenant)
            return "internal_error", "The run could not be started."
        return None


def _next(schedule: Schedule, after: float) -> tuple[int | None, tuple[str, str] | None]:
    """Return the next run and, if there is none because the timing is not understood any more, why."""
    try:
        return Timing(schedule.cron, schedule.every, schedule.timezone, schedule.anchor).next(after), None
    except ValueError as error:
        return None, ("bad_timing", f"No next run can be planned: {error}.")
