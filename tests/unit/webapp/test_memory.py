"""What is known of a user: learned, shown, used, forgotten."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.conversations import RecoverArgs, recover
from jobs.memory import MemorizeArgs, MemorizeResult, memorize
from jobs.providers.errors import ProviderRefused
from jobs.services import Services
from tests.fakes import run_jobs
from tests.unit.webapp.chatting import NOTHING, ScriptedModel, ask, context, logged
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY, Build
from webapp import create_app

HISTORY = [
    {"role": "user", "content": "我叫王伟，住在上海。什么是装饰器？"},
    {"role": "assistant", "content": "装饰器是包装函数的函数。"},
]


def facts(web: FlaskClient, user_id: Any = 1) -> list[str]:
    return [each["text"] for each in web.get(f"/memory/{user_id}").get_json()["memories"]]


def learn(services: Services, web: FlaskClient, **body: Any) -> Any:
    answer = web.post("/memorize", json={"user_id": 1, "conversation_history": HISTORY} | body)
    assert answer.status_code == 202, answer.get_json()
    run_jobs(services)
    return answer


def says(*new: str, outdated: tuple[int, ...] = ()) -> str:
    return json.dumps({"facts": new, "outdated": outdated})


def test_the_seeds_request_works_without_a_user_and_without_a_model(build: Build) -> None:
    """The user's own most telling sentences, and `model` says so."""
    services = build()
    web = create_app(services=services).test_client()
    answer = web.post("/memorize", json={"topic": "装饰器", "conversation_history": HISTORY})
    assert (answer.status_code, answer.get_json()["message"]) == (202, "记忆任务已加入后台处理队列。")
    task = answer.get_json()["task_id"]
    assert web.get(f"/task/{task}").get_json()["name"] == "conversations.memorize"
    run_jobs(services)
    [fact] = web.get("/memory/default").get_json()["memories"]
    assert (fact["text"], fact["topic"], fact["model"]) == ("我叫王伟，住在上海。", "装饰器", "built-in")
    assert web.get(f"/jobs/{task}").get_json()["result"] == {
        "new": 1,
        "confirmed": 0,
        "dropped": 0,
        "model": "built-in",
    }


def test_a_history_of_messages_with_responses_is_one_too(build: Build) -> None:
    services = build()
    web = create_app(services=services).test_client()
    learn(services, web, conversation_history=[{"message": "I work as a nurse.", "response": "Good."}])
    assert facts(web) == ["I work as a nurse."]


def test_the_model_sums_up_and_is_told_what_is_known(build: Build, model: ScriptedModel) -> None:
    """What is new is added, what is known is confirmed and not kept twice, what is outdated goes."""
    services = build(model)
    web = create_app(services=services).test_client()
    model.answers = [says("用户叫王伟。", "用户住在上海。")]
    learn(services, web)
    model.answers = [says("用户叫王伟", "用户搬到了北京。", outdated=(1, 99))]
    learn(services, web)
    told = model.completed[1][1].content
    assert "1. 用户住在上海。\n2. 用户叫王伟。" in told or "1. 用户叫王伟。\n2. 用户住在上海。" in told
    outdated = told.split("1. ")[1].split("\n")[0]
    assert outdated not in facts(web)
    assert "用户搬到了北京。" in facts(web)
    assert len(facts(web)) == len(set(facts(web)))
    used = web.get("/usage?source=memory").get_json()["total"]
    assert (used["calls"], used["prompt_tokens"], used["completion_tokens"]) == (2, 40, 10)


def test_a_second_run_changes_nothing(build: Build, model: ScriptedModel) -> None:
    """Not after the first has ended, and not beside it: whoever comes second finds that it is done."""
    services = build(model)
    web = create_app(services=services).test_client()
    model.answers = [says("The user likes tea.")]
    task = web.post("/memorize", json={"user_id": 1, "conversation_history": HISTORY}).get_json()["task_id"]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: memorize(context(services), MemorizeArgs(id=task)), range(4)))
    assert sorted(result.new for result in results) == [0, 0, 0, 1]
    assert memorize(context(services), MemorizeArgs(id=task)) == MemorizeResult()
    assert facts(web) == ["The user likes tea."]


