"""Reviews over real processes: what was answered is not asked again, whatever stops the job; equal requests are one."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from redis import Redis

from config import LOCAL_TENANT
from jobs.core import keys
from local.stack import Stack
from tests.integration.conftest import StartStack
from tests.integration.http import ended
from tests.integration.worker.fleet import eventually
from tests.model_server import ModelServer, model_server

NODES = 40
AT_ONCE = 6


def questions(message: str) -> str:
    note = message.split("-----")[1].strip()
    return json.dumps({"questions": [f"为什么{note}？", f"Why {note}?"]})


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model that takes a third of a second for each note."""
    with model_server(answer=questions, seconds=0.3) as running:
        yield running


@pytest.fixture
def stack(start_stack: StartStack, model: ModelServer) -> Stack:
    """A service with that model, whose workers ask it six things at once, and whose dead are noticed soon."""
    return start_stack(llm_url=model.url, llm_model="small", agent_concurrency=AT_ONCE, worker_ttl=5)


@pytest.fixture
def web(stack: Stack) -> Iterator[httpx2.Client]:
    """A client of it, with a canvas of forty nodes that are not understood."""
    place = {"type": "text", "x": 0, "y": 0, "width": 1, "height": 1}
    nodes = [{"id": f"n{n}", "text": f"第 {n} 课", "color": "16"[n % 2], **place} for n in range(NODES)]
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        client.put("/canvases/微积分", json={"nodes": nodes}).raise_for_status()
        yield client


@pytest.fixture
def steps(stack: Stack) -> Iterator[Callable[[str], set[str]]]:
    """Say which steps of a job are kept."""
    with Redis.from_url(stack.redis_url) as redis:
        yield lambda job_id: {name.decode() for name in redis.hkeys(keys.steps(LOCAL_TENANT, job_id))}


def generate(client: httpx2.Client) -> str:
    answer = client.post("/api/v1/review/generate", json={"canvas_name": "微积分"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def times_asked(model: ModelServer) -> dict[str, int]:
    """Return how often each node was asked about, by the name of its step."""
    return {f"ask n{message.split('第 ')[1].split(' 课')[0]}": times for message, times in model.asked.items()}


def whole(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    """Return the result of a review in which no question is missing, on its canvas too."""
    view = ended(client, job_id)
    assert view["state"] == "completed", view
    result = dict(view["result"])
    assert (result["node_count"], result["question_count"], result["failures"]) == (NODES, 2 * NODES, [])
    canvas = client.get(f"/canvases/{result['review_canvas_name']}").raise_for_status().json()
    assert len(canvas["edges"]) == 2 * NODES
    return result


def test_no_answer_is_lost_and_none_asked_for_twice_when_the_worker_is_killed(
    stack: Stack, web: httpx2.Client, model: ModelServer, steps: Callable[[str], set[str]]
) -> None:
    """Only what was under way at a kill is asked again; one canvas is written."""
    job_id = generate(web)
    kept: dict[str, int] = {}  # answers that were kept at a kill, and how often they had been asked for by then
    for least in (8, 20):
        eventually(lambda least=least: len(steps(job_id)) > least, 30)
        os.kill(stack.processes.pids["worker"], signal.SIGKILL)
        assert stack.processes.ended(10)
        asked = times_asked(model)
        kept = {step: asked[step] for step in steps(job_id) if step in asked} | kept
        stack.start_process("worker")
    whole(web, job_id)
    asked = times_asked(model)
    assert {step: asked[step] for step in kept} == kept
    assert sum(asked.values()) <= NODES + 2 * AT_ONCE
    assert model.most <= AT_ONCE
    assert len(web.get("/canvases").json()["canvases"]) == 2


def test_a_pause_lets_what_is_under_way_end_and_nothing_is_asked_twice(
    web: httpx2.Client, model: ModelServer, steps: Callable[[str], set[str]]
) -> None:
    """While it is paused nobody is asked; then it goes on where it was."""
    job_id = generate(web)
    for least in (5, 15, 25):
        eventually(lambda least=least: len(steps(job_id)) > least, 30)
        web.post(f"/jobs/{job_id}/pause").raise_for_status()
        eventually(lambda: web.get(f"/jobs/{job_id}").json()["state"] == "paused" and not model.under_way, 30)
        asked = sum(model.asked.values())
        time.sleep(0.7)  # twice as long as a call takes: whatever might go on
        assert sum(model.asked.values()) == asked < NODES
        web.post(f"/jobs/{job_id}/resume").raise_for_status()
    whole(web, job_id)
    assert sum(model.asked.values()) == NODES


def test_requests_at_the_same_time_are_one_review(web: httpx2.Client, model: ModelServer) -> None:
    """All are answered with the same task; it is asked, and written, once."""
    with ThreadPoolExecutor(10) as pool:
        ids = set(pool.map(lambda _: generate(web), range(20)))
    assert len(ids) == 1
    ids.add(generate(web))
    whole(web, ids.pop())
    assert not ids
    assert sum(model.asked.values()) == NODES
    assert len(web.get("/canvases").json()["canvases"]) == 2
