"""All that is kept of a user: taken along, deleted."""

import csv
import io
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Table, func, select, update

from jobs.core.errors import Interrupted
from jobs.documents import RecoverArgs as DocumentsRecoverArgs
from jobs.documents import recover as recover_documents
from jobs.domain.usage import Usage
from jobs.services import Services
from jobs.stores.schema import exports, metadata
from jobs.stores.usage import UsageFilter
from jobs.user_data import EraseArgs, ExportArgs, UpkeepArgs, UpkeepResult, erase, export, upkeep
from tests.fakes import make_due, run_jobs
from tests.unit.webapp.chatting import ScriptedModel, ask, context, logged
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY, Build
from webapp import create_app

FORMULA = "=HYPERLINK(1)"
SAYS = json.dumps({"facts": ["用户叫王伟。"], "topics": ["名字"], "sentiment": "neutral", "open_questions": []})


@pytest.fixture
def services(build: Build, model: ScriptedModel) -> Services:
    """Two users of whom everything is kept: chats, memory, analysis, usage, an address, notifications."""
    model.answers = [SAYS]
    services = build(model, model_prices={"scripted": {"input": 1, "output": 2}}, chat_soft_limit=2)
    web = create_app(services=services).test_client()
    for user in (1, 2):
        web.post("/register", json={"user_id": user, "email": f"user{user}@example.com", "name": "王伟"})
        for message in ("我叫王伟。", FORMULA, "再见"):
            ask(web, message, user_id=user, session_id=f"s{user}")
        logged(services)
        web.post("/memorize", json={"user_id": user, "session_id": f"s{user}"})
        run_jobs(services)
    return services


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


def exported(services: Services, web: FlaskClient, form: str = "jsonl", user: Any = 1) -> Any:
    started = web.post(f"/users/{user}/export", json={"format": form})
    assert started.status_code == 202
    run_jobs(services)
    return web.get(started.get_json()["file"], buffered=True)


def kept_of(services: Services, user_id: str) -> dict[str, int]:
    """Return how many rows of each table name a user."""
    found = {}
    with services.database.read() as connection:
        for table in metadata.sorted_tables:
            if "user_id" in table.c:
                found[table.name] = _count(connection, table, user_id)
    return {name: count for name, count in found.items() if count}


def _count(connection: Any, table: Table, user_id: str) -> int:
    return int(connection.execute(select(func.count()).where(table.c.user_id == user_id)).scalar())


def test_an_export_holds_all_that_is_kept(services: Services, web: FlaskClient) -> None:
    """Of this user and no other; what was said a moment before it was asked for, too."""
    ask(web, "最后一句", session_id="s1")
    answer = exported(services, web)
    records = [json.loads(line) for line in answer.get_data(as_text=True).splitlines()]
    kinds = Counter(record["kind"] for record in records)
    assert set(kinds) == {"conversation", "session", "memory", "statistics", "usage", "registration", "notification"}
    assert kinds["conversation"] == 4
    assert "最后一句" in [record.get("message") for record in records]
    assert "user2@example.com" not in answer.get_data(as_text=True)
    [registration] = [record for record in records if record["kind"] == "registration"]
    assert (registration["email"], registration["name"]) == ("user1@example.com", "王伟")
    assert answer.headers["Content-Type"].startswith("application/x-ndjson")
    assert "attachment" in answer.headers["Content-Disposition"]


def test_an_export_says_how_far_it_is(services: Services, web: FlaskClient) -> None:
    """Its file cannot be fetched before; then its size and counts are told."""
    started = web.post("/users/1/export", json={}).get_json()
    address = f"/exports/{started['export_id']}"
    assert web.get(address).get_json()["status"] == "processing"
    early = web.get(started["file"], buffered=True)
    assert (early.status_code, early.get_json()["code"]) == (409, "export_not_ready")
    run_jobs(services)
    done = web.get(address).get_json()
    assert (done["status"], done["records"]["conversation"]) == ("completed", 3)
    assert done["size"] == len(web.get(started["file"], buffered=True).get_data())
    assert web.get(f"/jobs/{started['task_id']}").get_json()["result"]["records"] == done["records"]


