"""Sources of research: a question looked up in the tenant's documents, or on the web; each search a job of its own."""

import time
from collections.abc import Callable, Container
from functools import partial
from urllib.parse import urlsplit

from pydantic import BaseModel

from jobs.core.context import JobContext
from jobs.core.events import add_event
from jobs.core.spec import job
from jobs.domain.answers import relevance
from jobs.domain.chunks import Hit, split_page
from jobs.domain.documents import DocumentError, Page
from jobs.domain.report_notes import told
from jobs.domain.research import Findings, Language, Passage, Source, Trouble, candidates
from jobs.providers.errors import ProviderError
from jobs.providers.pages import WebPage
from jobs.providers.web_search import Found, is_address
from jobs.report_events import MESSAGE

DOCUMENTS, WEB = "research.documents", "research.web"
_PAGES_AT_ONCE = 5
_PAGE_CHARS = 300_000  # of a page that are looked through
_HITS = 20


class SearchArgs(BaseModel):
    """A question of the research `research_id`, which is told how it went; `until` is in seconds since 1970."""

    research_id: str
    question: str
    language: Language
    limit: int
    until: float | None = None

    @property
    def is_late(self) -> bool:
        """Whether the time for it is up."""
        return self.seconds_left is not None and self.seconds_left <= 0

    @property
    def seconds_left(self) -> float | None:
        """How long it may still take; None: as long as it takes."""
        return None if self.until is None else self.until - time.time()


class DocumentsArgs(SearchArgs):
    """In which documents it is looked up; without any, in all."""

    documents: list[int] = []


class PageRead(BaseModel):
    """What a page says on a question, or why it could not be read."""

    passages: list[Passage] = []
    trouble: Trouble | None = None


@job(DOCUMENTS, queue="default", timeout=60, retries=2)
def search_documents(ctx: JobContext, args: DocumentsArgs) -> Findings:
    """Look a question up in the tenant's documents, by words and by meaning."""
    if args.is_late:
        return Findings(skipped=True)
    hits: list[Hit] = []
    for document_id in args.documents or (None,):
        hits += ctx.services.search.search(ctx.tenant, args.question, document_id=document_id, limit=_HITS)
    gate = ctx.services.embedder.gate
    pageless = ctx.services.documents.of_one_page(ctx.tenant, {hit.document_id for hit in hits})
    passages = [_of_document(hit, relevance(args.question, hit, gate), pageless) for hit in hits]
    best = sorted(passages, key=lambda passage: -passage.score)[: 2 * args.limit]
    _tell(ctx, args, told("documents_searched", args.language, question=args.question, count=len(best)))
    return Findings(passages=best, read=len({hit.document_id for hit in hits}))


@job(WEB, queue="default", timeout=180, retries=1, isolated=True)
def search_web(ctx: JobContext, args: SearchArgs) -> Findings:
    """Look a question up on the web and read the pages that are found: strangers' files, in a process with limits."""
    if args.is_late:
        return Findings(skipped=True)
    found = ctx.step("search", _search, ctx, args)
    tasks: dict[str, Callable[[], PageRead]] = {each.url: partial(_read, ctx, args, each) for each in found}
    pages = {done.name: done.result for done in ctx.parallel(tasks, _PAGES_AT_ONCE)}
    read = [pages[each.url] for each in found]
    passages = [passage for page in read for passage in page.passages]
    troubles = [page.trouble for page in read if page.trouble]
    _tell(ctx, args, told("web_searched", args.language, question=args.question, count=len(read) - len(troubles)))
    return Findings(passages=passages, read=len(read) - len(troubles), troubles=troubles)


def _search(ctx: JobContext, args: SearchArgs) -> list[Found]:
    search = ctx.services.web_search
    if search is None:
        return []
    return search.search(args.question, limit=args.limit, language=args.language, within=args.seconds_left)


def _read(ctx: JobContext, args: SearchArgs, found: Found) -> PageRead:
    """Return what a page says; if it cannot be read, why, and what the search engine shows of it."""
    try:
        page = ctx.services.pages.read(found.url, args.seconds_left)
    except (ProviderError, DocumentError) as error:
        passages = [Passage(source=_named(found), text=found.snippet)] if found.snippet else []
        return PageRead(passages=passages, trouble=Trouble(what=found.url, code=error.code))
    return PageRead(passages=candidates(args.question, _passages(page, found)))


def _passages(page: WebPage, found: Found) -> list[Passage]:
    passages: list[Passage] = []
    left = _PAGE_CHARS
    for part in page.pages:
        source = _named(found, page, part)
        passages += [Passage(source=source, text=each.text) for each in split_page(part.number, part.text[:left])]
        left -= len(part.text)
        if left <= 0:
            break
    return passages


def _named(found: Found, page: WebPage | None = None, part: Page | None = None) -> Source:
    """Return a page as a source; only PDFs have pages of their own to name."""
    title = found.title or (page.title if page else "") or urlsplit(found.url).netloc
    url = page.url if page and is_address(page.url) else found.url
    return Source(title=title, url=url, page=part.number if part and part.total else None)


def _of_document(hit: Hit, score: float, pageless: Container[int]) -> Passage:
    page = None if hit.document_id in pageless else hit.page
    source = Source(title=hit.document_name, document_id=hit.document_id, page=page)
    return Passage(source=source, text=hit.text, score=score, similarity=hit.similarity)


def _tell(ctx: JobContext, args: SearchArgs, text: str) -> None:
    """Tell the watchers of the research."""
    add_event(ctx.services.redis, ctx.services.config, ctx.tenant, args.research_id, MESSAGE, {"text": text})
