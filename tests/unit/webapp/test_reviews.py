"""Reviews over HTTP: from the request to a canvas with questions about what is not understood yet."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import Redis

from config import LOCAL_TENANT, load_config
from jobs.canvases import ReviewArgs, review
from jobs.core import keys
from jobs.core.context import JobContext
from jobs.services import Services
from jobs.stores.database import Database
from tests.fakes import engine_services, job_client, run_jobs
from tests.model_server import ModelServer, model_server
from webapp import create_app

GENERATE = "/api/v1/review/generate"


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model that asks two questions about each note, but fails for those that say so."""
    with model_server(answer=answer) as running:
        yield running


def answer(message: str) -> str | int:
    note = message.split("-----")[1].strip()
    if "locked" in note:
        return 401
    return 400 if "fail" in note else json.dumps({"questions": [f"为什么{note}？", f"Why {note}?", "too many"]})


@pytest.fixture
def services(redis: Redis, sqlite_database: Database, model: ModelServer) -> Services:
    return engine_services(redis, load_config(llm_url=model.url, llm_model="small"), sqlite_database)


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


def node(node_id: str, text: str, color: str = "1") -> dict[str, Any]:
    place = {"x": 0, "y": 0, "width": 1, "height": 1}
    return {"id": node_id, "type": "text", "text": text, **place} | ({"color": color} if color else {})


def put(web: FlaskClient, *nodes: dict[str, Any], name: str = "微积分") -> None:
    assert web.put(f"/canvases/{name}", json={"nodes": nodes, "edges": []}).status_code in (200, 201)


def generate(web: FlaskClient, **body: Any) -> Any:
    return web.post(GENERATE, json={"canvas_name": "微积分", **body})


