"""Searching: have questions looked up by jobs of their own, and choose what a report is written from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from jobs.core.context import JobContext
from jobs.core.view import JobView
from jobs.domain.answers import relevance, supporting
from jobs.domain.citations import without_citations
from jobs.domain.report_notes import note, told
from jobs.domain.reports import as_hits
from jobs.domain.research import (
    STAGES,
    Findings,
    Language,
    Note,
    Passage,
    Plan,
    ResearchArgs,
    Section,
    chosen,
    language_of,
)

if TYPE_CHECKING:
    from jobs.providers.embedder import Embedder

SOURCES = {"documents": "research.documents", "web": "research.web"}
_COMPARED = 16  # passages of a question that are compared with it by meaning
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


def gather(ctx: JobContext, args: ResearchArgs, searches: Searches) -> Material:
    """Wait for the searches, and choose what the sections are written from. What failed is noted and stops nothing."""
    found: dict[str, list[Passage]] = {search.question: [] for search in searches.started}
    looked_up: set[str] = set()
    notes: list[Note] = []
    for search, view in zip(searches.started, ctx.wait_for([each.job_id for each in searches.started]), strict=True):
        findings = Findings.model_validate(view.result) if view.state == "completed" else None
        notes += _troubles(search, view, findings, args.language)
        if findings and not findings.skipped:
            looked_up.add(search.question)
            found[search.question] += map(_without_citations, findings.passages)
    sections = _sections(ctx, args, compared(ctx.services.embedder, found))
    missing = looked_up - {section.question for section in sections}
    if ctx.services.llm is None:
        missing = set()  # nobody has asked for the aspects that were derived
    notes += [note("nothing_found", args.language, question=question) for question in found if question in missing]
    return Material(sections=sections, notes=notes)


def _sections(ctx: JobContext, args: ResearchArgs, found: Mapping[str, Sequence[Passage]]) -> list[Section]:
    """Return a section for each question that something was found on, with the passages that fit it best."""
    sections = []
    used: set[str] = set()  # by a report that quotes: no sentence twice
    for question, passages in found.items():
        if ctx.services.llm is None:
            new = [each for each in passages if each.text not in used]
            best = _quotable(question, new, ctx.services.embedder.gate, args)
            used.update(each.text for each in best)
        else:
            best = chosen(_fitting(question, passages, ctx.services.embedder.gate), args.results)
        if best:
            sections.append(Section(question=question, passages=best))
    return sections


def _quotable(question: str, passages: Sequence[Passage], gate: float | None, args: ResearchArgs) -> list[Passage]:
    """Return the passages that answer a question by themselves, in the report's language if there are any.

    A model passes over what does not belong; a report that quotes has to be as strict as answers are.
    """
    answering = [passages[-hit.document_id - 1] for hit in supporting(question, as_hits(passages), gate)]
    same = [passage for passage in answering if language_of(passage.text) == args.language]
    return (same or answering)[: args.results]


def _without_citations(passage: Passage) -> Passage:
    """Return a passage without the numbers of its own sources: in a report they would be taken for the report's."""
    return passage.model_copy(update={"text": without_citations(passage.text)})


def _troubles(search: Search, view: JobView, findings: Findings | None, language: Language) -> list[Note]:
    if findings is None:
        reason = view.error.code if view.error else view.state
        return [note(f"{search.source}_failed", language, question=search.question, reason=reason)]
    late = [note("search_late", language, question=search.question)] if findings.skipped else []
    return late + [note("source_failed", language, what=each.what, reason=each.code) for each in findings.troubles]


def _fitting(question: str, passages: Sequence[Passage], gate: float | None) -> Iterator[Passage]:
    """Yield the passages that bear on a question, rated alike wherever they are from."""
    for passage, hit in zip(passages, as_hits(passages), strict=True):
        score = relevance(question, hit, gate)
        if score >= (_LEAST_RELEVANT if gate is None or hit.similarity is None else gate):
            yield passage.model_copy(update={"score": score})


def compared(embedder: "Embedder", found: Mapping[str, Sequence[Passage]]) -> dict[str, list[Passage]]:
    """Return what was found on each question, compared with it by meaning, if that can be done in this process.

    Of passages that have not been compared yet only the best by their words are, each text once, since it takes 12 ms.
    """
    if not embedder.is_local or embedder.gate is None:
        return {question: list(passages) for question, passages in found.items()}
    short = {question: _shortlisted(passages) for question, passages in found.items()}
    new = list(dict.fromkeys(p.text for passages in short.values() for p in passages if p.similarity is None))
    rows = dict(zip(new, embedder.encode(new), strict=True)) if new else {}
    return {question: _with_cosines(embedder.encode_question(question), some, rows) for question, some in short.items()}


def _shortlisted(passages: Sequence[Passage]) -> list[Passage]:
    known = [passage for passage in passages if passage.similarity is not None]
    new = sorted((passage for passage in passages if passage.similarity is None), key=lambda each: -each.score)
    return known + new[:_COMPARED]


def _with_cosines(vector: Any, passages: Sequence[Passage], rows: Mapping[str, Any]) -> list[Passage]:
    if vector is None:
        return list(passages)
    return [
        passage.model_copy(update={"similarity": float(rows[passage.text] @ vector)})
        if passage.text in rows
        else passage
        for passage in passages
    ]
