"""Research over real processes: nobody has to watch, and whoever does ends up with the same text, whatever dies."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
from redis import Redis

from local.ports import free_port
from local.stack import Stack
from tests.integration.conftest import StartStack, new_stack
from tests.integration.http import ended
from tests.live_reader import Reader
from tests.model_server import ModelServer, model_server
from tests.processes import descendants
from tests.small_web import SmallWeb, small_web

QUERY = "How does sleep affect memory?"
QUESTIONS = ["How does sleep consolidate memory?", "Do naps help learning?", "睡眠如何巩固记忆？"]
PAGES = {
    "/sleep": "<title>On sleep</title><p>Sleep consolidates memory. It moves what was learnt into the cortex.</p>",
    "/naps": "<title>Naps</title><p>A nap of twenty minutes helps learning. Longer naps make people drowsy.</p>",
    "/梦": "<title>梦</title><p>睡眠可以巩固记忆。做梦与学习有关。</p>",
}
WORDS = 60


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model that never says the same twice: what is written again after a crash reads otherwise."""
    with model_server(piece_seconds=0.02) as running:

        def answer(message: str) -> str:
            if message.startswith("Write"):
                return json.dumps({"title": "Sleep and memory", "questions": QUESTIONS})
            take = running.asked[message]
            return f"Take {take}: " + "".join(f"word{n} 睡眠{take * n} " for n in range(WORDS)) + "so it is [1]."

        running.answer = answer
        yield running


@pytest.fixture
def web() -> Iterator[SmallWeb]:
    with small_web(pages=dict(PAGES)) as running:
        yield running


def settings(model: ModelServer, web: SmallWeb) -> dict[str, object]:
    return {
        "llm_url": model.url,
        "llm_model": "small",
        "web_search_url": web.url,
        "web_allow_private": True,
        "worker_ttl": 5,
    }


def ask(stack: Stack, **body: Any) -> httpx2.Response:
    given = {"query": QUERY, "search_config": {"documents": False, "breadth": 3}} | body
    return httpx2.post(f"{stack.url}/research", json=given, timeout=40).raise_for_status()


def get(stack: Stack, path: str) -> Any:
    return httpx2.get(f"{stack.url}{path}", timeout=40).raise_for_status().json()


def kill(stack: Stack, name: str) -> None:
    """Kill a process of the stack with all that it has started, as when a machine goes down."""
    pid = stack.processes.pids[name]
    for each in (pid, *descendants(pid)):
        os.kill(each, signal.SIGKILL)
    assert stack.processes.ended(10)


