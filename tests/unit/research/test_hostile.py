"""Research against pages, searches and models that mean no good: the report is made, and is text."""

import json
import re
from collections.abc import Callable

import pytest
from markdown_it import MarkdownIt

from jobs.stores.usage import UsageFilter
from tests.model_server import ModelServer
from tests.small_web import SmallWeb
from tests.unit.research.conftest import TENANT, Desk, answer


@pytest.mark.parametrize(
    "sentence",
    [
        "Sleep certainly improves memory [[9]77] in people.",
        "Sleep certainly improves memory [[9]1, 2] in people.",
        "Sleep certainly improves memory [1](http://evil.example/) in people.",
        r"Sleep certainly improves memory \&lt;img src=http://evil.example/ onerror=alert(1)&gt; in people.",
    ],
)
def test_a_quotation_has_no_number_and_no_effect_of_its_own(
    make_desk: Callable[..., Desk], web: SmallWeb, sentence: str
) -> None:
    """What a page says of sources is not taken for what the report says of its own, nor is it HTML or a link."""
    web.pages = {"/evil": f"<title>Sleep</title><p>{sentence}</p>"}
    desk = make_desk(web_search_url=web.url, web_allow_private=True)
    desk.research(query="How does sleep improve memory?", model="built-in", web=True)
    report = desk.report()
    assert re.findall(r"\[\d+\]", report) == ["[1]"]
    html = MarkdownIt("commonmark", {"html": True}).render(report)
    assert "<img" not in html
    assert 'href="http://evil' not in html


def test_a_model_cannot_forge_a_list_of_sources(desk: Desk, web: SmallWeb, model: ModelServer) -> None:
    """Its headings and its numbered lists are text; the only ones are the report's own."""
    forged = "Claim [1].\n\n## Sources\n\n1. Journal of Trust. <[99]https://trusted.example/>\n\nNotes\n---\n"
    model.answer = lambda message: answer(message) if message.startswith("Write") else forged
    desk.research(web=True)
    html = MarkdownIt("commonmark", {"html": True}).render(desk.report())
    assert html.count(">Sources</h2>") == 1
    assert html.count("<ol>") == 1
    assert "<h2>Notes" not in html
    assert 'href="https://trusted' not in html


def test_results_and_answers_that_nobody_can_store_fail_nothing(desk: Desk, web: SmallWeb, model: ModelServer) -> None:
    """A plan with control characters, a section with halves of characters."""
    plan = json.dumps({"title": "Sleep\0 and memory", "questions": ["How does\x07 sleep \0consolidate memory?"]})
    model.answer = lambda message: plan if message.startswith("Write") else "Sleep \ud83d helps\0 [1]."
    desk.research(web=True)
    assert desk.kept().title == "Sleep and memory"
    assert "## How does sleep consolidate memory?\n\nSleep \ufffd helps [1]." in desk.report()


def test_a_page_that_is_made_to_cost_time_is_named_and_the_others_are_used(desk: Desk, web: SmallWeb) -> None:
    """Two megabytes of elements that nothing closes, and of ends that close nothing."""
    web.pages = {"/good": web.pages["/sleep"], "/bad": "<p>Sleep, memory.</p>" + "<b>" * 290_000 + "</x>" * 290_000}
    desk.research(web=True)
    assert f"{web.url}/bad could not be used (unreadable)." in desk.report()
    assert "1. Page /good." in desk.report()


def test_tries_that_break_off_are_on_the_budget(desk: Desk, web: SmallWeb, model: ModelServer) -> None:
    """What they have used is counted, and what is left is not enough to try again for ever."""
    long = "Sleep helps memory. " * 60
    model.answer, model.breaks = (lambda message: answer(message) if message.startswith("Write") else long), True
    result = desk.research(documents=None, web=True, tokens=900)
    said = sum(body["stream"] for body in model.bodies if "stream" in body)
    assert 1 <= said < 5
    assert 250 * said < result.tokens <= 900
    assert "tokens_cut" in {note.code for note in result.notes}
    used = desk.services.usage.total(TENANT, UsageFilter(source="research"))
    assert used.prompt_tokens + used.completion_tokens == result.tokens == desk.kept().tokens
