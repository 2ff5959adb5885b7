"""Research over HTTP: what is asked for, what comes back, and to whom."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader

from jobs.services import Services
from tests.fakes import run_jobs
from tests.unit.research.asking import ENTRY, MINE, THEIRS, done, post
from tests.unit.research.conftest import Desk
from webapp import create_app

pytestmark = pytest.mark.usefixtures("answers_are_as_described")


def test_what_is_asked_for_is_accepted_and_done_offstage(client: FlaskClient, services: Services) -> None:
    """The 202 names the task and the model; the research has the seed's form from then on."""
    accepted = post(client)
    assert accepted.status_code == 202
    task = accepted.json["task_id"]  # type: ignore[index]
    assert (accepted.headers["X-Task-ID"], accepted.headers["X-Model-Name"]) == (task, "built-in")
    assert accepted.headers["X-Request-ID"]
    before = client.get(f"/research/{task}", headers=MINE).json
    assert before is not None
    assert (before["status"], before["step"], before["percentage"], before["result"]) == ("queued", "plan", 0, None)
    run_jobs(services)
    after = client.get(f"/research/{task}", headers=MINE).json
    assert after is not None
    assert {"step", "percentage", "status", "messages", "result", "error", "timestamp"} <= after.keys()
    assert (after["status"], after["step"], after["percentage"], after["error"]) == ("completed", "done", 100, None)
    assert after["messages"][-1] == "The report is complete."
    assert after["result"]["report"] == after["report"]
    assert "Sleep matters for memory." in after["report"]
    assert after["sources"][0] == {
        "number": 1, "title": "睡眠.txt", "url": None, "document_id": 1, "page": 1,
    }  # fmt: skip


def test_a_model_of_any_name_is_named_in_the_header(make_desk: Callable[..., Desk]) -> None:
    """Percent-encoded where a header could not hold it; bodies have it as it is."""
    desk = make_desk(api_keys=ENTRY, llm_url="http://127.0.0.1:9", llm_model="小模型")
    client = create_app(services=desk.services).test_client()
    accepted = post(client)
    task = accepted.json["task_id"]  # type: ignore[index]
    for answer in (accepted, client.get(f"/research/{task}", headers=MINE)):
        assert answer.headers["X-Model-Name"] == "%E5%B0%8F%E6%A8%A1%E5%9E%8B"
        assert answer.json["model"] == "小模型"  # type: ignore[index]


@pytest.mark.parametrize(
    "same",
    [
        {"query": "  How does\n sleep affect  memory? "},
        {"search_config": {"breadth": 4, "documents": True}, "ai_config": {"language": "en"}},
        {"budget": {}, "ai_config": {}, "fresh": False},
    ],
)
def test_the_same_request_is_the_same_task(client: FlaskClient, services: Services, same: dict[str, Any]) -> None:
    """Whatever its white space, its order, and whether defaults are spelt out; while it runs, and when it is done."""
    first = post(client).json["task_id"]  # type: ignore[index]
    assert post(client, **same).json["task_id"] == first  # type: ignore[index]
    run_jobs(services)
    assert post(client, **same).json["task_id"] == first  # type: ignore[index]
    assert len(client.get("/research", headers=MINE).json["research"]) == 1  # type: ignore[index]


def test_a_deadline_is_the_same_in_every_zone(client: FlaskClient) -> None:
    """So is the task."""
    times = ("2030-01-01T00:00:00Z", "2030-01-01T08:00:00+08:00", "2029-12-31T19:00:00-05:00")
    assert len({post(client, budget={"deadline": time}).json["task_id"] for time in times}) == 1  # type: ignore[index]


@pytest.mark.parametrize(
    "other",
    [
        {"query": "How does sleep affect mood?"},
        {"ai_config": {"max_tokens": 900}},
        {"search_config": {"breadth": 3}},
        {"budget": {"searches": 2}},
        {"user_id": "ada"},
        {"fresh": True},
    ],
)
def test_another_request_is_another_task(client: FlaskClient, other: dict[str, Any]) -> None:
    """And what is asked for afresh."""
    assert post(client).json["task_id"] != post(client, **other).json["task_id"]  # type: ignore[index]


def test_who_joins_is_told_what(client: FlaskClient, services: Services) -> None:
    """Its status, and since when it is there; the same from the first request on."""
    first = post(client).json
    assert first is not None
    assert first["status"] == "queued"
    run_jobs(services)
    again = post(client).json
    assert again is not None
    assert (again["task_id"], again["status"]) == (first["task_id"], "completed")
    assert again["created_at"] == first["created_at"]
    assert post(client, fresh=True).json["created_at"] > first["created_at"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ({"query": ""}, "query", "at least 2 characters"),
        ({"search_config": {"documents": []}}, "search_config.documents", "1 to 20 ids of documents"),
        ({"search_config": {"documents": "all"}}, "search_config.documents", "true, false, or a list"),
        ({"budget": {"deadline": "2020-01-01T00:00:00Z"}}, "budget.deadline", "this time is over"),
        ({"budget": {"minutes": 31}}, "budget.minutes", "30"),
    ],
)
def test_a_refusal_names_the_field_and_what_it_may_be(
    client: FlaskClient, body: dict[str, Any], field: str, says: str
) -> None:
    """Once, in the client's own words for it."""
    refused = post(client, **body).json
    assert refused is not None
    [error] = refused["errors"]
    assert error["field"] == field
    assert says in error["message"]


