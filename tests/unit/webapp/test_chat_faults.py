"""Chats with a model whose endpoint misbehaves, over real HTTP: what the client is told, and what is counted."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from jobs.services import Services
from jobs.stores.conversations import ConversationStore, NewConversation
from jobs.stores.user_stats import Reservation
from tests.unit.providers.scripted import Exchange, Server, scripted_server
from tests.unit.webapp.chatting import ask, logged
from tests.unit.webapp.conftest import Build
from webapp import create_app

HELLO = {"choices": [{"delta": {"content": "你好"}}]}
USAGE = {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}


@pytest.fixture
def server() -> Iterator[Server]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def services(build: Build, server: Server) -> Services:
    """One conversation a day: what failed must not have used it up."""
    return build(llm_url=server.url, llm_model="m", llm_timeout=0.5, chat_daily_conversations=1, chat_analysis="off")


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


def broken_off(exchange: Exchange) -> None:
    """Send a piece, and close the connection in the middle of the answer."""
    exchange.handler.send_response(200)
    exchange.handler.send_header("Content-Type", "text/event-stream")
    exchange.handler.send_header("Content-Length", "100000")
    exchange.handler.end_headers()
    exchange.handler.wfile.write(f"data: {json.dumps(HELLO)}\n\n".encode())
    exchange.handler.close_connection = True


def slow_half(exchange: Exchange) -> None:
    """Send a piece, and nothing more."""
    exchange.handler.send_response(200)
    exchange.handler.send_header("Content-Type", "text/event-stream")
    exchange.handler.end_headers()
    exchange.handler.wfile.write(f"data: {json.dumps(HELLO)}\n\n".encode())
    exchange.handler.wfile.flush()
    exchange.hang()


FAULTS: dict[str, tuple[Callable[[Exchange], Any], int, str]] = {
    "busy": (lambda exchange: exchange.json({}, 429, Retry_After="7"), 503, "provider_busy"),
    "failing": (lambda exchange: exchange.json({}, 500), 503, "provider_unavailable"),
    "refusing": (lambda exchange: exchange.json({}, 400), 502, "provider_refused"),
    "silent": (Exchange.hang, 503, "provider_timeout"),
    "slow bytes": (Exchange.trickle, 503, "provider_timeout"),
    "stops half-way": (slow_half, 503, "provider_timeout"),
    "broken stream": (broken_off, 503, "provider_nonsense"),
    "garbage": (lambda exchange: exchange.events(HELLO, "{not json"), 503, "provider_nonsense"),
    "other garbage": (lambda exchange: exchange.events(HELLO, [1, 2]), 503, "provider_nonsense"),
    "nothing written": (lambda exchange: exchange.events(USAGE, "[DONE]"), 503, "provider_nonsense"),
    "an error in the stream": (lambda exchange: exchange.events(HELLO, {"error": "x"}), 503, "provider_nonsense"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_whole_answer_comes_or_an_error_and_an_error_costs_nothing(
    services: Services, web: FlaskClient, server: Server, fault: str
) -> None:
    """Nothing is logged, counted or taken off the day; the next one is answered."""
    server.script, status, code = FAULTS[fault]
    refused = ask(web)
    assert (refused.status_code, refused.get_json()["code"]) == (status, code)
    assert refused.headers.get("Retry-After") == ("7" if fault == "busy" else "2" if status == 503 else None)
    logged(services)
    assert web.get("/stats/1").get_json()["total_conversations"] == 0
    assert web.get("/usage").get_json()["total"]["calls"] == 0
    server.script = lambda exchange: exchange.events(HELLO, USAGE, "[DONE]")
    assert ask(web).get_json()["tokens"] == {"prompt": 12, "completion": 3, "estimated": False}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_stream_says_why_it_ends_and_what_was_read_is_logged(
    services: Services, web: FlaskClient, server: Server, fault: str
) -> None:
    """With `cut_off`, and with tokens that are estimated; what wrote nothing is not logged."""
    server.script, _, code = FAULTS[fault]
    answer = web.post("/chat", json={"user_id": 1, "message": "x"}, headers={"Accept": "text/event-stream"})
    frames = answer.get_data(as_text=True).strip().split("\n\n")
    kind, data = frames[-1].split("\n")
    assert (kind, json.loads(data.removeprefix("data: "))["code"]) == ("event: error", code)
    logged(services)
    found = web.get("/history/1").get_json()["conversations"]
    assert [(each["response"], each["cut_off"], each["tokens_estimated"]) for each in found] == [
        ("你好", True, True)
    ] * (len(frames) - 1)


def test_an_endpoint_that_does_not_stream_is_read_all_the_same(web: FlaskClient, server: Server) -> None:
    """Its whole answer is one piece."""
    answer = {"choices": [{"message": {"content": "你好"}}], "usage": {"prompt_tokens": 12, "completion_tokens": 3}}
    server.script = lambda exchange: exchange.json(answer, Content_Type="application/json; charset=utf-8")
    said = ask(web).get_json()
    assert (said["response"], said["tokens"]["prompt"]) == ("你好", 12)


def test_what_no_database_keeps_is_taken_out(services: Services, web: FlaskClient, server: Server) -> None:
    """NUL, and halves of characters, which a model may well write."""
    wild = {"choices": [{"delta": {"content": "a\0b\ud800c"}}]}
    server.script = lambda exchange: exchange.events(wild, USAGE, "[DONE]")
    assert ask(web).get_json()["response"] == "ab\ufffdc"
    logged(services)
    assert web.get("/history/1").get_json()["conversations"][0]["response"] == "ab\ufffdc"
    assert ask(web, "a\0b").status_code == 422
    assert web.get("/history/1?q=%00").status_code == 422
    assert web.get("/stats/%00").status_code == 422


class _Locked(ConversationStore):
    """A store whose database another process has locked for too long."""

    def accept(self, new: NewConversation, reservation: Reservation | None = None) -> None:
        busy = sqlite3.OperationalError("database is locked")
        busy.sqlite_errorname = "SQLITE_BUSY"
        raise OperationalError("INSERT", None, busy)


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_an_answer_that_cannot_be_kept_is_an_error_and_costs_nothing(
    services: Services, web: FlaskClient, server: Server, accept: str
) -> None:
    """The client is told, also in a stream; the user's day has its conversation left."""
    server.script = lambda exchange: exchange.events(HELLO, USAGE, "[DONE]")
    locked = create_app(services=replace(services, conversations=_Locked(services.database, services.usage)))
    body, headers = {"user_id": 1, "message": "x"}, {"Accept": accept}
    answer = locked.test_client().post("/chat", json=body, headers=headers)
    if answer.status_code == 200:
        kind, data = answer.get_data(as_text=True).strip().split("\n\n")[-1].split("\n")
        assert (kind, json.loads(data.removeprefix("data: "))["code"]) == ("event: error", "unavailable")
    else:
        assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    assert ask(web).status_code == 200
    assert ask(web).status_code == 429
