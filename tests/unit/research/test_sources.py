"""The searches of research: what they bring, and what becomes of what cannot be had."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from jobs.core.context import JobContext
from jobs.core.events import read_events
from jobs.domain.research import Findings
from jobs.providers.errors import ProviderError
from jobs.research_sources import DocumentsArgs, SearchArgs, search_documents, search_web
from tests.fakes import job_client
from tests.library import add_document
from tests.samples import pdf
from tests.small_web import SmallWeb
from tests.unit.research.conftest import TENANT, Desk, with_document

RESEARCH = "p" * 32


def ask(question: str = "How does sleep consolidate memory?", **given: Any) -> SearchArgs:
    return SearchArgs(research_id=RESEARCH, question=question, language="en", limit=5, **given)


def search(desk: Desk, args: SearchArgs) -> Findings:
    client = job_client(desk.services)
    ctx = JobContext(job_id="s" * 32, tenant=TENANT, attempt=1, services=desk.services, client=client)
    return search_documents(ctx, args) if isinstance(args, DocumentsArgs) else search_web(ctx, args)


@pytest.fixture
def desk(make_desk: Callable[..., Desk], web: SmallWeb) -> Desk:
    made = make_desk(web_search_url=web.url, web_allow_private=True, web_timeout=0.5)
    with_document(made)
    return made


def test_pages_are_read_and_their_passages_named(desk: Desk, web: SmallWeb) -> None:
    """In the order in which they were found; the watchers of the research are told."""
    found = search(desk, ask("睡眠如何巩固记忆 consolidates"))
    assert [passage.source.title for passage in found.passages] == ["Page /sleep", "Page /梦"]
    assert found.passages[1].source.url == f"{web.url}/%E6%A2%A6"
    assert (found.read, found.troubles) == (2, [])
    [told] = read_events(desk.services.redis, TENANT, RESEARCH)
    assert (told.kind, told.data["text"].partition(": ")[2]) == ("message", "2 pages read.")


def test_pages_that_cannot_be_read_are_named_with_their_reasons(desk: Desk, web: SmallWeb) -> None:
    """What the search engine shows of them is used in their place."""
    web.pages |= {"/gone": "sleep", "/empty": "<script>sleep()</script>", "/slow": "<p>sleep</p>"}
    web.broken = {"/gone"}
    found = search(desk, ask("sleep"))
    reasons = {trouble.what.rpartition("/")[2]: trouble.code for trouble in found.troubles}
    assert reasons == {"gone": "provider_unavailable", "empty": "no_text"}
    assert "About /gone." in [passage.text for passage in found.passages]


def test_addresses_that_a_search_engine_should_not_find_are_not_called(
    make_desk: Callable[..., Desk], web: SmallWeb
) -> None:
    """The engine is ours, the addresses are not: a private one is refused."""
    desk = make_desk(web_search_url=web.url)
    found = search(desk, ask("sleep"))
    assert {trouble.code for trouble in found.troubles} == {"url_not_allowed"}
    assert web.read.total() == 0


def test_a_page_of_a_pdf_is_named(desk: Desk, web: SmallWeb) -> None:
    """HTML has none."""
    web.pages["/sleep.pdf"] = pdf(["First, on sleep.", "Second, on memory."]).decode("latin-1") + "% sleep"
    found = search(desk, ask("sleep memory"))
    named = [(each.source.title, each.source.page) for each in found.passages if "pdf" in each.source.title]
    assert named == [("Page /sleep.pdf", 1), ("Page /sleep.pdf", 2)]


def test_a_search_that_fails_is_tried_again_and_then_fails_its_job(desk: Desk, web: SmallWeb) -> None:
    """The report that waits for it goes on without."""
    web.broken_queries = {"sleep"}
    with pytest.raises(ProviderError) as caught:
        search(desk, ask("sleep"))
    assert caught.value.retryable


def test_documents_are_searched_all_or_some(desk: Desk) -> None:
    """With the page of each passage; another tenant's are not there."""
    all_of_them = search(desk, DocumentsArgs(**ask("成年人需要睡眠").model_dump()))
    assert {passage.source.page for passage in all_of_them.passages} == {1, 2}
    assert all_of_them.passages[0].source.page == 2
    none = search(desk, DocumentsArgs(**ask("睡眠").model_dump(), documents=[99]))
    assert none.passages == []


@pytest.mark.parametrize("kind", [SearchArgs, DocumentsArgs])
def test_after_its_time_nothing_is_searched(desk: Desk, web: SmallWeb, kind: type[SearchArgs]) -> None:
    """It says so."""
    late = search(desk, kind(**ask(until=time.time() - 1).model_dump()))
    assert (late.skipped, late.passages, web.searched.total()) == (True, [], 0)


@pytest.mark.parametrize(("pages", "named"), [(["Sleep consolidates memory."], None), (["Sleep.", "Memory."], 1)])
def test_only_a_document_of_several_pages_is_cited_by_page(
    make_desk: Callable[..., Desk], pages: list[str], named: int | None
) -> None:
    """A text of one page has none to turn to."""
    desk = make_desk()
    add_document(desk.services.database, desk.services.search, pages, tenant=TENANT)
    asked = DocumentsArgs(research_id=RESEARCH, question="Sleep", language="en", limit=5)
    assert [passage.source.page for passage in search(desk, asked).passages] == [named]