def until(true: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_four_checks_of_the_seed(tmp_path: Path, model: ModelServer, web: SmallWeb) -> None:
    """The same id; a reconnect that goes on where it was; work that goes on without a client; state that survives a
    restart of everything, Redis included."""
    folder = tmp_path / "stack"
    with new_stack(folder, **settings(model, web)) as stack:
        reader, body = Reader("/research"), {"query": QUERY, "search_config": {"breadth": 3, "documents": False}}
        reader.follow(stack.url, 12, method="POST", json=body)
        first = ask(stack)
        task = first.headers["X-Task-ID"]
        assert (ask(stack).headers["X-Task-ID"], first.headers["X-Model-Name"]) == (task, "small")
        assert not reader.ended
        had = reader.text
        before = get(stack, f"/research/{task}")
        assert before["status"] == "running"
        reader.follow(stack.url, 5, method="POST", json=body)
        assert reader.text.startswith(had)
        stack.stop()
    stack.out.close()
    with new_stack(folder, **settings(model, web)) as stack, httpx2.Client(base_url=stack.url, timeout=40) as client:
        assert ended(client, task)["state"] == "completed"
        report = get(stack, f"/research/{task}")
        assert (report["status"], report["percentage"]) == ("completed", 100)
        reader.path = f"/research/{task}/events"
        reader.follow_to_the_end(stack.url)
        assert reader.text == report["report"]
        calls = model.asked.total()
        assert ask(stack).headers["X-Task-ID"] == task
        assert model.asked.total() == calls
        assert set(web.searched.values()) == {1}
    stack.out.close()


def test_ten_reconnects_over_kills_end_with_the_text_of_one_that_never_left(
    start_stack: StartStack, model: ModelServer, web: SmallWeb
) -> None:
    """To two web servers, one of which is killed, while workers die too: all three texts are equal, byte for byte. The
    model says something else each time, so that nothing is equal by luck."""
    stack, port = start_stack(**settings(model, web)), free_port()
    other = f"http://127.0.0.1:{port}"
    stack.start_process("web2", like="web", arguments=f"-b 127.0.0.1:{port}")
    until(lambda: answers(other))
    task = ask(stack).headers["X-Task-ID"]
    path = f"/research/{task}/events"
    steady, leaver = Reader(path), Reader(path)
    reading = Thread(target=steady.follow_to_the_end, args=[other])
    reading.start()
    for n in range(10):
        leaver.follow((stack.url, other)[n % 2], 9)
        if n in (2, 5):
            kill(stack, "worker")
            stack.start_process("worker")
        if n in (3, 7):
            kill(stack, "web")
            stack.start_process("web")
    leaver.follow_to_the_end(stack.url, other)
    reading.join()
    report = httpx2.get(f"{other}/research/{task}/report.md", timeout=40).raise_for_status().content
    assert (steady.connections, leaver.connections >= 11) == (1, True)
    assert leaver.text.encode() == steady.text.encode() == report
    assert any(count > 1 for count in model.asked.values())  # a section was written again
    assert set(web.searched.values()) == {1}
    late = Reader(path)
    late.follow_to_the_end(other)
    assert late.text.encode() == report


def test_paused_in_the_middle_of_a_search_it_goes_on_elsewhere_without_repeating_one(
    start_stack: StartStack, model: ModelServer, web: SmallWeb
) -> None:
    """The worker that was at it is gone; what it had found is not looked for again."""
    web.hold.clear()
    stack = start_stack(**settings(model, web), research_searches=2)
    task = ask(stack).headers["X-Task-ID"]
    assert web.begun.wait(60)
    paused = httpx2.post(f"{stack.url}/jobs/{task}/pause", timeout=40).raise_for_status()
    assert paused.json()["state"] == "paused"
    web.hold.set()
    until(lambda: not running(stack))
    assert get(stack, f"/research/{task}")["status"] == "paused"
    searched = web.searched.total()
    assert 0 < searched < len(QUESTIONS)
    kill(stack, "worker")
    stack.start_process("worker2", like="worker")
    assert ask(stack).headers["X-Task-ID"] == task  # asking again lets it go on
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        assert ended(client, task)["state"] == "completed"
    assert sorted(web.searched.values()) == [1] * len(QUESTIONS)


def test_searches_run_at_the_same_time_and_no_more_than_may(
    start_stack: StartStack, model: ModelServer, web: SmallWeb
) -> None:
    """Two at once over three workers; one that fails is named and fails nothing."""
    web.broken_queries = {"naps"}
    web.hold.clear()
    stack = start_stack(**settings(model, web), research_searches=2)
    for name in ("worker2", "worker3"):
        stack.start_process(name, like="worker")
    task = ask(stack).headers["X-Task-ID"]
    until(lambda: web.under_way == 2)
    web.hold.set()
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        assert ended(client, task)["state"] == "completed"
    assert web.most == 2
    found = get(stack, f"/research/{task}")
    assert "web_failed" in {note["code"] for note in found["notes"]}
    assert "The web search for “Do naps help learning?” failed" in found["report"]
    assert "## How does sleep consolidate memory?" in found["report"]


def test_canceled_it_keeps_what_was_written_and_says_so(
    start_stack: StartStack, model: ModelServer, web: SmallWeb
) -> None:
    """All that a reader had, and a note, which readers get too; asked for again it begins anew."""
    stack = start_stack(**settings(model, web))
    task = ask(stack).headers["X-Task-ID"]
    reader = Reader(f"/research/{task}/events")
    until(lambda: reader.follow(stack.url, 5) or "word20" in reader.text)
    httpx2.post(f"{stack.url}/jobs/{task}/cancel", timeout=40).raise_for_status()
    reader.follow_to_the_end(stack.url)
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        assert ended(client, task)["state"] == "canceled"
    kept = get(stack, f"/research/{task}")
    assert kept["status"] == "canceled"
    assert kept["report"] == reader.text
    assert kept["report"].endswith("The research was canceled here: what follows was not written.\n")
    assert kept["tokens"] >= 12, "the plan's are counted"
    assert ask(stack).headers["X-Task-ID"] != task


def test_a_wiped_redis_costs_time_and_nothing_else(start_stack: StartStack, model: ModelServer, web: SmallWeb) -> None:
    """All that was told is gone, and what was found is not: no search is repeated, and who had read half of it ends up
    with the report, byte for byte."""
    stack = start_stack(**settings(model, web))
    task = ask(stack).headers["X-Task-ID"]
    reader = Reader(f"/research/{task}/events")
    until(lambda: reader.follow(stack.url, 5) or "word20" in reader.text)
    with Redis.from_url(stack.redis_url) as redis:
        redis.flushall()
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        assert ended(client, task)["state"] == "completed"
    reader.follow_to_the_end(stack.url)
    report = httpx2.get(f"{stack.url}/research/{task}/report.md", timeout=40).raise_for_status().content
    assert reader.text.encode() == report
    assert sorted(web.searched.values()) == [1] * len(QUESTIONS)


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/livez", timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def running(stack: Stack) -> bool:
    return any(queue["running"] for queue in get(stack, "/queues")["queues"])
