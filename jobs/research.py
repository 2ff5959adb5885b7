"""Research: answer a question from many sources, in a report that is written live.

Plan, search (a job for each source of each question), write section by section, list the sources. Each part is a step:
what is done is not done again after a pause, a retry or a crash.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

from pydantic import AwareDatetime, BaseModel, Field

from jobs.answering import similarities
from jobs.calling import Call, complete
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.spec import Failure, job
from jobs.core.view import JobView
from jobs.domain.answers import relevance
from jobs.domain.citations import CITED
from jobs.domain.report_notes import note, told
from jobs.domain.reports import as_hits, head, nothing_found, tail
from jobs.domain.research import (
    MAX_QUESTIONS,
    PLAN,
    Content,
    Findings,
    Language,
    Note,
    Passage,
    Plan,
    PlanInput,
    chosen,
    derived,
    tidied,
)
from jobs.domain.token_count import count_tokens
from jobs.providers.errors import ProviderError
from jobs.providers.llm import Message
from jobs.reporting import CAPABILITY, LEAST_TOKENS, Limits, ReportWriter, Section, what_was_told
from jobs.services import Services
from jobs.stores.research import COMPLETED

RUN = "research.run"
SOURCES = {"documents": "research.documents", "web": "research.web"}
STAGES = {"plan": 0.0, "search": 5.0, "write": 40.0, "summary": 90.0, "done": 100.0}  # percent at which each begins
_ALWAYS = 10 * 366 * 24 * 3600  # seconds: a report is as good as it is old, while it is kept
_PLAN_TOKENS = 600
_LEAST_RELEVANT = 0.3  # of a passage without a vector: the share of a question's words that it holds


class ResearchArgs(BaseModel):
    """What makes two pieces of research the same. `documents` are those that are searched: None none, empty all."""

    query: str
    language: Language
    model: str
    max_tokens: int = Field(default=800, ge=LEAST_TOKENS)
    documents: list[int] | None = []
    web: bool = False
    breadth: int = Field(default=4, ge=1, le=MAX_QUESTIONS)
    results: int = Field(default=5, ge=1)
    tokens: int | None = None
    searches: int | None = None
    minutes: float | None = None
    deadline: AwareDatetime | None = None
    user_id: str | None = None


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


class Search(BaseModel):
    """A search as a job."""

    job_id: str
    source: str
    question: str


class Searches(BaseModel):
    """The searches that were started, and those that were not."""

    started: list[Search]
    notes: list[Note] = []


class Material(BaseModel):
    """What the sections are written from."""

    sections: list[Section]
    notes: list[Note] = []


def start(services: Services, client: JobClient, tenant: str, args: ResearchArgs, **options: object) -> JobView:
    """Start research, or return the job that does, or did, the same; a paused one goes on. Options are those of
    `JobClient.start`."""
    job_id = client.start(RUN, args, tenant=tenant, **options)  # type: ignore[arg-type]
    services.research.add(tenant, job_id, args.query, args.model)
    view = client.get(tenant, job_id)
    return client.resume(tenant, job_id) if view.state == "paused" else view


def keep_partial(ctx: JobContext, args: ResearchArgs, failure: Failure) -> None:
    """Keep what was written before the research failed or was canceled, and say so in it."""
    had = what_was_told(ctx.services.redis, ctx.tenant, ctx.job_id)
    code = "canceled" if failure.code == "canceled" else "failed"
    why = note(code, args.language, reason=failure.code)
    text = had.text or head(args.query, args.language, extractive=False)
    report = f"{text.rstrip()}\n\n{tail(had.sources, [why], args.language)}"
    error = Note(code=failure.code, text=failure.message)
    content = Content(report=report, sources=had.sources, notes=[why], messages=had.messages, error=error)
    ctx.services.research.add(ctx.tenant, ctx.job_id, args.query, args.model)
    ctx.services.research.end(ctx.tenant, ctx.job_id, code, content, title=args.query[:200], tokens=0)


@job(RUN, queue="default", timeout=1800, reuse=_ALWAYS, on_failure=keep_partial)
def run(ctx: JobContext, args: ResearchArgs) -> ResearchResult:
    """Look a query up in many sources, and report what they say."""
    ctx.services.research.add(ctx.tenant, ctx.job_id, args.query, args.model)
    until = ctx.step("begin", _begin, ctx, args)
    planned = ctx.step("plan", _plan, ctx, args, until)
    limits = Limits(args.max_tokens, args.tokens, until)
    report = ReportWriter(ctx, args.query, args.language, limits, args.user_id)
    report.tokens, report.notes = planned.tokens, list(planned.notes)
    report.add(head(planned.plan.title, args.language, extractive=ctx.services.llm is None))
    searches = ctx.step("searches", _start_searches, ctx, args, planned.plan, until)
    material = ctx.step("material", _gather, ctx, args, planned.plan, searches)
    report.notes += searches.notes + material.notes
    _write(ctx, args, report, material.sections)
    return _keep(ctx, args, report, planned.plan.title)


def _begin(ctx: JobContext, args: ResearchArgs) -> float | None:
    """Return until when the research may go on, in seconds since 1970."""
    ctx.progress(STAGES["plan"], told("planning", args.language))
    ends = [time.time() + args.minutes * 60] if args.minutes else []
    return min([*ends, *([args.deadline.timestamp()] if args.deadline else [])], default=None)


def _plan(ctx: JobContext, args: ResearchArgs, until: float | None) -> Planned:
    given = PlanInput(query=args.query, count=args.breadth, language=args.language)
    messages = [Message("system", PLAN.instructions()), Message("user", PLAN.prompt(given))]
    asked = sum(count_tokens(message.content) for message in messages)
    if ctx.services.llm is None or (args.tokens is not None and args.tokens < 2 * asked + _PLAN_TOKENS):
        return Planned(plan=derived(given))
    call = Call("plan", messages, CAPABILITY, args.user_id, _PLAN_TOKENS, schema=PLAN.schema(), deadline=until)
    try:
        written = complete(ctx, call)
    except ProviderError as error:
        return Planned(plan=derived(given), notes=[note("plan_failed", args.language, reason=error.code)])
    tokens = written.prompt_tokens + written.completion_tokens
    try:
        plan = PLAN.read(written.text)
    except ValueError:
        return Planned(plan=derived(given), tokens=tokens, notes=[note("plan_failed", args.language, reason="form")])
    return Planned(plan=tidied(cast(Plan, plan), given), tokens=tokens)


def _start_searches(ctx: JobContext, args: ResearchArgs, plan: Plan, until: float | None) -> Searches:
    """Start a job for each source of each question, a few of them at once: each waits for the one a few before it."""
    sources = [name for name, used in (("documents", args.documents is not None), ("web", args.web)) if used]
    planned = [(source, question) for question in plan.questions for source in sources]
    allowed = planned[: args.searches] if args.searches is not None else planned
    ctx.progress(STAGES["search"], told("searching", args.language, count=len(plan.questions)))
    started: list[Search] = []
    at_once = ctx.services.config.research_searches
    for n, (source, question) in enumerate(allowed):
        lane = [started[n - at_once].job_id] if n >= at_once else []
        asked = {"research_id": ctx.job_id, "question": question, "language": args.language, "limit": args.results}
        asked |= {"until": until, **({"documents": args.documents} if source == "documents" else {})}
        job_id = ctx.start(SOURCES[source], asked, child=True, depends_on=lane, on_dependency_failure="run")
        started.append(Search(job_id=job_id, source=source, question=question))
    left = len(planned) - len(allowed)
    cut = [note("searches_cut", args.language, left=left, planned=len(planned), budget=args.searches)] if left else []
    return Searches(started=started, notes=cut)


def _gather(ctx: JobContext, args: ResearchArgs, plan: Plan, searches: Searches) -> Material:
    """Wait for the searches, and choose what the sections are written from. What failed is noted and stops nothing."""
    found: dict[str, list[Passage]] = {search.question: [] for search in searches.started}
    looked_up: set[str] = set()
    notes: list[Note] = []
    for search, view in zip(searches.started, ctx.wait_for([each.job_id for each in searches.started]), strict=True):
        findings = Findings.model_validate(view.result) if view.state == "completed" else None
        notes += _troubles(search, view, findings, args.language)
        found[search.question] += findings.passages if findings else []
        looked_up |= {search.question} if findings and not findings.skipped else set()
    sections: list[Section] = []
    used: set[str] = set()  # by a report that quotes: no sentence twice
    for question, passages in found.items():
        best = _best(ctx, question, [each for each in passages if each.text not in used], args.results)
        used |= {each.text for each in best} if ctx.services.llm is None else set()
        sections += [Section(question=question, passages=best)] if best else []
        if not best and question in looked_up:
            notes.append(note("nothing_found", args.language, question=question))
    return Material(sections=sections, notes=notes)


def _troubles(search: Search, view: JobView, findings: Findings | None, language: Language) -> list[Note]:
    if findings is None:
        reason = view.error.code if view.error else view.state
        return [note(f"{search.source}_failed", language, question=search.question, reason=reason)]
    late = [note("search_late", language, question=search.question)] if findings.skipped else []
    return late + [note("source_failed", language, what=each.what, reason=each.code) for each in findings.troubles]


def _best(ctx: JobContext, question: str, passages: Sequence[Passage], limit: int) -> list[Passage]:
    """Return the passages that fit a question, rated alike wherever they are from, without the citations in them."""
    gate = ctx.services.embedder.gate
    compare = similarities(ctx.services.embedder, question) if gate is not None and passages else None
    texts = [CITED.sub("", passage.text) for passage in passages]
    cosines = compare(texts) if compare else [passage.similarity for passage in passages]
    rated = []
    for passage, text, cosine in zip(passages, texts, cosines, strict=True):
        one = passage.model_copy(update={"text": text, "similarity": cosine})
        score = relevance(question, as_hits([one])[0], gate)
        if score >= (_LEAST_RELEVANT if gate is None or cosine is None else gate):
            rated.append(one.model_copy(update={"score": score}))
    return chosen(rated, limit)


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
    ctx.services.research.end(ctx.tenant, ctx.job_id, COMPLETED, content, title=title, tokens=report.tokens)
    sources, model = len(report.sources), args.model
    return ResearchResult(title=title, model=model, tokens=report.tokens, sources=sources, notes=report.notes)


class PurgeArgs(BaseModel):
    """No arguments."""


@job("research.purge", queue="low", timeout=300, every=3600)
def purge(ctx: JobContext, args: PurgeArgs) -> int:
    """Forget research that ended longer ago than `MAX_TASK_AGE_HOURS`."""
    return ctx.services.research.purge(datetime.now(UTC) - timedelta(seconds=ctx.services.config.result_ttl))
