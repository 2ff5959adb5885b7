"""Conversations over real processes: logged and counted to the unit, whatever dies; exported and deleted."""

import json

import httpx2

from tests.integration.chats import chat_over_kills
from tests.integration.conftest import StartStack

CHATS = 1500
KILLS = 5


def test_every_conversation_is_logged_and_counted_once_while_workers_are_killed(start_stack: StartStack) -> None:
    """Answers, log, statistics and sessions agree, in conversations and in tokens; in far fewer transactions."""
    figures = chat_over_kills(start_stack(worker_ttl=5), CHATS, KILLS)
    assert figures.agree, figures
    assert figures.logging_transactions < CHATS / 5


def test_a_users_data_is_remembered_analyzed_exported_and_deleted(client: httpx2.Client) -> None:
    """The way of the documentation's curl lines, over real workers and their isolated processes."""
    said = {"user_id": "u-1", "session_id": "u-1-monday"}
    chat = client.post("/chat", json=said | {"message": "我叫王伟，是一名护士。"}).raise_for_status().json()
    finish(client, chat["background_task_id"])
    memorized = client.post("/memorize", json=said).raise_for_status().json()["task_id"]
    assert finish(client, memorized)["result"]["new"] == 1
    assert [each["text"] for each in client.get("/memory/u-1").json()["memories"]] == ["我叫王伟，是一名护士。"]
    analysis = next(each["id"] for each in client.get("/jobs?type=conversations.analyze").json()["jobs"])
    finish(client, analysis)
    assert client.get("/history/u-1/analysis").json()["sessions"][0]["analysis"]["model"] == "built-in"
    export = client.post("/users/u-1/export", json={"format": "jsonl"}).raise_for_status().json()
    assert finish(client, export["task_id"])["state"] == "completed"
    lines = client.get(export["file"]).raise_for_status().text.splitlines()
    assert {json.loads(line)["kind"] for line in lines} == {"conversation", "memory", "session", "statistics"}
    erased = client.delete("/users/u-1/data").raise_for_status().json()["task_id"]
    assert finish(client, erased)["result"]["exports"] == 1
    assert client.get(export["file"]).status_code == 404
    assert client.get("/history/u-1").json()["conversations"] == []
    assert client.get("/memory/u-1").json()["memories"] == []


def finish(client: httpx2.Client, job_id: str) -> dict[str, object]:
    """Wait for a job's end, and return it."""
    ended: dict[str, object] = client.get(f"/jobs/{job_id}?wait=30").raise_for_status().json()
    assert ended["state"] == "completed", ended
    return ended
