"""Limits of a user's day over real processes: kept with many requests at once, and given back by a killed web."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import httpx2
import pytest

from local.stack import Stack
from tests.integration.conftest import StartStack
from tests.integration.worker.fleet import eventually
from tests.processes import descendants
from tests.unit.providers.scripted import Exchange, Server, scripted_server

TOKENS = 400
ANSWER = (
    {"choices": [{"delta": {"content": "你好"}}]},
    {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3}},
)


@pytest.fixture
def model() -> Iterator[Server]:
    with scripted_server() as running:
        running.script = lambda exchange: exchange.events(*ANSWER, "[DONE]")
        yield running


def ask(stack: Stack) -> httpx2.Response:
    return httpx2.post(f"{stack.url}/chat", json={"user_id": 1, "message": "你好"}, timeout=40)


def test_fifty_at_once_use_no_more_than_the_days_tokens(start_stack: StartStack, model: Server) -> None:
    """Those that come again after `limit_under_way` are answered, until the day has no room for another."""
    stack = start_stack(llm_url=model.url, llm_model="small", chat_daily_tokens=TOKENS, web_concurrency=2)

    def insist(_: int) -> int:
        while (answer := ask(stack)).status_code == 429 and answer.json()["code"] == "limit_under_way":
            assert int(answer.headers["Retry-After"]) < 10
        return answer.status_code

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(insist, range(60)))
    assert set(answers) == {200, 429}
    used = (9 + 3) * answers.count(200)
    assert TOKENS / 2 < used <= TOKENS
    assert ask(stack).json()["code"] == "limit_reached"


def test_a_killed_web_process_takes_no_day_with_it(start_stack: StartStack, model: Server) -> None:
    """What its chats had reserved is free when their time is over; nothing of them is counted."""
    stack = start_stack(llm_url=model.url, llm_model="small", llm_timeout=2, chat_daily_conversations=10)
    begun = Event()

    def hang(exchange: Exchange) -> None:
        if len(model.requests) == 8:
            begun.set()
        exchange.hang()

    answering, model.script = model.script, hang
    with ThreadPoolExecutor(8) as pool:
        broken = [pool.submit(ask, stack) for _ in range(8)]
        assert begun.wait(30)
        for each in descendants(stack.processes.pids["web"]):
            os.kill(each, signal.SIGKILL)
        assert all(isinstance(one.exception(), httpx2.TransportError) for one in broken)
    model.script = answering
    codes: list[int] = []
    eventually(lambda: codes.append(ask(stack).status_code) or codes.count(200) == 10, 40)
    assert ask(stack).json()["code"] == "limit_reached"
