"""Chat over HTTP: what is answered, logged, counted and refused."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from jobs.conversations import RecoverArgs, RecoverResult, recover, start_logging
from jobs.providers.errors import ProviderBusy, ProviderError, ProviderTimeout
from tests.fakes import job_client, make_due, run_jobs
from tests.unit.webapp.chatting import ScriptedModel, ask, context, logged
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY, Build
from webapp import create_app


def test_the_seeds_requests_work_and_the_figures_follow(build: Build) -> None:
    """Without a model and without documents: an answer that says so, then statistics and history."""
    services = build()
    web = create_app(services=services).test_client()
    assert web.get("/stats/1").get_json() == {
        "user_id": 1,
        "total_conversations": 0,
        "total_tokens": 0,
        "last_conversation_at": None,
    }
    answer = ask(web)
    said = answer.get_json()
    assert (answer.status_code, said["model"], answer.headers["X-Model-Name"]) == (200, "built-in", "built-in")
    assert "没有" in said["response"]
    assert said["response_time"] >= 0
    task = said["background_task_id"]
    assert web.get(f"/task/{task}").get_json()["status"] == "pending"
    logged(services)
    assert web.get(f"/task/{task}").get_json()["status"] == "completed"
    stats = web.get("/stats/1").get_json()
    assert stats["total_conversations"] == 1
    assert stats["total_tokens"] == said["tokens"]["prompt"] + said["tokens"]["completion"] > 0
    [kept] = web.get("/history/1?limit=5").get_json()["conversations"]
    assert (kept["message"], kept["response"]) == ("什么是 FastAPI？", said["response"])


def test_documents_are_asked_and_cited(build: Build) -> None:
    services = build()
    web = create_app(services=services).test_client()
    content = "FastAPI 是一个现代的 Python Web 框架。它由 Sebastián Ramírez 编写。".encode()
    document = web.post("/upload", data={"file": (io.BytesIO(content), "框架.txt")}).get_json()["document_id"]
    run_jobs(services)
    said = ask(web, document_ids=[document]).get_json()
    assert "Web 框架" in said["response"]
    assert said["citations"][0]["document_id"] == document
    assert ask(web, document_ids=[999]).status_code == 404


def test_the_built_in_answers_from_the_conversation(build: Build) -> None:
    web = create_app(services=build()).test_client()
    ask(web, "我的生日是五月四日。", session_id="s")
    assert "五月四日" in ask(web, "我的生日是哪天？", session_id="s").get_json()["response"]


def test_a_model_is_told_the_conversation_and_its_tokens_are_counted(build: Build, model: ScriptedModel) -> None:
    """The provider's own figures; without them an estimate that is said to be one."""
    services = build(model)
    web = create_app(services=services).test_client()
    first = ask(web, "Hello", session_id="s").get_json()
    assert (first["response"], first["tokens"]) == ("您好！", {"prompt": 11, "completion": 3, "estimated": False})
    model.counts = None
    second = ask(web, "Again", session_id="s").get_json()
    assert second["tokens"]["estimated"]
    assert [(turn.role, turn.content) for turn in model.asked[1]][1:] == [
        ("user", "Hello"),
        ("assistant", "您好！"),
        ("user", "Again"),
    ]


def test_the_use_of_a_model_is_recorded_once_with_its_cost(build: Build, model: ScriptedModel) -> None:
    """In the transaction that logs; what was built in used no model."""
    services = build(model, model_prices={"scripted": {"input": 100_000, "output": 50_000}}, chat_analysis="off")
    web = create_app(services=services).test_client()
    for _ in range(3):
        ask(web)
        logged(services)
    used = web.get("/usage?by=user").get_json()
    assert (used["total"]["calls"], used["total"]["prompt_tokens"], used["total"]["completion_tokens"]) == (3, 33, 9)
    assert used["total"]["cost"] == "3.75"
    built_in = replace(services, llm=None)
    ask(create_app(services=built_in).test_client())
    logged(built_in)
    assert web.get("/usage").get_json()["total"]["calls"] == 3