def test_csv_is_safe_for_spreadsheets(services: Services, web: FlaskClient) -> None:
    answer = exported(services, web, "csv")
    text = answer.get_data().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    messages = [row["message"] for row in rows if row["kind"] == "conversation"]
    assert messages == ["再见", f"'{FORMULA}", "我叫王伟。"]
    assert all(not value.startswith(("=", "+", "-", "@")) for row in rows for value in row.values())


def test_a_second_run_writes_nothing_twice_and_leaves_no_file(services: Services, web: FlaskClient) -> None:
    """As after a worker that was taken for dead."""
    started = web.post("/users/1/export", json={}).get_json()
    args = ExportArgs(id=started["export_id"])
    first, second = export(context(services), args), export(context(services), args)
    assert first == second
    assert len(list(services.blobs.list())) == 1


def test_a_file_that_is_not_the_one_that_is_wanted_is_a_problem(services: Services, web: FlaskClient) -> None:
    """As `If-Match` says; the answer does not hold the file."""
    started = web.post("/users/1/export", json={}).get_json()
    run_jobs(services)
    for address in (started["file"], "/console/console.css"):
        refused = web.get(address, headers={"If-Match": '"other"'})
        assert (refused.status_code, refused.get_json()["code"]) == (412, "precondition_failed")
        assert web.get(address, buffered=True).status_code == 200


def test_an_export_that_was_left_without_a_job_is_written_all_the_same(services: Services, web: FlaskClient) -> None:
    started = web.post("/users/1/export", json={}).get_json()
    services.redis.flushall()
    services.work.delete("local", started["task_id"])
    assert upkeep(context(services, "upkeep"), UpkeepArgs(older_than=0)) == UpkeepResult(started=1)
    run_jobs(services)
    assert web.get(started["file"], buffered=True).status_code == 200


def test_an_export_is_deleted_when_its_time_is_over(services: Services, web: FlaskClient) -> None:
    """Not before, also not as a file that nothing names."""
    started = web.post("/users/1/export", json={}).get_json()
    run_jobs(services)
    recover_documents(context(services, "upkeep"), DocumentsRecoverArgs(file_seconds=0))
    assert upkeep(context(services, "upkeep"), UpkeepArgs()) == UpkeepResult()
    assert web.get(started["file"], buffered=True).status_code == 200
    with services.database.write() as connection:
        connection.execute(update(exports).values(created_at=datetime.now(UTC) - timedelta(hours=25)))
    assert upkeep(context(services, "upkeep"), UpkeepArgs()) == UpkeepResult(expired=1)
    for address in (started["file"], f"/exports/{started['export_id']}"):
        assert web.get(address).get_json()["code"] == "export_not_found"
    assert list(services.blobs.list()) == []


def test_nothing_of_a_user_is_left_and_all_of_the_others(services: Services, web: FlaskClient) -> None:
    """In no table; the sums of usage stay, as those of no user. Done again it finds nothing."""
    exported(services, web)
    of_other, used = kept_of(services, "2"), web.get("/usage").get_json()["total"]
    ask(web, "noch etwas", session_id="new")
    answer = web.delete("/users/1/data")
    assert answer.status_code == 202
    run_jobs(services)
    result = web.get(f"/jobs/{answer.get_json()['task_id']}").get_json()["result"]
    assert result["conversations"] == 3
    assert result["exports"] == result["registrations"] == result["statistics"] == result["memories"] == 1
    assert kept_of(services, "1") == {}
    assert kept_of(services, "2") == of_other
    assert list(services.blobs.list()) == []
    left = web.get("/usage").get_json()["total"]
    assert (left["calls"], left["total_tokens"]) == (used["calls"] + 1, used["total_tokens"] + 14)  # what waited, too
    assert web.get("/stats/1").get_json()["total_conversations"] == 0
    logged(services)
    assert kept_of(services, "1") == {}
    again = web.delete("/users/1/data").get_json()["task_id"]
    run_jobs(services)
    assert set(web.get(f"/jobs/{again}").get_json()["result"].values()) == {0}


