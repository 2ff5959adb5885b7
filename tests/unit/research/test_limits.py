"""What research may use: tokens, searches, time, and patience with a model; what was cut is said in the report."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobs.core.errors import Postponed
from tests.model_server import ModelServer
from tests.small_web import SmallWeb
from tests.unit.research.conftest import Desk, with_document


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
    assert {note.code for note in result.notes} == {"search_late"}
    assert "was not looked up: the time was up" in desk.report()