def test_an_answer_is_streamed_as_it_is_written(build: Build, model: ScriptedModel) -> None:
    services = build(model)
    web = create_app(services=services).test_client()
    answer = web.post("/chat", json={"user_id": 1, "message": "x"}, headers={"Accept": "text/event-stream"})
    frames = [frame.split("\n") for frame in answer.get_data(as_text=True).strip().split("\n\n")]
    kinds = [kind.removeprefix("event: ") for kind, _ in frames]
    data = [json.loads(text.removeprefix("data: ")) for _, text in frames]
    assert kinds == ["token", "token", "end"]
    assert "".join(each["text"] for each in data[:2]) == data[2]["response"] == "您好！"
    assert data[2]["background_task_id"]
    logged(services)
    assert services.user_stats.get("local", "1").total_conversations == 1


def test_a_client_that_leaves_has_what_was_written_logged(build: Build, model: ScriptedModel) -> None:
    services = build(model)
    web = create_app(services=services).test_client()
    answer = web.post(
        "/chat", json={"user_id": 1, "message": "x"}, headers={"Accept": "text/event-stream"}, buffered=False
    )
    next(iter(answer.response))
    answer.close()
    logged(services)
    [kept] = services.conversations.history("local", "1")
    assert (kept.response, kept.cut_off) == ("您好", True)


@pytest.mark.parametrize(
    ("error", "status"), [(ProviderBusy(retry_after=7), 503), (ProviderTimeout(), 503), (ProviderError(), 502)]
)
def test_a_model_that_fails_is_said_and_nothing_is_logged(
    build: Build, model: ScriptedModel, error: ProviderError, status: int
) -> None:
    """Nor taken off the user's day."""
    services = build(model, chat_daily_conversations=1)
    web = create_app(services=services).test_client()
    model.pieces = [error]
    refused = ask(web)
    assert (refused.status_code, refused.get_json()["code"]) == (status, error.code)
    logged(services)
    assert services.conversations.history("local", "1") == []
    model.pieces = ["ok"]
    assert ask(web).status_code == 200


def test_the_soft_limit_notifies_once(build: Build) -> None:
    services = build(chat_soft_limit=3)
    web = create_app(services=services).test_client()
    web.post("/register", json={"email": "ada@example.com", "user_id": 1})
    for _ in range(6):
        ask(web)
        logged(services)
    told = web.get("/notifications?event=conversation_limit").get_json()["notifications"]
    assert len(told) == 1
    assert "3" in told[0]["deliveries"][0]["text"]


def test_who_registers_after_the_soft_limit_is_told_then(build: Build) -> None:
    services = build(chat_soft_limit=1)
    web = create_app(services=services).test_client()
    for _ in range(2):
        ask(web)
        logged(services)
    web.post("/register", json={"email": "ada@example.com", "user_id": 1})
    for _ in range(2):
        ask(web)
        logged(services)
    assert len(web.get("/notifications?event=conversation_limit").get_json()["notifications"]) == 1


def test_many_conversations_are_logged_in_one_transaction_and_counted_once(build: Build) -> None:
    """Also when the job runs twice, and when it was lost."""
    services = build()
    web = create_app(services=services).test_client()
    for number in range(30):
        ask(web, user_id=number % 3)
    services.redis.flushall()
    assert recover(context(services, "upkeep"), RecoverArgs(older_than=0)) == RecoverResult(logs=1)
    start_logging(services, job_client(services), "local")
    logged(services)
    logged(services)
    assert [services.user_stats.get("local", str(n)).total_conversations for n in range(3)] == [10, 10, 10]