def test_two_tenants_never_share(client: FlaskClient, services: Services) -> None:
    """The id alone gives nobody access: another's answers as one that is not there."""
    mine = done(client, services)
    assert post(client, THEIRS).json["task_id"] != mine  # type: ignore[index]
    for method, path in [
        ("get", ""), ("get", "/events"), ("get", "/report.md"), ("get", "/report.pdf"), ("delete", ""),
    ]:  # fmt: skip
        missing = getattr(client, method)(f"/research/{'0' * 32}{path}", headers=THEIRS)
        theirs = getattr(client, method)(f"/research/{mine}{path}", headers=THEIRS)
        assert (theirs.status_code, theirs.json["code"]) == (404, "research_not_found")
        assert {**theirs.json, "request_id": ""} == {**missing.json, "request_id": ""}
    assert client.get(f"/research/{mine}").status_code == 401


def test_a_paused_one_goes_on_and_a_canceled_one_begins_anew(client: FlaskClient, services: Services) -> None:
    """When it is asked for again."""
    task = post(client).json["task_id"]  # type: ignore[index]
    client.post(f"/jobs/{task}/pause", headers=MINE)
    assert client.get(f"/research/{task}", headers=MINE).json["status"] == "paused"  # type: ignore[index]
    assert post(client).json["task_id"] == task  # type: ignore[index]
    assert client.get(f"/research/{task}", headers=MINE).json["status"] == "queued"  # type: ignore[index]
    client.post(f"/jobs/{task}/cancel", headers=MINE)
    canceled = client.get(f"/research/{task}", headers=MINE).json
    assert canceled is not None
    assert (canceled["status"], canceled["error"]) == ("canceled", "canceled: The job was canceled.")
    assert "The research was canceled here" in canceled["report"]
    again = done(client, services)
    assert again != task
    assert [each["status"] for each in client.get("/research", headers=MINE).json["research"]] == [  # type: ignore[index]
        "completed", "canceled",
    ]  # fmt: skip


def test_research_is_listed_in_pages_and_searched(client: FlaskClient, services: Services) -> None:
    """In both languages."""
    for query in ("睡眠与记忆", "Sleep apnoea", "The Moon"):
        post(client, query=query)
    first = client.get("/research?limit=2", headers=MINE).json
    assert first is not None
    second = client.get(f"/research?limit=2&cursor={first['next_cursor']}", headers=MINE).json
    assert second is not None
    queries = [each["query"] for each in first["research"] + second["research"]]
    assert queries == ["The Moon", "Sleep apnoea", "睡眠与记忆"]
    for text, found in (("记忆", ["睡眠与记忆"]), ("sleep", ["Sleep apnoea"]), ("xyz", [])):
        page = client.get("/research", query_string={"q": text}, headers=MINE).json
        assert [each["query"] for each in page["research"]] == found  # type: ignore[index]


def test_a_report_can_be_taken_home_as_a_pdf(client: FlaskClient, services: Services) -> None:
    """With its Chinese, and under a name of its own."""
    task = done(client, services, query="成年人需要多少小时睡眠？")
    answer = client.get(f"/research/{task}/report.pdf", headers=MINE)
    assert answer.mimetype == "application/pdf"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{task}.pdf"'
    text = "".join(page.extract_text() for page in PdfReader(BytesIO(answer.data)).pages)
    assert "成年人需要七小时睡眠" in text
    assert "睡眠.txt" in text


def test_deleted_it_is_gone_and_under_way_it_is_not_deleted(client: FlaskClient, services: Services) -> None:
    """With its task; asked for again it begins anew."""
    task = post(client).json["task_id"]  # type: ignore[index]
    refused = client.delete(f"/research/{task}", headers=MINE)
    assert (refused.status_code, refused.json["code"]) == (409, "wrong_state")  # type: ignore[index]
    run_jobs(services)
    assert client.delete(f"/research/{task}", headers=MINE).status_code == 204
    assert client.get(f"/research/{task}", headers=MINE).status_code == 404
    assert client.get(f"/jobs/{task}", headers=MINE).status_code == 404
    assert post(client).json["task_id"] != task  # type: ignore[index]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"query": " "}, "invalid"),
        ({"query": "x" * 4001}, "invalid"),
        ({"surprise": 1}, "invalid"),
        ({"ai_config": {"api_key": "secret"}}, "invalid"),
        ({"ai_config": {"temperature": 3}}, "invalid"),
        ({"search_config": {"breadth": 11}}, "invalid"),
        ({"search_config": {"documents": []}}, "invalid"),
        ({"budget": {"minutes": 0}}, "invalid"),
        ({"budget": {"deadline": "2026-01-01T00:00:00"}}, "invalid"),
        ({"budget": {"deadline": "0001-01-01T00:00:00+23:59"}}, "invalid"),
        ({"query": "sleep\0memory"}, "invalid"),
        ({"ai_config": {"model": "gpt-9"}}, "model_not_served"),
        ({"search_config": {"web": True}}, "no_source"),
        ({"search_config": {"documents": False}}, "no_source"),
        ({"search_config": {"documents": [99]}}, "document_not_found"),
    ],
)
def test_what_cannot_be_done_is_refused(client: FlaskClient, body: dict[str, Any], code: str) -> None:
    """With a stable code, before anything is started; a secret is not even taken."""
    refused = post(client, **body)
    assert (refused.status_code, refused.json["code"]) == (404 if "found" in code else 422, code)  # type: ignore[index]
    assert client.get("/research", headers=MINE).json["research"] == []  # type: ignore[index]
