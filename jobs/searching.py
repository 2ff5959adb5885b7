"""Searching: have questions looked up by jobs of their own, and choose what a report is written from."""

from collections.abc import Sequence

from pydantic import BaseModel

from jobs.answering import similarities
from jobs.core.context import JobContext
from jobs.core.view import JobView
from jobs.domain.answers import relevance
from jobs.domain.citations import CITED
from jobs.domain.report_notes import note, told
from jobs.domain.reports import as_hits
from jobs.domain.research import STAGES, Findings, Language, Note, Passage, Plan, ResearchArgs, Section, chosen

SOURCES = {"documents": "research.documents", "web": "research.web"}
_LEAST_RELEVANT = 0.3  # of a passage without a vector: the share of a question's words that it holds


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


def start_searches(ctx: JobContext, args: ResearchArgs, plan: Plan, until: float | None) -> Searches:
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


def gather(ctx: JobContext, args: ResearchArgs, plan: Plan, searches: Searches) -> Material:
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