def test_a_call_that_ends_after_a_deletion_becomes_that_of_no_user(services: Services, web: FlaskClient) -> None:
    """Two jobs come later, for what was under way; each leaves what there is of the others."""
    web.delete("/users/1/data")
    run_jobs(services)
    for user_id in ("1", "2"):
        services.usage.record(None, "local", user_id, "m", Usage(1, 1), "agents", f"late {user_id}")
    make_due(services)
    run_jobs(services)
    users = {total.group for total in services.usage.totals("local", "user", UsageFilter(), limit=100)}
    assert ("1" in users, "2" in users, "" in users) == (False, True, True)
    late = web.get("/jobs?type=user_data.forget_usage").get_json()["jobs"]
    assert [job["state"] for job in late] == ["completed"] * 2


def test_who_comes_back_is_told_again(services: Services, web: FlaskClient) -> None:
    """The welcome, and the soft limit: with the ids of before they would be taken for what has ended."""
    web.delete("/users/1/data")
    run_jobs(services)
    web.post("/register", json={"user_id": 1, "email": "back@example.com"})
    for message in ("一", "二"):
        ask(web, message, user_id=1)
    logged(services)
    run_jobs(services)
    told = web.get("/notifications?user_id=1").get_json()["notifications"]
    assert [each["event_type"] for each in told] == ["conversation_limit", "user_registered"]
    assert {each["state"] for one in told for each in one["deliveries"]} <= {"sent", "skipped"}


def test_an_erasure_goes_on_after_what_was_done(services: Services) -> None:
    """Paused in the middle it leaves its worker; resumed it ends, and its counts are those of both."""

    class Pausing(type(context(services))):  # type: ignore[misc]
        looks = 0

        def checkpoint(self) -> None:
            self.looks += 1
            if self.looks == 4:
                raise Interrupted

    ctx = context(services)
    ctx.__class__ = Pausing
    with pytest.raises(Interrupted):
        erase(ctx, EraseArgs(user_id="1"))
    result = erase(context(services), EraseArgs(user_id="1"))
    assert (result.conversations, result.sessions) == (3, 1)
    assert kept_of(services, "1") == {}


def test_to_be_forgotten_is_no_way_around_a_limit(build: Build) -> None:
    """What was used of the day stays until it is over."""
    services = build(chat_daily_conversations=2)
    web = create_app(services=services).test_client()
    assert [ask(web).status_code for _ in range(3)] == [200, 200, 429]
    logged(services)
    web.delete("/users/1/data")
    run_jobs(services)
    assert web.get("/stats/1").get_json()["total_conversations"] == 0
    assert ask(web).status_code == 429


def test_another_tenants_data_is_neither_exported_nor_deleted(build: Build) -> None:
    services = build(api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    web = create_app(services=services).test_client()
    mine, theirs = ({"Authorization": f"Bearer {key}"} for key in (ACME, OTHER))
    web.post("/chat", json={"user_id": 1, "message": "秘密"}, headers=mine)
    started = web.post("/users/1/export", json={}, headers=mine).get_json()
    foreign = web.post("/users/1/export", json={}, headers=theirs).get_json()
    web.delete("/users/1/data", headers=theirs)
    run_jobs(services)
    assert "秘密" not in web.get(foreign["file"], headers=theirs, buffered=True).get_data(as_text=True)
    for address in (started["file"], f"/exports/{started['export_id']}"):
        assert web.get(address, headers=theirs).get_json()["code"] == "export_not_found"
    assert "秘密" in web.get(started["file"], headers=mine, buffered=True).get_data(as_text=True)
    assert len(web.get("/history/1", headers=mine).get_json()["conversations"]) == 1


def test_a_bad_request_names_its_field(services: Services, web: FlaskClient) -> None:
    assert web.post("/users/1/export", json={"format": "xlsx"}).get_json()["errors"][0]["field"] == "format"
    assert web.get("/exports/unheard-of").status_code == 422
    assert web.get(f"/exports/{'0' * 32}/file").status_code == 404
