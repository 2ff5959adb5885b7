"""Agents over real worker processes: the limit on calls at once, also over kills; turns; an endpoint that is down."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from jobs.providers.model_gate import LEASE_SECONDS
from local.stack import Stack
from tests.integration.conftest import StartStack
from tests.integration.http import ended
from tests.model_server import ModelServer, model_server
from tests.processes import descendants
from webapp.auth import new_key

LIMIT = 12


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server(seconds=0.2) as running:
        yield running


def start(client: httpx2.Client, *prompts: str, **headers: str) -> str:
    calls = [{"agent": "assistant", "input": {"prompt": prompt}} for prompt in prompts]
    accepted = client.post("/agents/batch", json={"calls": calls}, headers=headers).raise_for_status().json()
    return str(accepted["task_id"])


def answers(client: httpx2.Client, task: str) -> list[str]:
    """Return the answers that a batch has by now."""
    found = client.get(f"/agents/batch/{task}?limit=100").raise_for_status().json()["results"]
    return [one["answer"]["output"]["text"] for one in found if one["status"] == "completed"]


def kill(stack: Stack, name: str) -> None:
    """Kill a worker with all its processes, as when a machine goes down."""
    pid = stack.processes.pids[name]
    for each in (pid, *descendants(pid)):
        os.kill(each, signal.SIGKILL)
    assert stack.processes.ended(10)


def test_never_more_than_twelve_calls_at_once_over_all_workers(start_stack: StartStack, model: ModelServer) -> None:
    """Three worker processes, five batches: twelve calls are under way while work waits, and never a thirteenth."""
    stack = start_stack(llm_url=model.url, llm_model="small")
    for number in (2, 3):
        stack.start_process(f"worker{number}", like="worker")
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        tasks = [start(client, *(f"{batch}.{n}" for n in range(60))) for batch in range(5)]
        assert {ended(client, task)["state"] for task in tasks} == {"completed"}
        state = client.get("/model").json()
    assert model.most == LIMIT
    assert (len(model.asked), model.asked.total()) == (300, 300)
    assert (state["running"], state["waiting"]) == (0, 0)


def test_the_places_of_a_killed_worker_come_back_and_no_kept_answer_is_asked_for_again(
    start_stack: StartStack, model: ModelServer
) -> None:
    stack = start_stack(llm_url=model.url, llm_model="small", worker_ttl=5)
    stack.start_process("worker2", like="worker")
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        tasks = [start(client, *(f"{batch}.{n}" for n in range(100))) for batch in range(2)]
        while model.asked.total() < 40:
            time.sleep(0.01)
        kept = {answer for task in tasks for answer in answers(client, task)}
        kill(stack, "worker2")
        assert [ended(client, task)["state"] for task in tasks] == ["completed"] * 2
        assert [len(answers(client, task)) for task in tasks] == [100, 100]
    again = {f"answer to {message}" for message, times in model.asked.items() if times > 1}
    assert kept
    assert not again & kept
    assert len(again) <= LIMIT  # those whose answers were on their way
    assert model.most <= 2 * LIMIT  # a dead worker's calls go on at the server until that notices


def test_the_places_of_a_canceled_job_are_free_before_its_leases_run_out(
    start_stack: StartStack, model: ModelServer
) -> None:
    """Whoever comes next does not wait for calls that ended with their process."""
    model.seconds = 2.0
    stack = start_stack(llm_url=model.url, llm_model="small")
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        task = start(client, *(str(number) for number in range(48)))
        while client.get("/model").json()["running"] < LIMIT:
            time.sleep(0.01)
        client.post(f"/jobs/{task}/cancel").raise_for_status()
        assert ended(client, task)["state"] == "canceled"
        canceled = time.monotonic()
        while client.get("/model").json()["running"]:
            assert time.monotonic() < canceled + LEASE_SECONDS / 2
            time.sleep(0.01)
        assert ended(client, start(client, "next"))["state"] == "completed"


def test_ten_calls_of_one_job_run_at_the_same_time(start_stack: StartStack, model: ModelServer) -> None:
    """All ten are under way at once, on one worker of one thread."""
    model.seconds = 1.0
    stack = start_stack(llm_url=model.url, llm_model="small")
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        task = start(client, *(str(number) for number in range(10)))
        assert ended(client, task)["state"] == "completed"
    assert model.most == 10


def test_a_small_tenant_is_served_beside_a_flood(start_stack: StartStack, model: ModelServer) -> None:
    """Its few calls are done long before those that came first."""
    (flood, flood_entry), (small, small_entry) = new_key("flood"), new_key("small")
    keys = f"{flood_entry},{small_entry}"
    stack = start_stack(llm_url=model.url, llm_model="small", api_keys=keys, host="127.0.0.1")
    stack.start_process("worker2", like="worker")
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        theirs, mine = ({"Authorization": f"Bearer {key}"} for key in (flood, small))
        big = start(client, *(f"f{n}" for n in range(300)), **theirs)
        while model.asked.total() < LIMIT:
            time.sleep(0.01)
        little = start(client, *(f"s{n}" for n in range(6)), **mine)
        client.headers |= mine
        assert ended(client, little)["state"] == "completed"
        client.headers |= theirs
        assert client.get(f"/jobs/{big}").json()["state"] == "running"
        assert client.post(f"/jobs/{big}/cancel").json()["state"] in ("running", "canceled")


def test_an_answer_comes_with_the_response_or_the_job_is_named(start_stack: StartStack, model: ModelServer) -> None:
    """Within `wait`, else 202."""
    stack = start_stack(llm_url=model.url, llm_model="small")
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        body: dict[str, Any] = {"input": {"prompt": "快问"}, "wait": 20}
        quick = client.post("/agents/assistant/call", json=body)
        assert (quick.status_code, quick.json()["output"]) == (200, {"text": "answer to 快问"})
        assert quick.headers["X-Model-Name"] == "small"
        model.seconds = 3.0
        slow = client.post("/agents/assistant/call", json=body | {"wait": 0.2})
        assert slow.status_code == 202
        assert ended(client, slow.headers["X-Task-ID"])["state"] == "completed"
        model.seconds, model.answer = 0.0, lambda message: 400
        refused = client.post("/agents/assistant/call", json=body)
        assert (refused.status_code, refused.json()["code"]) == (502, "provider_refused")


def test_jobs_wait_for_an_endpoint_that_is_down_and_one_call_tries_it(
    start_stack: StartStack, model: ModelServer
) -> None:
    """None fails; the endpoint is left alone meanwhile; when it answers again, all are done."""
    model.seconds, model.answer = 0.0, lambda message: 503
    stack = start_stack(llm_url=model.url, llm_model="small", breaker_seconds=3)
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        tasks = [start(client, f"{number}") for number in range(4)]
        while client.get("/model").json()["breaker"] != "open":
            time.sleep(0.05)
        assert 'state="open"} 1.0' in client.get("/metrics").text
        time.sleep(0.3)  # for what was under way
        before = model.asked.total()
        asked = before
        while client.get("/model").json()["breaker"] == "open":
            assert asked == before
            time.sleep(0.05)
            asked = model.asked.total()  # before the state is looked at: afterwards one call may try
        model.answer = lambda message: "back"
        assert [ended(client, task)["state"] for task in tasks] == ["completed"] * 4
        assert client.get("/model").json()["breaker"] == "closed"
