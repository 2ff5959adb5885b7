"""Schedules over HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from config import load_config
from jobs.core.schedule_file import read_schedules
from jobs.services import Services, build_services
from jobs.stores.migrate import upgrade
from jobs.stores.schedules import ScheduleStore
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY
from webapp import create_app

pytestmark = pytest.mark.usefixtures("echo_job")
BODY = {
    "name": "nightly",
    "type": "test.echo",
    "args": {"text": "好"},
    "cron": "30 2 * * *",
    "timezone": "Asia/Shanghai",
}
MINE, THEIRS = {"Authorization": f"Bearer {ACME}"}, {"Authorization": f"Bearer {OTHER}"}


@pytest.fixture
def services(fake_redis: Redis, tmp_path: Path) -> Iterator[Services]:
    config = load_config(data_dir=tmp_path, api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    upgrade(config.sqlalchemy_url)
    built = build_services(config, fake_redis)
    yield built
    built.database.engine.dispose()


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


def test_a_schedule_is_made_shown_changed_and_deleted(web: FlaskClient) -> None:
    """201 with its address; the next run with its job's id, in UTC; 204 and then 404."""
    made = web.post("/schedules", json=BODY, headers=MINE)
    body = made.get_json()
    assert (made.status_code, made.headers["Location"]) == (201, f"/schedules/{body['id']}")
    assert body.items() >= {**BODY, "every": None, "missed": "run_once", "enabled": True, "source": "api"}.items()
    assert body["next_run"]["planned_at"].endswith("T18:30:00Z")
    assert len(body["next_run"]["job_id"]) == 32
    assert (body["last_run"], body["recent_runs"], body["error"]) == (None, [], None)
    address = body["links"]["self"]
    assert web.get(address, headers=MINE).get_json() == body
    changed = web.patch(address, json={"every": 3600, "enabled": False}, headers=MINE).get_json()
    assert (changed["cron"], changed["every"], changed["next_run"]) == (None, 3600, None)
    assert web.patch(address, json={"enabled": True}, headers=MINE).get_json()["next_run"]
    assert web.delete(address, headers=MINE).status_code == 204
    gone = web.get(address, headers=MINE)
    assert (gone.status_code, gone.get_json()["code"]) == (404, "schedule_not_found")


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("cron", {"cron": "nightly"}),
        ("timezone", {"timezone": "Mars/Olympus"}),
        ("type", {"type": "no.such"}),
        ("args", {"args": {"text": 5}}),
        ("every", {"every": 5}),
        ("tenant", {"tenant": "other"}),
        ("next_run", {"next_run": 1}),
    ],
)
def test_what_does_not_fit_is_a_422_that_names_the_field(
    web: FlaskClient, field: str, wrong: dict[str, object]
) -> None:
    """At creation and at a change; nothing is kept."""
    answer = web.post("/schedules", json=BODY | wrong, headers=MINE)
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, field)
    assert web.get("/schedules", headers=MINE).get_json()["schedules"] == []
    address = web.post("/schedules", json=BODY, headers=MINE).headers["Location"]
    if field != "every":  # there it takes the place of cron
        answer = web.patch(address, json=wrong, headers=MINE)
        assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, field)


def test_another_tenants_schedule_is_not_found(web: FlaskClient) -> None:
    """For looking, changing and deleting, with the same answer as for a missing one."""
    address = web.post("/schedules", json=BODY, headers=MINE).headers["Location"]
    for answer in (
        web.get(address, headers=THEIRS),
        web.patch(address, json={"enabled": False}, headers=THEIRS),
        web.delete(address, headers=THEIRS),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (404, "schedule_not_found")
    assert web.get("/schedules", headers=THEIRS).get_json()["schedules"] == []
    assert web.get(address, headers=MINE).get_json()["enabled"] is True


def test_schedules_are_listed_in_pages(web: FlaskClient) -> None:
    """Newest first; a taken name is a 409."""
    for name in "abcde":
        web.post("/schedules", json=BODY | {"name": name}, headers=MINE)
    taken = web.post("/schedules", json=BODY | {"name": "a"}, headers=MINE)
    assert (taken.status_code, taken.get_json()["code"]) == (409, "schedule_exists")
    names, cursor = [], ""
    while cursor is not None:
        page = web.get(f"/schedules?limit=2{cursor}", headers=MINE).get_json()
        names += [schedule["name"] for schedule in page["schedules"]]
        cursor = page["next_cursor"] and f"&cursor={page['next_cursor']}"
    assert names == list("edcba")
    assert web.get("/schedules?cursor=x", headers=MINE).status_code == 400


def test_a_schedule_of_the_file_is_shown_and_not_changed(web: FlaskClient, services: Services, tmp_path: Path) -> None:
    """409 for PATCH and DELETE."""
    path = tmp_path / "schedules.toml"
    path.write_text('[[schedules]]\nname="x"\ntenant="acme"\ntype="test.echo"\nargs.text="x"\nevery=60\n', "utf-8")
    config = services.config.model_copy(update={"schedules_file": str(path)})
    ScheduleStore(services.database).sync(read_schedules(config, 1e9))
    [schedule] = web.get("/schedules", headers=MINE).get_json()["schedules"]
    assert (schedule["name"], schedule["source"]) == ("x", "file")
    for answer in (
        web.patch(schedule["links"]["self"], json={"enabled": False}, headers=MINE),
        web.delete(schedule["links"]["self"], headers=MINE),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (409, "schedule_read_only")
