"""What conversations were about: analyzed after they are logged, kept with their session, shown."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from jobs.analysis import AnalyzeArgs, AnalyzeResult, analyze_conversations
from jobs.conversations import LogArgs, RecoverArgs, log_conversations, recover
from jobs.providers.errors import ProviderRefused, ProviderTimeout
from tests.fakes import make_due, run_jobs
from tests.unit.webapp.chatting import ScriptedModel, ask, context, logged
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY, Build
from webapp import create_app

VACATION = {"topics": ["年假"], "sentiment": "positive", "open_questions": ["如何申请？"]}


def sessions(web: FlaskClient, query: str = "") -> list[Any]:
    found: list[Any] = web.get(f"/history/1/analysis{query}").get_json()["sessions"]
    return found


def jobs_of(web: FlaskClient) -> list[Any]:
    found: list[Any] = web.get("/jobs?type=conversations.analyze&limit=100").get_json()["jobs"]
    return found


def test_a_session_is_analyzed_without_a_model_and_says_so(build: Build) -> None:
    services = build()
    web = create_app(services=services).test_client()
    ask(web, "谢谢，年假有多少天？", session_id="s", topic="假期")
    logged(services)
    [session] = sessions(web)
    analysis = session["analysis"]
    assert (session["session_id"], session["topic"], session["exchanges"]) == ("s", "假期", 1)
    assert (analysis["model"], analysis["sentiment"], analysis["topics"][0]) == ("built-in", "positive", "假期")
    assert analysis["open_questions"] == ["谢谢，年假有多少天？"]
    assert analysis["analyzed_at"]


def test_the_model_analyzes_the_whole_session_as_it_grows(build: Build, model: ScriptedModel) -> None:
    """On the queue `high`; its use is recorded."""
    services = build(model)
    web = create_app(services=services).test_client()
    model.answers = [json.dumps(VACATION)]
    ask(web, "年假？", session_id="s")
    logged(services)
    assert sessions(web)[0]["analysis"] | VACATION == sessions(web)[0]["analysis"]
    assert sessions(web)[0]["analysis"]["model"] == "scripted"
    assert jobs_of(web)[0]["queue"] == "high"
    model.answers = [json.dumps(VACATION | {"topics": ["病假"]})]
    ask(web, "病假？", session_id="s")
    logged(services)
    assert "年假？" in model.completed[-1][1].content
    assert "病假？" in model.completed[-1][1].content
    assert sessions(web)[0]["analysis"]["topics"] == ["病假"]
    assert web.get("/usage?source=analysis").get_json()["total"]["calls"] == 2


def test_a_burst_of_messages_is_analyzed_by_one_job_and_one_call(build: Build, model: ScriptedModel) -> None:
    """Not by one for each message."""
    services = build(model, chat_analysis_seconds=3600, chat_memory_exchanges=0)
    web = create_app(services=services).test_client()
    for number in range(20):
        ask(web, f"message {number}", session_id="s")
        log_conversations(context(services), LogArgs())
    make_due(services)
    run_jobs(services)
    logged(services)
    assert len(jobs_of(web)) <= 2  # the hour may end meanwhile
    assert len(model.completed) <= 2
    assert sessions(web)[0]["exchanges"] == 20


def test_one_session_that_fails_holds_up_no_other_and_is_tried_again(build: Build, model: ScriptedModel) -> None:
    services = build(model)
    web = create_app(services=services).test_client()
    for session in ("a", "b"):
        ask(web, session, session_id=session)
    log_conversations(context(services), LogArgs())
    model.answers = [ProviderRefused(), json.dumps(VACATION)]
    assert analyze_conversations(context(services), AnalyzeArgs()) == AnalyzeResult(analyzed=2)
    assert sorted(each["analysis"]["model"] for each in sessions(web)) == ["built-in", "scripted"]


def test_sessions_of_a_job_that_died_are_its_own_again_or_later_anybodys(build: Build, model: ScriptedModel) -> None:
    """While the claim holds no other job asks the model the same."""
    services = build(model)
    web = create_app(services=services).test_client()
    ask(web, session_id="s")
    log_conversations(context(services), LogArgs())
    assert len(services.sessions.claim("local", "dead", 10)) == 1
    assert analyze_conversations(context(services, job_id="other"), AnalyzeArgs()) == AnalyzeResult()
    assert recover(context(services, "upkeep"), RecoverArgs()).analyses == 0
    assert analyze_conversations(context(services, job_id="dead"), AnalyzeArgs()) == AnalyzeResult(analyzed=1)
    assert len(model.completed) == 1


def test_what_no_job_was_started_for_is_analyzed_all_the_same(build: Build) -> None:
    """The log's job died before it started the next one."""
    services = build()
    web = create_app(services=services).test_client()
    ask(web, session_id="s")
    services.conversations.log("local")
    assert recover(context(services, "upkeep"), RecoverArgs()).analyses == 1
    make_due(services)
    run_jobs(services)
    assert sessions(web)[0]["analysis"]


