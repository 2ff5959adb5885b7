"""Limits of a user's day over HTTP: kept before the model is asked, settled with the answer, given back by failures."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from jobs.providers.errors import ProviderBusy
from tests.unit.webapp.chatting import ScriptedModel, ask, logged
from tests.unit.webapp.conftest import Build
from webapp import create_app

DAY = {"chat_daily_tokens": 3000, "chat_max_tokens": 1024}


def test_the_day_is_used_up_before_the_model_is_asked(build: Build, model: ScriptedModel) -> None:
    """Fifty requests at once, a limit of ten: ten answers; the others are told when to come again."""
    web = create_app(services=build(model, chat_daily_conversations=10)).test_client
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: ask(web()), range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 10 + [429] * 40
    assert len(model.asked) == 10
    refused = ask(web())
    assert refused.get_json()["code"] == "limit_reached"
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400


def test_what_was_not_used_is_left_for_the_next_message(build: Build, model: ScriptedModel) -> None:
    """With no worker that logs; the last answers may be as long as the day allows, and the day is never exceeded."""
    services = build(model, **DAY)
    web = create_app(services=services).test_client()
    assert {ask(web).status_code for _ in range(10)} == {200}
    for written in (900, 900, 700):
        model.counts = (100, written)
        assert ask(web).status_code == 200
    assert model.allowed[0] == 1024 > model.allowed[-1] >= 700
    assert ask(web).get_json()["code"] == "limit_reached"
    logged(services)
    assert services.user_stats.get("local", "1").total_tokens == 140 + 2800
    assert ask(web).status_code == 429


def test_what_calls_under_way_hold_is_free_in_a_moment(build: Build, model: ScriptedModel) -> None:
    """A stream that is not read to its end holds what it may still use."""
    web = create_app(services=build(model, chat_daily_conversations=1)).test_client()
    stream = web.post(
        "/chat", json={"user_id": 1, "message": "x"}, headers={"Accept": "text/event-stream"}, buffered=False
    )
    next(iter(stream.response))
    refused = ask(web)
    assert (refused.status_code, refused.get_json()["code"]) == (429, "limit_under_way")
    assert int(refused.headers["Retry-After"]) < 10
    stream.close()
    assert ask(web).get_json()["code"] == "limit_reached"


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_what_failed_costs_nothing_of_the_day(build: Build, model: ScriptedModel, accept: str) -> None:
    web = create_app(services=build(model, chat_daily_conversations=1, **DAY)).test_client()
    model.pieces = [ProviderBusy()]
    for _ in range(3):
        web.post("/chat", json={"user_id": 1, "message": "x"}, headers={"Accept": accept})
    model.pieces = ["ok"]
    assert ask(web).status_code == 200


@pytest.mark.parametrize(("limit", "codes"), [(20, {200, 429}), (2, {429})])
def test_the_built_in_responder_is_held_to_the_day_too(build: Build, limit: int, codes: set[int]) -> None:
    """By its message and its answer; a message longer than the day is refused."""
    web = create_app(services=build(chat_daily_tokens=limit)).test_client()
    answers: list[Any] = [ask(web) for _ in range(6)]
    assert {answer.status_code for answer in answers} == codes
    assert answers[-1].get_json()["code"] == "limit_reached"
