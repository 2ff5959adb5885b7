"""Agents over HTTP: which there are, one call, many calls, and what is refused."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import Redis

from config import load_config
from jobs.core.events import read_events
from jobs.services import Services
from jobs.stores.database import Database
from tests.fakes import engine_services, run_jobs
from tests.model_server import ModelServer, model_server
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY
from webapp import create_app


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server() as running:
        yield running


@pytest.fixture
def services(redis: Redis, sqlite_database: Database, model: ModelServer) -> Services:
    return engine_services(redis, load_config(llm_url=model.url, llm_model="small"), sqlite_database)


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


def call(web: FlaskClient, agent: str = "assistant", wait: float = 0, **given: Any) -> Any:
    return web.post(f"/agents/{agent}/call", json={"input": given or {"prompt": "你好"}, "wait": wait})


def batch(web: FlaskClient, *prompts: str) -> Any:
    calls = [{"agent": "assistant", "input": {"prompt": prompt}} for prompt in prompts]
    return web.post("/agents/batch", json={"calls": calls})


def test_agents_are_listed_with_what_they_take_and_give(web: FlaskClient) -> None:
    listed = web.get("/agents").get_json()
    assert listed["model"] == "small"
    by_name = {agent["name"]: agent for agent in listed["agents"]}
    assert by_name["review-questions"]["input"]["required"] == ["text"]
    assert "questions" in by_name["review-questions"]["output"]["properties"]
    assert (by_name["summarize"]["works_without_model"], by_name["assistant"]["works_without_model"]) == (True, False)


def test_a_call_is_a_job_and_its_answer_the_jobs_result(web: FlaskClient, services: Services) -> None:
    accepted = call(web)
    assert (accepted.status_code, accepted.get_json()["agent"]) == (202, "assistant")
    run_jobs(services)
    result = web.get(accepted.headers["Location"]).get_json()["result"]
    assert (result["output"], result["model"]) == ({"text": "answer to 你好"}, "small")
    assert (result["prompt_tokens"], result["completion_tokens"], result["estimated"]) == (7, 5, False)
    used = web.get("/usage").get_json()["total"]
    assert (used["calls"], used["total_tokens"]) == (1, 12)


def test_many_calls_return_every_answer_and_every_failure(
    web: FlaskClient, services: Services, model: ModelServer
) -> None:
    """In the order of the request; and each is told to the watchers."""
    model.answer = lambda message: 400 if message == "bad" else f"ok {message}"
    task = batch(web, "一", "bad", "three").get_json()["task_id"]
    assert web.get(f"/agents/batch/{task}").get_json()["results"] == []
    run_jobs(services)
    found = web.get(f"/agents/batch/{task}").get_json()
    assert (found["state"], found["completed"], found["failed"]) == ("completed", 2, 1)
    assert [one["status"] for one in found["results"]] == ["completed", "failed", "completed"]
    assert found["results"][0]["answer"]["output"] == {"text": "ok 一"}
    assert found["results"][1]["error"] == {
        "code": "provider_refused",
        "message": "The service answered 400.",
        "kind": "NON_RETRYABLE",
    }
    told = [event.data for event in read_events(services.redis, "local", task) if event.kind == "result"]
    assert sorted(one["index"] for one in told) == [0, 1, 2]


def test_what_is_fatal_for_one_call_is_not_tried_with_the_others(
    web: FlaskClient, services: Services, model: ModelServer
) -> None:
    """A key that is wrong is wrong for all."""
    model.answer = lambda message: 401
    task = batch(web, *map(str, range(100))).get_json()["task_id"]
    run_jobs(services)
    found = web.get(f"/agents/batch/{task}?limit=100").get_json()
    assert found["failed"] == 100
    assert {one["error"]["kind"] for one in found["results"]} == {"FATAL"}
    assert model.asked.total() <= 2 * services.config.agent_concurrency


def test_without_a_model_the_calls_that_need_none_are_answered(redis: Redis, sqlite_database: Database) -> None:
    """What is fatal for the others of their batch does not touch them."""
    services = engine_services(redis, database=sqlite_database)
    web = create_app(services=services).test_client()
    needing = {"agent": "assistant", "input": {"prompt": "x"}}
    other = {"agent": "summarize", "input": {"text": "水在零度结冰。"}}
    task = web.post("/agents/batch", json={"calls": [needing, other, needing, other]}).get_json()["task_id"]
    run_jobs(services)
    found = web.get(f"/agents/batch/{task}").get_json()["results"]
    assert [one["error"]["code"] for one in found[::2]] == ["no_model", "no_model"]
    assert [one["answer"]["model"] for one in found[1::2]] == ["built-in", "built-in"]


def test_a_call_without_a_model_to_ask_is_unavailable(redis: Redis, sqlite_database: Database) -> None:
    """It is no fault of an upstream server; the text says what to set."""
    services = engine_services(redis, database=sqlite_database)
    web = create_app(services=services).test_client()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call, web, wait=30)
        while not waiting.done():
            run_jobs(services)
    refused = waiting.result()
    assert (refused.status_code, refused.get_json()["code"]) == (503, "no_model")
    assert "LLM_URL" in refused.get_json()["detail"]
    assert "Retry-After" not in refused.headers


def test_a_thousand_calls_may_bring_long_texts(web: FlaskClient) -> None:
    """A body of calls is as large as one of jobs may be, not as other JSON."""
    accepted = batch(web, *("茶" * 4000 for _ in range(1000)))
    assert (accepted.status_code, accepted.get_json()["total"]) == (202, 1000)


def test_results_come_in_pages(web: FlaskClient, services: Services) -> None:
    task = batch(web, "a", "b", "c").get_json()["task_id"]
    run_jobs(services)
    first = web.get(f"/agents/batch/{task}?limit=2").get_json()
    rest = web.get(f"/agents/batch/{task}?limit=2&cursor={first['next_cursor']}").get_json()
    assert [one["index"] for page in (first, rest) for one in page["results"]] == [0, 1, 2]
    assert rest["next_cursor"] is None


def test_a_failed_call_is_said(web: FlaskClient, services: Services, model: ModelServer) -> None:
    """Also when the same request asks again for what has failed."""
    model.answer = lambda message: 400
    headers = {"Idempotency-Key": "k"}
    body = {"input": {"prompt": "x"}, "wait": 0}
    task = web.post("/agents/assistant/call", json=body, headers=headers).get_json()["task_id"]
    run_jobs(services)
    view = web.get(f"/jobs/{task}").get_json()
    assert (view["state"], view["error"]["code"]) == ("failed", "provider_refused")
    assert model.asked.total() == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/agents/nobody/call", {"input": {}}, 404, None),
        ("/agents/assistant/call", {"input": {"prompt": ""}}, 422, "input.prompt"),
        ("/agents/assistant/call", {"input": {"prompt": "x", "tenant": "y"}}, 422, "input.tenant"),
        ("/agents/assistant/call", {"input": {"prompt": "x"}, "tenant_id": "y"}, 422, "tenant_id"),
        ("/agents/assistant/call", {"input": {"prompt": "x"}, "deadline": -1}, 422, "deadline"),
        ("/agents/review-questions/call", {"input": {"text": "x", "count": 6}}, 422, "input.count"),
        ("/agents/batch", {"calls": []}, 422, "calls"),
        ("/agents/batch", {"calls": [{"agent": "nobody", "input": {}}]}, 422, "calls.0.agent"),
        ("/agents/batch", {"calls": [{"agent": "assistant", "input": {}}]}, 422, "calls.0.input.prompt"),
        ("/agents/batch", {"calls": [{"agent": "assistant", "input": {"prompt": "x"}}] * 1001}, 422, "calls"),
    ],
)
def test_a_bad_request_names_its_fault(
    web: FlaskClient, path: str, body: dict[str, Any], status: int, field: str | None
) -> None:
    answer = web.post(path, json=body)
    problem = json.loads(answer.data)
    assert answer.status_code == status
    assert field is None or field in [each["field"] for each in problem["errors"]]
    assert field is not None or problem["code"] == "unknown_agent"


def test_anothers_calls_and_other_jobs_are_none(redis: Redis, sqlite_database: Database) -> None:
    services = engine_services(redis, load_config(api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}"), sqlite_database)
    web = create_app(services=services).test_client()
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in (ACME, OTHER))
    body = {"calls": [{"agent": "summarize", "input": {"text": "x"}}]}
    task = web.post("/agents/batch", json=body, headers=mine).get_json()["task_id"]
    one = web.post("/agents/summarize/call", json={"input": {"text": "x"}, "wait": 0}, headers=mine).get_json()
    assert web.get(f"/agents/batch/{task}", headers=mine).status_code == 200
    for headers, job_id in ((theirs, task), (mine, one["task_id"]), (mine, "0" * 32)):
        answer = web.get(f"/agents/batch/{job_id}", headers=headers)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "job_not_found")


def test_metrics_and_the_console_are_told_of_the_gate(web: FlaskClient, services: Services) -> None:
    for _ in range(5):
        with services.model_gate.enter("acme") as granted:
            granted.outcome = "failed"
    metrics = web.get("/metrics").get_data(as_text=True)
    assert 'state="open"} 1.0' in metrics
    assert "offstage_model_failures_in_a_row 5.0" in metrics
    assert "offstage_model_calls_limit 12.0" in metrics
    assert 'offstage_jobs{queue="high",state="queued"} 0.0' in metrics
    state = web.get("/model").get_json()
    assert (state["breaker"], state["failures"], state["model"]) == ("open", 5, "small")
    assert 0 < state["tries_in"] <= 60


@pytest.mark.parametrize("odd", ["x" * 300_000, " \n\n ", "```" + " " * 100_000], ids=["long", "blank", "a fence"])
def test_one_odd_answer_is_the_failure_of_one_call(
    web: FlaskClient, services: Services, model: ModelServer, odd: str
) -> None:
    """The others have their answers."""
    model.answer = lambda message: odd if "odd" in message else '{"summary": "s", "key_points": []}'
    calls = [{"agent": "summarize", "input": {"text": text}} for text in ("fine", "odd", "好")]
    task = web.post("/agents/batch", json={"calls": calls}).get_json()["task_id"]
    run_jobs(services)
    found = web.get(f"/agents/batch/{task}").get_json()
    assert [one["status"] for one in found["results"]] == ["completed", "failed", "completed"]
    assert found["results"][1]["error"]["code"] == "answer_unfit"


@pytest.mark.parametrize(
    ("agent", "given"),
    [
        ("summarize", {"text": " \n \n"}),
        ("translate", {"text": "x", "language": " \u3000"}),
        ("explain", {"text": "x", "audience": " "}),
    ],
)
def test_a_text_of_white_space_is_none(web: FlaskClient, agent: str, given: dict[str, str]) -> None:
    assert call(web, agent, **given).status_code == 422


@pytest.mark.parametrize(
    ("written", "kept"),
    [(["一", " ", "2", "3", "4", "5"], ["一", "2"]), (["", " one ", ""], ["one"]), (["", ""], None)],
)
def test_no_more_questions_come_than_were_asked_for_and_no_blank_ones(
    web: FlaskClient, services: Services, model: ModelServer, written: list[str], kept: list[str] | None
) -> None:
    """One by one and in a batch; without any question the answer is unfit."""
    model.answer = lambda message: json.dumps({"questions": written})
    asked = {"agent": "review-questions", "input": {"text": "极限", "count": 2}}
    one = call(web, **{"agent": asked["agent"], **asked["input"]}).get_json()["task_id"]
    many = web.post("/agents/batch", json={"calls": [asked]}).get_json()["task_id"]
    run_jobs(services)
    alone, among = web.get(f"/jobs/{one}").get_json(), web.get(f"/agents/batch/{many}").get_json()["results"][0]
    for found in (alone["result"], among["answer"]):
        assert (found and found["output"]["questions"]) == kept
    for error in (alone["error"], among["error"]):
        assert (error and error["code"]) == (None if kept else "answer_unfit")
