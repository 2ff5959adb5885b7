"""Schedules: start a job again and again, by a cron line or at an interval."""

import time
from datetime import UTC, datetime
from typing import Any, Literal

from flask import Response, g, jsonify
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, StrictInt

from jobs.core import schedules
from jobs.core.schedules import ScheduleSpec, run_id
from jobs.stores.schedules import Schedule, ScheduleStore
from webapp.api.jobs import ListQuery
from webapp.extension import offstage
from webapp.responses import MAX_PAGE, decode_cursor, encode_cursor, row_id

bp = APIBlueprint("schedules", __name__, abp_tags=[Tag(name="schedules", description="Jobs by cron or interval")])


class SchedulePath(BaseModel):
    """A schedule's id."""

    schedule_id: str


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
def create_schedule(body: ScheduleSpec) -> Response:
    """Start a job of a public type by a cron line or at an interval, from now on."""
    schedule = schedules.create(_store(), g.tenant, body, time.time())
    response = jsonify(schedule_json(schedule))
    response.status_code = 201
    response.headers["Location"] = f"/schedules/{schedule.id}"
    return response


@bp.get("/schedules")
def list_schedules(query: ListQuery) -> Response:
    """List the caller's schedules, newest first, those of the service's file among them."""
    limit = min(query.limit, MAX_PAGE)
    page = _store().list(g.tenant, before=decode_cursor(query.cursor, row_id), limit=limit)
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    return jsonify(schedules=[schedule_json(schedule) for schedule in page], next_cursor=cursor)


@bp.get("/schedules/<string:schedule_id>")
def get_schedule(path: SchedulePath) -> Response:
    """Return a schedule with its next and its last runs."""
    return jsonify(schedule_json(_store().get(g.tenant, path.schedule_id)))


@bp.patch("/schedules/<string:schedule_id>")
def change_schedule(path: SchedulePath, body: ScheduleChanges) -> Response:
    """Change a schedule, disable or enable it."""
    changes = body.model_dump(exclude_unset=True)
    return jsonify(schedule_json(schedules.change(_store(), g.tenant, path.schedule_id, changes, time.time())))


@bp.delete("/schedules/<string:schedule_id>")
def delete_schedule(path: SchedulePath) -> Response:
    """Forget a schedule. Jobs that it has started go on."""
    schedules.remove(_store(), g.tenant, path.schedule_id)
    return Response(status=204)


def schedule_json(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule as its owner sees it."""
    names = ("id", "name", "type", "args", "cron", "every", "timezone", "missed", "enabled", "source")
    at, runs = schedule.next_run, [_run_json(run) for run in schedule.runs]
    error = {"code": schedule.error_code, "message": schedule.error_message} if schedule.error_code else None
    return {
        **{name: getattr(schedule, name) for name in names},
        "next_run": {"planned_at": _iso(at), "job_id": run_id(schedule, at)} if at else None,
        "last_run": runs[0] if runs else None,
        "recent_runs": runs,
        "error": error,
        "created_at": schedule.created_at.isoformat() if schedule.created_at else None,
        "links": {"self": f"/schedules/{schedule.id}"},
    }


def _run_json(run: Any) -> dict[str, Any]:
    return {**run, "planned_at": _iso(run["planned_at"]), "at": _iso(run["at"])}


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _store() -> ScheduleStore:
    return ScheduleStore(offstage().services.database)