def test_history_is_paged_searched_and_cut_by_time(build: Build) -> None:
    services = build()
    web = create_app(services=services).test_client()
    for message in ("什么是 FastAPI？", "Что такое FLASK?", "100% 什么"):
        ask(web, message)
    logged(services)
    first = web.get("/history/1?limit=2").get_json()
    rest = web.get(f"/history/1?limit=2&cursor={first['next_cursor']}").get_json()
    assert [each["message"] for page in (first, rest) for each in page["conversations"]] == [
        "100% 什么",
        "Что такое FLASK?",
        "什么是 FastAPI？",
    ]

    def found(query: str) -> list[str]:
        return [each["message"] for each in web.get(f"/history/1?{query}").get_json()["conversations"]]

    assert found("q=fastapi") == ["什么是 FastAPI？"]
    assert found("q=%E4%BB%80%E4%B9%88") == ["100% 什么", "什么是 FastAPI？"]
    assert found("q=100%25") == ["100% 什么"]
    assert found("q=что") == found("q=flask") == ["Что такое FLASK?"]
    assert found("since=2999-01-01T00:00:00Z") == []
    newest = web.get("/history/1?limit=1").get_json()["conversations"][0]["created_at"]
    assert found(f"since={newest}") == ["100% 什么"]  # as it stands there, its `+` not escaped
    assert web.get("/history/1?since=yesterday").status_code == 422


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message": ""}, "message"),
        ({"message": "x" * 8001}, "message"),
        ({"message": " \n\t\u3000\u00a0"}, "message"),
        ({"session_id": "../x"}, "session_id"),
        ({"user_id": None}, "user_id"),
        ({"user_id": "a/b"}, "user_id"),  # nothing that is kept of such a one could be seen or deleted
        ({"user_id": ".."}, "user_id"),
        ({"document_ids": [-1]}, "document_ids.0"),
        ({"tenant": "x"}, "tenant"),
    ],
)
def test_a_bad_message_names_its_field(build: Build, change: dict[str, Any], field: str) -> None:
    answer = ask(create_app(services=build()).test_client(), **change)
    assert answer.status_code == 422
    assert field in [problem["field"] for problem in answer.get_json()["errors"]]


def test_a_session_is_its_users_own(build: Build, model: ScriptedModel) -> None:
    """Two users who began one of the same name both go on; neither is told, shown or summed up the other's."""
    services = build(model)
    web = create_app(services=services).test_client()
    begun = [ask(web, f"秘密 {user}", user_id=user, session_id="monday") for user in (1, 2)]
    logged(services)
    again = [ask(web, "秘密是什么", user_id=user, session_id="monday") for user in (1, 2)]
    assert [answer.status_code for answer in begun + again] == [200] * 4
    for user, told in zip((1, 2), model.asked[2:], strict=True):
        assert [turn.content for turn in told[1:]] == [f"秘密 {user}", "您好！", "秘密是什么"]
    logged(services)
    for user in (1, 2):
        kept = web.get(f"/history/{user}?session_id=monday").get_json()["conversations"]
        assert [each["message"] for each in kept] == ["秘密是什么", f"秘密 {user}"]
        [session] = web.get(f"/history/{user}/analysis").get_json()["sessions"]
        assert (session["session_id"], session["exchanges"]) == ("monday", 2)
    assert web.post("/memorize", json={"user_id": 3, "session_id": "monday"}).status_code == 404


def test_another_tenants_conversation_is_none(build: Build) -> None:
    """A session of the same user and name is a new one there, and shows nothing."""
    services = build(api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    web = create_app(services=services).test_client()
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in (ACME, OTHER))
    web.post("/chat", json={"user_id": 1, "message": "秘密", "session_id": "s"}, headers=mine)
    foreign = web.post("/chat", json={"user_id": 1, "message": "秘密是什么", "session_id": "s"}, headers=theirs)
    assert foreign.status_code == 200
    make_due(services)
    run_jobs(services)
    assert web.get("/stats/1", headers=theirs).get_json()["total_conversations"] == 1
    assert [each["message"] for each in web.get("/history/1", headers=theirs).get_json()["conversations"]] == [
        "秘密是什么"
    ]


def test_no_text_of_a_conversation_stands_in_redis(build: Build) -> None:
    services = build()
    ask(create_app(services=services).test_client(), "sentinel-secret")
    logged(services)
    assert not any(b"sentinel" in (services.redis.dump(key) or b"") for key in services.redis.scan_iter("*"))