def test_an_endpoint_that_is_away_fails_the_attempt_and_not_the_analysis(build: Build, model: ScriptedModel) -> None:
    """The error goes to the job, which is tried again."""
    services = build(model, breaker_failures=100)
    web = create_app(services=services).test_client()
    ask(web, session_id="s")
    log_conversations(context(services), LogArgs())
    model.answers = [ProviderTimeout(retry_after=0)]
    with pytest.raises(ProviderTimeout):
        analyze_conversations(context(services), AnalyzeArgs())
    assert sessions(web)[0]["analysis"] is None
    model.answers = [json.dumps(VACATION)]
    assert analyze_conversations(context(services), AnalyzeArgs()) == AnalyzeResult(analyzed=1)


def test_analysis_can_be_left_to_words_or_turned_off(build: Build, model: ScriptedModel) -> None:
    """What was not to be analyzed is not, though it is turned on later."""
    services = build(model, chat_analysis="off")
    web = create_app(services=services).test_client()
    ask(web, session_id="s")
    logged(services)
    by_words = build(model, chat_analysis="built-in")
    logged(by_words)
    assert (sessions(web)[0]["analysis"], jobs_of(web)) == (None, [])
    ask(create_app(services=by_words).test_client(), session_id="t")
    logged(by_words)
    assert sessions(web, "?session_id=t")[0]["analysis"]["model"] == "built-in"
    assert model.completed == []


def test_sessions_are_paged_and_picked(build: Build) -> None:
    """Those that grew last first; another tenant's user of that id has none."""
    services = build(api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    web = create_app(services=services).test_client()
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in (ACME, OTHER))
    for session in ("a", "b", "c"):
        web.post("/chat", json={"user_id": 1, "message": "x", "session_id": session}, headers=mine)
    services.conversations.log("acme")
    first = web.get("/history/1/analysis?limit=2", headers=mine).get_json()
    rest = web.get(f"/history/1/analysis?limit=2&cursor={first['next_cursor']}", headers=mine).get_json()
    assert [each["session_id"] for page in (first, rest) for each in page["sessions"]] == ["c", "b", "a"]
    picked = web.get("/history/1/analysis?session_id=b", headers=mine).get_json()["sessions"]
    assert [each["session_id"] for each in picked] == ["b"]
    assert web.get("/history/1/analysis", headers=theirs).get_json()["sessions"] == []


def test_a_user_who_is_being_forgotten_is_not_asked_about(build: Build, model: ScriptedModel) -> None:
    """The conversations are gone, and the session will be."""
    services = build(model)
    web = create_app(services=services).test_client()
    ask(web, session_id="s")
    log_conversations(context(services), LogArgs())
    services.user_data.drop_some("conversations", "local", "1")
    assert analyze_conversations(context(services), AnalyzeArgs()) == AnalyzeResult(analyzed=1)
    assert model.completed == []
