"""What research may use: tokens, searches, time, and patience with a model; what was cut is said in the report."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest

from jobs.core.errors import Postponed
from jobs.domain.research import Passage, Section, Source
from jobs.reporting import Limits, ReportWriter
from tests.model_server import ModelServer
from tests.small_web import SmallWeb
from tests.unit.research.conftest import Desk, answer, with_document


def test_a_model_that_is_down_is_waited_for_minutes_and_not_for_an_hour(
    make_desk: Callable[..., Desk], model: ModelServer
) -> None:
    """Its watchers are told why it stands still; then it goes on without, and the report says so."""
    model.answer = lambda message: 503
    desk = make_desk(llm_url=model.url, llm_model="small", breaker_failures=1)
    with_document(desk)
    waits: list[float] = []
    while len(waits) < 20:
        try:
            result = desk.research(documents=[])
            break
        except Postponed as wait:
            waits.append(wait.seconds)
    assert 240 < sum(waits) <= 300
    assert any(said.startswith("Waiting for the language model, which does not answer") for said in desk.messages())
    assert {"plan_failed", "model_failed"} <= {note.code for note in result.notes}
    assert "circuit\\_open" in desk.report().partition("## Notes")[2]


@pytest.mark.parametrize("tokens", [60, 150, 700, 2500])
def test_a_budget_of_tokens_is_kept(desk: Desk, model: ModelServer, tokens: int) -> None:
    """What would not fit is not asked for: the section quotes its sources, and the report says why."""
    result = desk.research(documents=[], web=True, tokens=tokens)
    assert result.tokens <= tokens
    for body in model.bodies:
        assert sum(len(message["content"]) / 5 for message in body["messages"]) + body["max_tokens"] <= tokens
    cut = [note for note in result.notes if note.code in ("tokens_cut", "not_summed_up")]
    assert bool(cut) == (tokens < 200)


def test_a_budget_of_searches_is_kept(desk: Desk, web: SmallWeb) -> None:
    """The report says how many were left out."""
    result = desk.research(documents=[], web=True, searches=1)
    assert web.searched.total() == 0
    assert [note.text for note in result.notes if note.code == "searches_cut"] == [
        "3 of 4 searches were left out: the budget allows 1."
    ]


@pytest.mark.parametrize(
    "limit", [{"minutes": 1e-6}, {"deadline": datetime.now(UTC) - timedelta(hours=1)}], ids=["minutes", "deadline"]
)
def test_a_deadline_is_kept(desk: Desk, web: SmallWeb, model: ModelServer, limit: dict[str, Any]) -> None:
    """Nothing is begun after it; what is there is reported, and what is not there named."""
    result = desk.research(documents=[], web=True, **limit)
    assert web.searched.total() == 0
    assert {note.code for note in result.notes} == {"plan_failed", "search_late"}
    assert "The questions were derived from the query: the time was up." in desk.report()
    assert model.bodies == []
    assert "was not looked up: the time was up" in desk.report()


def test_a_plan_that_the_tokens_do_not_allow_is_named(desk: Desk) -> None:
    """So is a summary, and neither note contradicts itself."""
    desk.research(documents=[], web=True, tokens=60, breadth=2)
    notes = desk.report().partition("## Notes")[2]
    assert "The questions were derived from the query: the budget of 60 tokens did not allow more." in notes
    assert "There is no summary: the budget of 60 tokens did not allow more." in notes
    assert not any("no summary" in line and "quotes its sources" in line for line in notes.splitlines())


@pytest.mark.parametrize("slow", ["Write", "Section"])
def test_a_model_that_says_nothing_is_left_when_the_time_is_up(desk: Desk, model: ModelServer, slow: str) -> None:
    """However much longer it would have been waited for otherwise; that says nothing against the endpoint."""
    silent = Event()

    def say(message: str) -> str | int:
        return 503 if slow in message and not silent.wait(30) else answer(message)

    model.answer = say
    try:
        result = desk.research(documents=[], deadline=datetime.now(UTC) + timedelta(seconds=1))
        assert model.under_way == 1
    finally:
        silent.set()
    assert {note.code for note in result.notes} & {"plan_failed", "time_cut"}
    assert desk.services.model_gate.state().failures == 0


def test_what_was_written_until_the_time_was_up_stays(desk: Desk, model: ModelServer) -> None:
    """With its sources, and a note; what it took is counted."""
    model.answer, model.piece_seconds = lambda _: "Sleep helps [1]. " * 500, 0.02
    passage = Passage(source=Source(title="睡眠.txt", document_id=1), text="Sleep matters for memory.")
    limits = Limits(800, until=time.time() + 1)
    report = ReportWriter(desk.context(), "Sleep", "en", limits, None)
    report.section("section-1", Section(question="Does sleep help?", passages=[passage]), 40)
    assert report.text.startswith("## Does sleep help?\n\nSleep helps [1].")
    assert [note.text for note in report.notes] == ["“Does sleep help?” ends where the time was up."]
    assert report.sources == [passage.source]
    assert report.used > 10
