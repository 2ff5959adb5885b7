"""Research: answer a question from many sources, in a report that is written live.

Plan, search (a job for each source of each question), write section by section, list the sources. Each part is a step:
what is done is not done again after a pause, a retry or a crash.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

from pydantic import BaseModel

from jobs.calling import complete, used_tokens
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.live_text import LiveText
from jobs.core.spec import Failure, job
from jobs.core.view import JobNotFound, JobView
from jobs.domain.chat import BUILT_IN
from jobs.domain.report_notes import note, told, unwritten
from jobs.domain.reports import head, nothing_found, tail
from jobs.domain.research import (
    MAX_TITLE_CHARS,
    PLAN,
    STAGES,
    Content,
    Language,
    Note,
    Plan,
    PlanInput,
    ResearchArgs,
    Section,
    derived,
    tidied,
)
from jobs.providers.errors import DeadlinePassed, ProviderError
from jobs.providers.llm import Message
from jobs.report_events import what_was_told
from jobs.reporting import Limits, ReportWriter, allowance, model_call
from jobs.searching import gather, start_searches
from jobs.services import Services
from jobs.stores.research import COMPLETED, Research, ResearchNotFound

RUN = "research.run"
RUN_SECONDS = 1800
_ALWAYS = 10 * 366 * 24 * 3600  # seconds: a report is as good as it is old, while it is kept
_PLAN_TOKENS = (100, 40)  # for a title, and for each question


class ModelNotServed(Exception):
    """This model is not the one that this service uses."""

    code = "model_not_served"
    field = "ai_config.model"


class NoSource(Exception):
    """There is nothing to search."""

    code = "no_source"
    field = "search_config"


class ResearchResult(BaseModel):
    """What came of it; the report itself is at `/research/{id}`."""

    title: str
    model: str
    tokens: int
    sources: int
    notes: list[Note]


class Planned(BaseModel):
    """The plan, and what it took."""

    plan: Plan
    tokens: int = 0
    notes: list[Note] = []


def start(services: Services, client: JobClient, tenant: str, args: ResearchArgs, **options: object) -> JobView:
    """Start research, or return the job that does, or did, the same; a paused one goes on. Options are those of
    `JobClient.start`."""
    job_id = client.start(RUN, args, tenant=tenant, **options)  # type: ignore[arg-type]
    services.research.add(tenant, job_id, args.query, args.model, args.user_id)
    view = client.get(tenant, job_id)
    return client.resume(tenant, job_id) if view.state == "paused" else view


def model_of(services: Services, asked: str | None) -> str:
    """Return the name of the model that writes; `built-in` where none is set up.

    Raises:
        ModelNotServed: another one is asked for.
    """
    served = services.llm.model if services.llm else BUILT_IN
    if asked is not None and asked != served:
        raise ModelNotServed(f"This service writes with {served}.")
    return served


def uses_web(services: Services, asked: bool | None, documents: Sequence[int] | None) -> bool:
    """Say whether the web is searched: where it can be, unless it is not wanted.

    Raises:
        NoSource: it is wanted and cannot be, or there is no other source.
    """
    if asked and services.web_search is None:
        raise NoSource("This service has no web search: set WEB_SEARCH_URL.")
    used = services.web_search is not None if asked is None else asked
    if not used and documents is None:
        raise NoSource("Neither documents nor the web are to be searched.")
    return used


def forget(services: Services, client: JobClient, tenant: str, research_id: str) -> None:
    """Forget research that has ended, and its job.

    Raises:
        ResearchNotFound: the tenant has none of that id.
        WrongState: it has not ended.
    """
    services.research.get(tenant, research_id)
    with suppress(JobNotFound):
        client.delete(tenant, research_id)
    services.research.delete(tenant, research_id)


def keep_partial(ctx: JobContext, args: ResearchArgs, failure: Failure) -> None:
    """Keep what was written before the research failed or was canceled, and say so in it, also to who reads along."""
    with suppress(ResearchNotFound):
        _keep_partial(ctx, args, failure, ctx.services.research.get(ctx.tenant, ctx.job_id))


def _keep_partial(ctx: JobContext, args: ResearchArgs, failure: Failure, kept: Research) -> None:
    had = what_was_told(ctx.services.redis, ctx.tenant, ctx.job_id)
    code = "canceled" if failure.code == "canceled" else "failed"
    why = note(code, args.language, reason=failure.code)
    title = kept.title or args.query[:MAX_TITLE_CHARS]
    text = _without_tail(had.text, kept.content, args.language) or head(title, args.language, extractive=False)
    report = f"{text.rstrip()}\n\n{tail(had.sources, [why], args.language)}"
    error = Note(code=failure.code, text=failure.message)
    content = Content(report=report, sources=had.sources, notes=[why], messages=had.messages, error=error)
    if ctx.services.research.end(ctx.tenant, ctx.job_id, code, content, title=title, tokens=used_tokens(ctx)):
        live = LiveText(ctx)
        live.write(report)
        live.end()


def _without_tail(text: str, kept: Content | None, language: Language) -> str:
    """Return a text without the tail that it got when the research ended before: it was requeued, or this is told
    twice."""
    return text.removesuffix(tail(kept.sources, kept.notes, language)) if kept else text


@job(RUN, queue="default", timeout=RUN_SECONDS, reuse=_ALWAYS, on_failure=keep_partial)
def run(ctx: JobContext, args: ResearchArgs) -> ResearchResult:
    """Look a query up in many sources, and report what they say."""
    until = ctx.step("begin", _begin, ctx, args)
    planned = ctx.step("plan", _plan, ctx, args, until)
    ctx.services.research.entitle(ctx.tenant, ctx.job_id, planned.plan.title)
    limits = Limits(args.max_tokens, args.tokens, until)
    report = ReportWriter(ctx, args.query, args.language, limits, args.user_id)
    report.tokens, report.notes = planned.tokens, list(planned.notes)
    report.add(head(planned.plan.title, args.language, extractive=ctx.services.llm is None))
    searches = ctx.step("searches", start_searches, ctx, args, planned.plan, until)
    material = ctx.step("material", gather, ctx, args, searches)
    report.notes += searches.notes + material.notes
    _write(ctx, args, report, material.sections)
    return _keep(ctx, args, report, planned.plan.title)


def _begin(ctx: JobContext, args: ResearchArgs) -> float | None:
    """Return until when the research may go on, in seconds since 1970.

    It is kept from here on, if whoever asked has not come to that; not later, when its user may have been forgotten.
    """
    ctx.services.research.add(ctx.tenant, ctx.job_id, args.query, args.model, args.user_id)
    ctx.progress(STAGES["plan"], told("planning", args.language))
    ends = [time.time() + args.minutes * 60] if args.minutes else []
    return min([*ends, *([args.deadline.timestamp()] if args.deadline else [])], default=None)


def _plan(ctx: JobContext, args: ResearchArgs, until: float | None) -> Planned:
    given = PlanInput(query=args.query, count=args.breadth, language=args.language)
    messages = [Message("system", PLAN.instructions()), Message("user", PLAN.prompt(given))]
    wanted = _PLAN_TOKENS[0] + _PLAN_TOKENS[1] * args.breadth
    if ctx.services.llm is None:
        return Planned(plan=derived(given))
    if allowance(args.tokens, wanted, messages) < wanted:
        return _derived(args, given, "tokens_cut", budget=args.tokens)
    call = model_call("plan", messages, args.language, args.user_id, wanted, until)
    try:
        written = complete(ctx, replace(call, schema=PLAN.schema()))
    except DeadlinePassed:
        return _derived(args, given, "time_cut")
    except ProviderError as error:
        return _derived(args, given, "model_failed", reason=error.code)
    tokens = written.prompt_tokens + written.completion_tokens
    try:
        plan = PLAN.read(written.text)
    except ValueError:
        return _derived(args, given, "model_failed", tokens, reason="form")
    return Planned(plan=tidied(cast(Plan, plan), given), tokens=tokens)


def _derived(args: ResearchArgs, given: PlanInput, why: str, tokens: int = 0, **values: object) -> Planned:
    return Planned(plan=derived(given), tokens=tokens, notes=[unwritten("plan", why, args.language, **values)])


def _write(ctx: JobContext, args: ResearchArgs, report: ReportWriter, sections: Sequence[Section]) -> None:
    each = (STAGES["summary"] - STAGES["write"]) / max(1, len(sections))
    for n, section in enumerate(sections):
        report.section(f"section-{n + 1}", section, STAGES["write"] + n * each)
    if not sections:
        report.add(f"{nothing_found(args.language)}\n\n")
    elif len(sections) > 1 and ctx.services.llm is not None:
        report.summary(STAGES["summary"])
    report.add(tail(report.sources, report.notes, args.language))
    report.end()
    ctx.progress(STAGES["done"], told("done", args.language))


def _keep(ctx: JobContext, args: ResearchArgs, report: ReportWriter, title: str) -> ResearchResult:
    messages = what_was_told(ctx.services.redis, ctx.tenant, ctx.job_id).messages
    content = Content(report=report.text, sources=report.sources, notes=report.notes, messages=messages)
    tokens, sources = report.used, len(report.sources)
    ctx.services.research.end(ctx.tenant, ctx.job_id, COMPLETED, content, title=title, tokens=tokens)
    return ResearchResult(title=title, model=args.model, tokens=tokens, sources=sources, notes=report.notes)


class PurgeArgs(BaseModel):
    """No arguments."""


@job("research.purge", queue="low", timeout=300, every=3600)
def purge(ctx: JobContext, args: PurgeArgs) -> int:
    """Forget research that ended longer ago than `MAX_TASK_AGE_HOURS`."""
    return ctx.services.research.purge(datetime.now(UTC) - timedelta(seconds=ctx.services.config.result_ttl))