def test_a_sent_again_request_is_one_job(build: Build) -> None:
    web = create_app(services=build()).test_client()
    body = {"user_id": 1, "conversation_history": HISTORY}
    tasks = {web.post("/memorize", json=body, headers={"Idempotency-Key": "k"}).get_json()["task_id"] for _ in range(2)}
    assert len(tasks) == 1


def test_a_session_is_summed_up_when_asked(build: Build) -> None:
    """Also what was said a moment ago; one that is not the user's is a 404."""
    services = build()
    web = create_app(services=services).test_client()
    ask(web, "我叫王伟。", session_id="s")
    learn(services, web, conversation_history=None, session_id="s")
    assert facts(web) == ["我叫王伟。"]
    for body in ({"user_id": 2, "session_id": "s"}, {"user_id": 1, "session_id": "t"}):
        answer = web.post("/memorize", json=body)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "session_not_found")


def test_a_session_is_summed_up_by_itself_each_time_it_has_grown(build: Build, model: ScriptedModel) -> None:
    """Every three exchanges, each exchange once, from the log alone."""
    services = build(model, chat_memory_exchanges=3, chat_analysis="off")
    web = create_app(services=services).test_client()
    for number in range(7):
        model.answers = [says(f"The user said number {number}.")]
        ask(web, f"message {number}", session_id="s")
        logged(services)
    first, second = (asked[1].content for asked in model.completed)
    assert [f"message {number}" in first for number in range(7)] == [True] * 3 + [False] * 4
    assert [f"message {number}" in second for number in range(7)] == [False] * 3 + [True] * 3 + [False]
    assert facts(web) == ["The user said number 5.", "The user said number 2."]


def test_what_was_left_without_a_job_is_summed_up_all_the_same(build: Build) -> None:
    """The web process died between the row and the job; the row is found once."""
    services = build()
    web = create_app(services=services).test_client()
    task = web.post("/memorize", json={"user_id": 1, "conversation_history": HISTORY}).get_json()["task_id"]
    services.redis.flushall()
    services.work.delete("local", task)
    assert recover(context(services, "upkeep"), RecoverArgs(older_than=0)).memories == 1
    assert recover(context(services, "upkeep"), RecoverArgs(older_than=0)).memories == 0
    run_jobs(services)
    assert len(facts(web)) == 1


def test_an_answer_rests_on_what_is_known(build: Build, model: ScriptedModel) -> None:
    """In a new session; a model is told, within the cap, and without one the memory itself answers."""
    services = build(model, chat_memory_chars=25)
    web = create_app(services=services).test_client()
    model.answers = [says("The user likes green tea.", "The user has a cat called Momo.")]
    learn(services, web)
    model.answers = [NOTHING]
    ask(web, "What do I like?", topic="drinks")
    system = model.asked[0][0].content
    assert "drinks" in system
    assert sum(fact in system for fact in facts(web)) == 1
    built_in = create_app(services=build()).test_client()
    said = ask(built_in, "What is my cat called?").get_json()
    assert said["response"] == "I remember: The user has a cat called Momo."
    assert "Momo" not in ask(built_in, "What is my cat called?", user_id=2).get_json()["response"]


def test_only_so_many_facts_are_kept_and_the_oldest_go(build: Build, model: ScriptedModel) -> None:
    """What was said again lately stays."""
    services = build(model, memory_facts=3)
    web = create_app(services=services).test_client()
    for answer in (says("Fact one."), says("Fact two."), says("Fact three."), says("Fact one."), says("Fact four.")):
        model.answers = [answer]
        learn(services, web)
    assert sorted(facts(web)) == ["Fact four.", "Fact one.", "Fact three."]


