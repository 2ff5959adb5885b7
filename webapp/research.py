"""Research as its owner sees it: put together from its job, what that says, and what is kept of it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response

from jobs.core.dependencies import is_untold
from jobs.core.events import FROM_START, read_events
from jobs.core.live_text import OUTPUT, cuts_of
from jobs.core.view import JobNotFound, JobView
from jobs.domain.research import STAGES, Note, ResearchArgs, Source
from jobs.report_events import what_was_told
from jobs.stores.research import COMPLETED, OPEN, Research
from webapp.extension import Offstage
from webapp.responses import NoContent, job_links
from webapp.shapes import research as shapes
from webapp.sse import frame

# The seed's words, and ours where it has none. A job that leaves its worker to wait for its searches still runs.
_STATUS = {"waiting": "running", "retrying": "running", "scheduled": "running"}


@dataclass(frozen=True)
class Run:
    """Research at this moment: `report` is what is written of it so far. `view` is its job, None once that is gone."""

    kept: Research
    view: JobView | None
    status: str
    percentage: float
    report: str
    sources: list[Source]
    notes: list[Note]
    messages: list[str]
    error: Note | None
    at: datetime

    @property
    def step(self) -> str:
        """Which part of the work it is at."""
        return [name for name, begins in STAGES.items() if self.percentage >= begins][-1]


def look(app: Offstage, tenant: str, research_id: str) -> Run:
    """Return a tenant's research.

    Raises:
        ResearchNotFound: it has none of that id.
    """
    kept = app.services.research.get(tenant, research_id)
    view = _job(app, kept)
    if kept.content and (kept.status == COMPLETED or view is None or view.ended):
        done = 100.0 if kept.status == COMPLETED else _percent(view)
        content, at = kept.content, kept.ended_at or kept.created_at
        return Run(
            kept, view, kept.status, done, content.report, content.sources, content.notes, content.messages,
            content.error, at,
        )  # fmt: skip
    told = what_was_told(app.services.redis, tenant, research_id)
    error = Note(code=view.error.code, text=view.error.message) if view and view.error else None
    return Run(
        kept, view, _status(view), _percent(view), told.text, told.sources, [], told.messages,
        error, told.at or kept.created_at,
    )  # fmt: skip


def run_json(run: Run) -> shapes.Research:
    """Return research in the form of the seed, with its report, its sources and its links."""
    return {
        **listed_json(run.kept, run.status),
        "step": run.step,
        "percentage": run.percentage,
        "messages": run.messages,
        "result": _result(run) if run.status == COMPLETED else None,
        "error": f"{run.error.code}: {run.error.text}" if run.error else None,
        "timestamp": run.at.isoformat(),
        "report": run.report,
        "sources": _numbered(run),
        "notes": run.notes,
    }


def started_json(args: ResearchArgs, view: JobView) -> dict[str, Any]:
    """Return research that was just asked for: its `created_at` and `status` say whether it was joined."""
    return {
        "id": view.id,
        "query": args.query,
        "model": args.model,
        "status": _status(view),
        "created_at": view.created_at.isoformat(),
        "research": links(view.id),
    }


def listed_json(kept: Research, status: str) -> shapes.ListedResearch:
    """Return what a list shows of research."""
    return {
        "id": kept.id,
        "query": kept.query,
        "title": kept.title or None,
        "status": status,
        "model": kept.model,
        "tokens": kept.tokens,
        "created_at": kept.created_at.isoformat(),
        "ended_at": kept.ended_at.isoformat() if kept.ended_at else None,
        "links": links(kept.id),
    }


def links(research_id: str) -> shapes.ResearchLinks:
    """Return where research can be looked at, followed, taken home and acted on."""
    base, job = f"/research/{research_id}", job_links(research_id)
    return {
        "self": base,
        "events": f"{base}/events",
        "job": job["self"],
        "markdown": f"{base}/report.md",
        "pdf": f"{base}/report.pdf",
        "cancel": job["cancel"],
        "pause": job["pause"],
        "resume": job["resume"],
        "requeue": job["requeue"],
    }


def status_of(app: Offstage, kept: Research) -> str:
    """Return the status of research in a list."""
    return _status(_job(app, kept)) if kept.status == OPEN else kept.status


def events(app: Offstage, tenant: str, research_id: str, after: str) -> Response:
    """Return what research says, after an event, as an event stream that ends with it.

    Who has seen the end gets 204. Of research whose events are gone, the kept report is sent whole.

    Raises:
        ResearchNotFound: the tenant has none of that id.
    """
    run = look(app, tenant, research_id)
    redis = app.services.redis
    under_way = run.view and (not run.view.ended or is_untold(redis, research_id))
    if run.view and (under_way or read_events(redis, tenant, research_id, after, 1)):
        return app.streams.response(tenant, run.view, after)
    if after != FROM_START and read_events(redis, tenant, research_id, FROM_START, 1):
        return NoContent()
    return Response(_kept_frames(run), 200, {"Cache-Control": "no-store"}, mimetype="text/event-stream")


def _numbered(run: Run) -> list[shapes.NumberedSource]:
    return [shapes.NumberedSource(number=n, **source.model_dump()) for n, source in enumerate(run.sources, 1)]


def _kept_frames(run: Run) -> Iterator[str]:
    yield frame("status", {"state": run.status, "progress": {"percent": run.percentage, "message": ""}})
    for source in _numbered(run):
        yield frame("source", source.model_dump())
    for n, piece in enumerate(cuts_of(run.report)):
        yield frame(OUTPUT, {"n": n, "text": piece})
    yield frame("end", {"state": run.status})


def _job(app: Offstage, kept: Research) -> JobView | None:
    with suppress(JobNotFound):
        return app.client.get(kept.tenant, kept.id)
    return None


def _status(view: JobView | None) -> str:
    if view is None:  # its work was forgotten and nothing is kept: nobody knows what became of it
        return "failed"
    return "running" if view.state == "queued" and view.progress else _STATUS.get(view.state, view.state)


def _percent(view: JobView | None) -> float:
    return view.progress.percent if view and view.progress else 0.0


def _result(run: Run) -> shapes.Report:
    return {"title": run.kept.title, "report": run.report, "model": run.kept.model, "tokens": run.kept.tokens}