def reviewed(web: FlaskClient, services: Services, **body: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Have a review made; return the job's result and the canvas."""
    accepted = generate(web, **body)
    assert accepted.status_code == 202, accepted.text
    run_jobs(services)
    result = web.get(f"/jobs/{accepted.get_json()['task_id']}").get_json()["result"]
    return result, web.get(f"/canvases/{result['review_canvas_name']}").get_json()


def test_a_review_is_scheduled_in_the_words_of_the_seed(web: FlaskClient) -> None:
    put(web, node("a", "极限"))
    accepted = generate(web)
    body = accepted.get_json()
    assert (accepted.status_code, body["status"]) == (202, "scheduled")
    assert body["message"] == "Review canvas generation for '微积分' scheduled"
    assert accepted.headers["Location"] == body["links"]["self"] == f"/jobs/{body['task_id']}"
    assert web.get(f"/task/{body['task_id']}").get_json()["status"] == "pending"


def test_red_and_purple_nodes_get_questions_that_are_tied_to_them(
    web: FlaskClient, services: Services, model: ModelServer
) -> None:
    """The others do not, and the source stays as it is. Every node is asked about once."""
    put(web, node("red", "极限"), node("purple", "limits", "6"), node("green", "sums", "4"), node("none", "x", ""))
    before = web.get("/canvases/微积分").data
    result, canvas = reviewed(web, services)
    assert (result["source_canvas_name"], result["node_count"], result["question_count"]) == ("微积分", 2, 4)
    assert result["review_canvas_name"].startswith("微积分-review-2")
    texts = {each["id"]: each["text"] for each in canvas["nodes"]}
    asked = sorted((edge["fromNode"], texts[edge["toNode"]]) for edge in canvas["edges"])
    assert asked == [
        ("purple", "Why limits?"),
        ("purple", "为什么limits？"),
        ("red", "Why 极限?"),
        ("red", "为什么极限？"),
    ]
    assert (texts["red"], texts["purple"]) == ("极限", "limits")
    assert set(model.asked.values()) == {1}
    assert web.get("/canvases/微积分").data == before


def test_a_request_can_choose_other_colours_or_nodes_and_how_many_questions(
    web: FlaskClient, services: Services
) -> None:
    put(web, node("a", "A", "3"), node("b", "B", "#AA00FF"), node("c", "C"))
    by_color, _ = reviewed(web, services, colors=["3", "#aa00ff"], questions_per_node=1)
    assert (by_color["node_count"], by_color["question_count"]) == (2, 2)
    by_id, canvas = reviewed(web, services, node_ids=["c"], questions_per_node=3)
    assert by_id["question_count"] == 3
    assert {edge["fromNode"] for edge in canvas["edges"]} == {"c"}


@pytest.mark.parametrize(
    ("first", "equal", "other"),
    [
        ({}, {"colors": ["6", "1"], "questions_per_node": 2, "canvas_name": "微积分.canvas"}, {"colors": ["1"]}),
        ({"colors": ["#FF0000", "3"]}, {"colors": ["3", "#ff0000", "#Ff0000"]}, {"colors": ["#ff0000"]}),
        ({"node_ids": ["a", "b"]}, {"node_ids": ["b", "a", "b"]}, {"node_ids": ["a"]}),
    ],
    ids=["the default written out", "colours", "nodes"],
)
def test_an_equal_request_joins_the_one_that_is_under_way(
    web: FlaskClient, first: dict[str, Any], equal: dict[str, Any], other: dict[str, Any]
) -> None:
    """Whatever the order, the repetitions and the letter case of what it names; another one is another job."""
    put(web, node("a", "A"), node("b", "B", "#ff0000"))
    started, joined, another = (generate(web, **body).get_json()["task_id"] for body in (first, equal, other))
    assert joined == started
    assert another != started


def test_a_request_gets_no_review_of_what_the_canvas_was(web: FlaskClient, services: Services) -> None:
    """An equal one that has ended, however shortly before, is not joined."""
    put(web, node("a", "old"))
    reviewed(web, services)
    put(web, node("a", "new"))
    result, canvas = reviewed(web, services)
    assert result["review_canvas_name"].endswith("-2")
    assert "new" in [each["text"] for each in canvas["nodes"]]


def test_a_request_that_joins_a_paused_review_is_told_so(web: FlaskClient) -> None:
    put(web, node("a", "A"))
    task_id = generate(web).get_json()["task_id"]
    web.post(f"/jobs/{task_id}/pause")
    joined = generate(web).get_json()
    assert (joined["task_id"], joined["status"]) == (task_id, "paused")
    assert joined["message"] == "Review canvas generation for '微积分' paused"


def test_partial_failures_are_listed_on_the_canvas_and_in_the_result(web: FlaskClient, services: Services) -> None:
    """With those that have no text to ask about; the rest has its questions."""
    place = {"x": 0, "y": 0, "width": 1, "height": 1, "color": "6"}
    put(web, node("good", "极限"), node("bad", "fail 导数"), {"id": "pdf", "type": "file", "file": "讲义.pdf", **place})
    result, canvas = reviewed(web, services)
    failures = {failure["node_id"]: failure["code"] for failure in result["failures"]}
    assert failures == {"bad": "provider_refused", "pdf": "not_readable"}
    assert (result["node_count"], result["question_count"]) == (3, 2)
    listed = canvas["nodes"][-1]["text"]
    assert "fail 导数: 语言模型拒绝了这个请求" in listed
    assert "讲义.pdf: 没有文字" in listed


def test_a_review_without_any_question_fails_and_writes_nothing(web: FlaskClient, services: Services) -> None:
    put(web, node("bad", "fail 导数"))
    task_id = generate(web).get_json()["task_id"]
    run_jobs(services)
    job = web.get(f"/jobs/{task_id}").get_json()
    assert (job["state"], job["error"]["code"]) == ("failed", "provider_refused")
    assert [canvas["name"] for canvas in web.get("/canvases").get_json()["canvases"]] == ["微积分"]


def test_what_is_wrong_for_all_stops_the_review_and_mended_it_goes_on(
    web: FlaskClient, services: Services, model: ModelServer
) -> None:
    """A key that the model does not take fails for every node alike: most are not even tried."""
    nodes = [node(str(number), f"locked {number}") for number in range(60)]
    put(web, node("good", "极限"), *nodes)
    task_id = generate(web).get_json()["task_id"]
    run_jobs(services)
    job = web.get(f"/jobs/{task_id}").get_json()
    assert (job["state"], job["error"]["code"]) == ("failed", "provider_misconfigured")
    assert sum(model.asked.values()) <= 2 * services.config.agent_concurrency + 1
    model.answer = lambda message: json.dumps({"questions": ["?"]})
    web.post(f"/jobs/{task_id}/requeue")
    run_jobs(services)
    assert web.get(f"/jobs/{task_id}").get_json()["result"]["node_count"] == 61
    assert [times for message, times in model.asked.items() if "极限" in message] == [1]


def test_a_review_is_never_written_over(web: FlaskClient, services: Services) -> None:
    """A further one of the day has a number."""
    put(web, node("a", "A"), node("b", "B", "6"))
    first, _ = reviewed(web, services)
    name = first["review_canvas_name"]
    assert web.post(f"/canvases/{name}/nodes", json=node("mine", "我的答案", "3")).status_code == 201
    second, _ = reviewed(web, services, colors=["1"])
    assert second["review_canvas_name"] == f"{name}-2"
    assert web.get(f"/canvases/{name}/nodes/mine").status_code == 200


def test_a_job_that_runs_again_asks_nothing_twice_and_finds_its_canvas(
    web: FlaskClient, services: Services, model: ModelServer
) -> None:
    """Though its last step was lost, and the source was changed meanwhile."""
    put(web, *(node(str(number), f"第 {number} 课") for number in range(15)))
    model.seconds = 0.2  # long enough for the calls to meet
    ctx = JobContext(job_id="j1", tenant=LOCAL_TENANT, attempt=1, services=services, client=job_client(services))
    first = review(ctx, ReviewArgs(canvas_name="微积分"))
    services.redis.hdel(keys.steps(LOCAL_TENANT, "j1"), "ask", "write")
    put(web, node("0", "changed"))
    again = JobContext(job_id="j1", tenant=LOCAL_TENANT, attempt=2, services=services, client=job_client(services))
    assert review(again, ReviewArgs(canvas_name="微积分")) == first
    assert set(model.asked.values()) == {1}
    assert 2 <= model.most <= services.config.agent_concurrency
    assert len(web.get("/canvases").get_json()["canvases"]) == 2


def test_without_a_model_the_built_in_agent_asks(redis: Redis, sqlite_database: Database) -> None:
    services = engine_services(redis, database=sqlite_database)
    web = create_app(services=services).test_client()
    put(web, node("a", "极限是函数在一点附近的行为。"))
    result, canvas = reviewed(web, services)
    assert result["question_count"] >= 1
    assert canvas["edges"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"canvas_name": "nowhere"}, 404, "canvas_not_found"),
        ({"canvas_name": "../x"}, 422, "invalid"),
        ({"colors": ["5"]}, 422, "nothing_to_review"),
        ({"colors": ["red"]}, 422, "invalid"),
        ({"colors": []}, 422, "invalid"),
        ({"node_ids": ["zz"]}, 422, "unknown_node"),
        ({"node_ids": ["a"], "colors": ["1"]}, 422, "invalid"),
        ({"questions_per_node": 6}, 422, "invalid"),
        ({"tenant_id": "other"}, 422, "invalid"),
    ],
)
def test_what_cannot_be_reviewed_is_said_at_once(
    web: FlaskClient, body: dict[str, Any], status: int, code: str
) -> None:
    put(web, node("a", "A"))
    refused = generate(web, **body)
    assert (refused.status_code, refused.get_json()["code"]) == (status, code)