def test_memory_is_paged_and_forgotten(build: Build, model: ScriptedModel) -> None:
    """One fact, or all; a fact of another user is a 404; what waits to be summed up is taken back too."""
    services = build(model)
    web = create_app(services=services).test_client()
    model.answers = [says("One.", "Two.", "Three.")]
    learn(services, web)
    first = web.get("/memory/1?limit=2").get_json()
    rest = web.get(f"/memory/1?limit=2&cursor={first['next_cursor']}").get_json()
    assert [each["text"] for page in (first, rest) for each in page["memories"]] == ["Three.", "Two.", "One."]
    number = rest["memories"][0]["id"]
    missing = web.delete(f"/memory/2/{number}")
    assert (missing.status_code, missing.get_json()["code"]) == (404, "memory_not_found")
    assert web.delete(f"/memory/1/{number}").status_code == 204
    assert web.delete(f"/memory/1/{number}").status_code == 404
    waiting = web.post("/memorize", json={"user_id": 1, "conversation_history": HISTORY}).get_json()["task_id"]
    assert [web.delete("/memory/1").status_code for _ in range(2)] == [204, 204]
    run_jobs(services)
    assert facts(web) == []
    assert web.get(f"/jobs/{waiting}").get_json()["state"] == "completed"


def test_a_model_that_refuses_fails_the_job_and_leaves_what_is_known(build: Build, model: ScriptedModel) -> None:
    """The conversation is kept, so that the job can be started again."""
    services = build(model)
    web = create_app(services=services).test_client()
    model.answers = [ProviderRefused()]
    task = learn(services, web).get_json()["task_id"]
    assert web.get(f"/jobs/{task}").get_json()["error"]["code"] == "provider_refused"
    model.answers = [says("The user likes tea.")]
    assert web.post(f"/jobs/{task}/requeue").status_code == 200
    run_jobs(services)
    assert facts(web) == ["The user likes tea."]


def test_no_text_stands_in_redis_and_none_in_the_log(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    services = build(chat_memory_exchanges=1)
    web = create_app(services=services).test_client()
    ask(web, "My sentinel-secret is this.", session_id="s")
    logged(services)
    learn(services, web, conversation_history=[{"role": "user", "content": "I told a sentinel-secret."}])
    assert len(facts(web)) == 2
    assert not any(b"sentinel" in (services.redis.dump(key) or b"") for key in services.redis.scan_iter("*"))
    assert "sentinel" not in caplog.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "body"),
        ({"conversation_history": []}, "conversation_history"),
        ({"conversation_history": HISTORY, "session_id": "s"}, "body"),
        ({"conversation_history": [{"role": "user"}]}, "conversation_history.0.turn.content"),
        ({"conversation_history": [{"role": "root", "content": "x"}]}, "conversation_history.0.turn.role"),
        ({"conversation_history": [{"role": "user", "content": "a\0b"}]}, "conversation_history.0.turn.content"),
        ({"conversation_history": [{"message": 1}]}, "conversation_history.0.exchange.message"),
        ({"conversation_history": HISTORY, "tenant": "other"}, "tenant"),
        ({"session_id": "../x"}, "session_id"),
    ],
)
def test_a_bad_request_names_its_field(build: Build, body: dict[str, Any], field: str) -> None:
    answer = create_app(services=build()).test_client().post("/memorize", json=body)
    assert answer.status_code == 422
    assert [problem["field"] for problem in answer.get_json()["errors"]] == [field]


def test_another_tenants_memory_is_none(build: Build) -> None:
    """Not shown, not deleted, not used, though its user has the same id."""
    services = build(api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    web = create_app(services=services).test_client()
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in (ACME, OTHER))
    web.post("/memorize", json={"user_id": 1, "conversation_history": HISTORY}, headers=mine)
    run_jobs(services)
    [fact] = web.get("/memory/1", headers=mine).get_json()["memories"]
    assert web.get("/memory/1", headers=theirs).get_json()["memories"] == []
    assert web.delete(f"/memory/1/{fact['id']}", headers=theirs).status_code == 404
    web.delete("/memory/1", headers=theirs)
    said = web.post("/chat", json={"user_id": 1, "message": "我叫什么？"}, headers=theirs).get_json()
    assert "王伟" not in said["response"]
    assert web.get("/memory/1", headers=mine).get_json()["memories"] == [fact]
