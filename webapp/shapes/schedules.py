"""What is answered about schedules."""

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from webapp.shapes.common import Cursor, SelfLink, Time, one_of


class RunProblem(TypedDict):
    """What stands against a run of a schedule."""

    code: str
    message: str


class PlannedRun(TypedDict):
    """A run to come, and the job that it will be."""

    planned_at: Time
    job_id: str


class Run(TypedDict):
    """A run: when it was planned, when it was taken up, and the job that was started."""

    planned_at: Time
    at: Time
    outcome: Literal["started", "skipped", "failed"]
    job_id: str | None
    error: NotRequired[RunProblem]


class Schedule(TypedDict):
    """A schedule with its next and its last runs. `every` is in seconds, null for one with a `cron` line."""

    id: str
    name: str
    type: str
    args: Annotated[Any, Field(json_schema_extra={"type": "object"})]
    cron: str | None
    every: int | None
    timezone: str
    missed: Annotated[str, one_of("run_once", "skip")]
    enabled: bool
    source: Annotated[str, one_of("api", "file")]
    next_run: PlannedRun | None
    last_run: Run | None
    recent_runs: list[Run]
    error: RunProblem | None
    created_at: Time | None
    links: SelfLink


class Schedules(TypedDict):
    """Schedules, newest first."""

    schedules: list[Schedule]
    next_cursor: Cursor
