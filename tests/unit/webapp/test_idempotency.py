"""`Idempotency-Key`: sent again is answered again."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select, update

from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.schema import requests
from tests.unit.webapp.conftest import ACME, OTHER

pytestmark = pytest.mark.usefixtures("echo_job")

START = "/jobs/test.echo"
BODY = {"args": {"text": "x"}}


def count(web: FlaskClient) -> int:
    return len(web.get("/jobs").get_json()["jobs"])


def test_the_same_request_is_answered_again_and_done_once(local: FlaskClient) -> None:
    """Status, body and address are the first one's; a header says that it is a replay."""
    first, again = (local.post(START, json=BODY, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (again.status_code, again.data, again.headers["Location"]) == (202, first.data, first.headers["Location"])
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert count(local) == 1
    local.post(START, json=BODY, headers={"Idempotency-Key": "k2"})
    assert count(local) == 2


def test_the_same_key_with_another_request_is_a_422(local: FlaskClient) -> None:
    """Another body, or another address."""
    local.post(START, json=BODY, headers={"Idempotency-Key": "k"})
    for path, body in ((START, {"args": {"text": "y"}}), ("/ask", BODY)):
        answer = local.post(path, json=body, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert count(local) == 1


def test_while_the_first_is_under_way_the_second_is_a_409(local: FlaskClient, local_services: Services) -> None:
    """It may be sent again later."""
    local.post(START, json=BODY, headers={"Idempotency-Key": "k"})
    with local_services.database.write() as connection:
        connection.execute(update(requests).values(answer=None))
    answer = local.post(START, json=BODY, headers={"Idempotency-Key": "k"})
    assert (answer.status_code, answer.get_json()["code"]) == (409, "in_flight")


def test_a_refused_request_is_answered_again_too(local: FlaskClient) -> None:
    """A 422 stays one."""
    first, again = (local.post(START, json={"args": {}}, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.mimetype == "application/problem+json"


def test_two_tenants_may_use_the_same_key(keyed: FlaskClient, sqlite_database: Database) -> None:
    """Neither gets the other's answer; a request without a good API key leaves nothing behind."""
    mine, theirs = (
        keyed.post(START, json=BODY, headers={"Idempotency-Key": "k", "Authorization": f"Bearer {key}"})
        for key in (ACME, OTHER)
    )
    assert mine.get_json()["task_id"] != theirs.get_json()["task_id"]
    assert keyed.post(START, json=BODY, headers={"Idempotency-Key": "k2"}).status_code == 401
    with sqlite_database.read() as connection:
        assert connection.execute(select(func.count()).select_from(requests)).scalar() == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_bad_key_is_a_400(local: FlaskClient, key: str) -> None:
    """Nothing is started."""
    assert local.post(START, json=BODY, headers={"Idempotency-Key": key}).status_code == 400
    assert count(local) == 0


def test_a_request_whose_process_died_finds_its_job(local: FlaskClient, sqlite_database: Database) -> None:
    """The job was accepted and the answer never kept: sent again later, it is the same job."""
    first = local.post(START, json=BODY, headers={"Idempotency-Key": "k"})
    with sqlite_database.write() as connection:
        connection.execute(update(requests).values(answer=None, began_at=0))
    again = local.post(START, json=BODY, headers={"Idempotency-Key": "k"})
    assert "Idempotency-Replayed" not in again.headers
    assert again.get_json()["task_id"] == first.get_json()["task_id"]
    assert count(local) == 1
