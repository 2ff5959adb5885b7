"""Schedules: start a job again and again, by a cron line or at an interval."""

import time
from datetime import UTC, datetime
from typing import Any, Literal

from flask import g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, StrictInt

from jobs.core import schedules
from jobs.core.schedules import ScheduleSpec, run_id
from jobs.stores.schedules import Schedule, ScheduleStore
from webapp.api.jobs import ListQuery
from webapp.extension import offstage
from webapp.openapi.describing import describe
from webapp.requests import StoredId
from webapp.responses import MAX_PAGE, Answer, Created, NoContent, decode_cursor, encode_cursor, row_id
from webapp.shapes import schedules as shapes

bp = APIBlueprint("schedules", __name__, abp_tags=[Tag(name="schedules", description="Jobs by cron or interval")])


class SchedulePath(BaseModel):
    """A schedule's id."""

    schedule_id: StoredId


class ScheduleChanges(BaseModel):
    """What is to be different; the rest stays. A `cron` takes the place of `every`, and the other way round."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    type: str | None = None
    args: dict[str, Any] | None = None
    timezone: str | None = None
    cron: str | None = None
    every: StrictInt | None = None
    missed: Literal["run_once", "skip"] | None = None
    enabled: bool | None = None


@bp.post("/schedules")
def create_schedule(body: ScheduleSpec) -> Created[shapes.Schedule]:
    """Start a job of a public type by a cron line or at an interval, from now on."""
    schedule = schedules.create(_store(), g.tenant, body, time.time())
    return Created(schedule_json(schedule), f"/schedules/{schedule.id}")


@bp.get("/schedules")
def list_schedules(query: ListQuery) -> Answer[shapes.Schedules]:
    """List the caller's schedules, newest first, those of the service's file among them."""
    limit = min(query.limit, MAX_PAGE)
    page = _store().list(g.tenant, before=decode_cursor(query.cursor, row_id), limit=limit)
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    return Answer(shapes.Schedules(schedules=[schedule_json(schedule) for schedule in page], next_cursor=cursor))


@bp.get("/schedules/<string:schedule_id>")
def get_schedule(path: SchedulePath) -> Answer[shapes.Schedule]:
    """Return a schedule with its next and its last runs."""
    return Answer(schedule_json(_store().get(g.tenant, path.schedule_id)))


@bp.patch("/schedules/<string:schedule_id>")
@describe(problems=(409,))
def change_schedule(path: SchedulePath, body: ScheduleChanges) -> Answer[shapes.Schedule]:
    """Change a schedule, disable or enable it."""
    changes = body.model_dump(exclude_unset=True)
    return Answer(schedule_json(schedules.change(_store(), g.tenant, path.schedule_id, changes, time.time())))


@bp.delete("/schedules/<string:schedule_id>")
@describe(problems=(409,))
def delete_schedule(path: SchedulePath) -> NoContent:
    """Forget a schedule. Jobs that it has started go on."""
    schedules.remove(_store(), g.tenant, path.schedule_id)
    return NoContent()


def schedule_json(schedule: Schedule) -> shapes.Schedule:
    """Return a schedule as its owner sees it."""
    at, runs = schedule.next_run, [_run_json(run) for run in schedule.runs]
    return {
        "id": schedule.id,
        "name": schedule.name,
        "type": schedule.type,
        "args": schedule.args,
        "cron": schedule.cron,
        "every": schedule.every,
        "timezone": schedule.timezone,
        "missed": schedule.missed,
        "enabled": schedule.enabled,
        "source": schedule.source,
        "next_run": {"planned_at": _iso(at), "job_id": run_id(schedule, at)} if at else None,
        "last_run": runs[0] if runs else None,
        "recent_runs": runs,
        "error": _error_json(schedule),
        "created_at": schedule.created_at.isoformat() if schedule.created_at else None,
        "links": {"self": f"/schedules/{schedule.id}"},
    }


def _error_json(schedule: Schedule) -> shapes.RunProblem | None:
    if schedule.error_code is None:
        return None
    return {"code": schedule.error_code, "message": schedule.error_message or ""}


def _run_json(run: Any) -> Any:
    return {**run, "planned_at": _iso(run["planned_at"]), "at": _iso(run["at"])}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _store() -> ScheduleStore:
    return ScheduleStore(offstage().services.database)
