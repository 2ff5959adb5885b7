"""Batches over HTTP."""

import time

import pytest
from flask.testing import FlaskClient

from jobs.services import Services
from tests.fakes import job_client, run_jobs
from tests.unit.webapp.conftest import ACME, OTHER

pytestmark = pytest.mark.usefixtures("echo_job")
ITEMS = {"type": "test.echo", "items": [{"text": str(n)} for n in range(5)]}


def test_a_batch_is_started_followed_and_read(local: FlaskClient, local_services: Services) -> None:
    """202 with its address; counts; results page by page; then its callback, which it links to."""
    callback = {"type": "test.echo", "args": {"text": "all done"}}
    answer = local.post("/batches", json={**ITEMS, "name": "五", "on_complete": callback})
    assert answer.status_code == 202
    body = answer.get_json()
    assert (answer.headers["Location"], body["total"]) == (f"/batches/{body['batch_id']}", 5)
    batch = local.get(answer.headers["Location"]).get_json()
    assert (batch["name"], batch["state"], batch["counts"]["queued"]) == ("五", "running", 5)
    waiting = local.get(batch["links"]["callback"]).get_json()
    assert (waiting["state"], waiting["waits_for"]["ids"]) == ("waiting", [body["batch_id"]])
    run_jobs(local_services)
    assert local.get(batch["links"]["self"]).get_json()["state"] == "completed"
    page = local.get(f"{batch['links']['jobs']}?limit=3").get_json()
    rest = local.get(batch["links"]["jobs"], query_string={"cursor": page["next_cursor"]}).get_json()
    assert [job["result"] for job in page["jobs"] + rest["jobs"]] == list("01234")
    assert rest["next_cursor"] is None
    done = local.get(f"{batch['links']['jobs']}?state=completed&limit=1000000").get_json()
    assert (len(done["jobs"]), done["next_cursor"]) == (5, None)
    run_jobs(local_services)
    assert local.get(batch["links"]["callback"]).get_json()["result"] == "all done"


def test_jobs_of_a_batch_have_options_of_their_own(local: FlaskClient) -> None:
    """Or one set of options for all items."""
    echo = {"type": "test.echo", "args": {"text": "x"}}
    batch = local.post("/batches", json={"jobs": [{**echo, "priority": "high"}, {**echo, "delay": 60}]}).get_json()
    first, second = local.get(batch["links"]["jobs"]).get_json()["jobs"]
    assert (first["queue"], second["state"], second["batch_id"]) == ("high", "scheduled", batch["batch_id"])
    batch = local.post("/batches", json={**ITEMS, "options": {"priority": "low", "retries": 0}}).get_json()
    jobs = local.get(batch["links"]["jobs"]).get_json()["jobs"]
    assert {(job["queue"], job["retries_left"]) for job in jobs} == {("low", 0)}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"type": "test.echo"},
        {"items": [{"text": "x"}]},
        {"type": "test.echo", "items": []},
        {**ITEMS, "jobs": [{"type": "test.echo", "args": {"text": "x"}}]},
        {"type": "test.echo", "items": [{"text": "x"}] * 10_001},
        {"type": "test.echo", "items": [{"text": "x"}, {"text": 5}]},
        {"type": "no.such", "items": [{}]},
        {"type": "documents.process", "items": [{"document_id": 1}]},
        {**ITEMS, "on_complete": {"type": "documents.process", "args": {"document_id": 1}}},
        {**ITEMS, "on_complete": {"type": "test.echo", "args": {}}},
        {**ITEMS, "options": {"priority": "urgent"}},
        {**ITEMS, "options": {"depends_on": ["0" * 32]}},
        {**ITEMS, "name": "x" * 201},
        {**ITEMS, "tenant": "other"},
    ],
)
def test_a_batch_that_does_not_fit_starts_nothing(
    local: FlaskClient, local_services: Services, body: dict[str, object]
) -> None:
    """422, and Redis stays empty."""
    answer = local.post("/batches", json=body)
    assert (answer.status_code, answer.get_json()["status"]) == (422, 422)
    assert local_services.redis.keys("*") == []


def test_ten_thousand_items_fit_into_the_body(local: FlaskClient) -> None:
    """More than a JSON body may have elsewhere; the limit of this route answers 413."""
    items = [{"text": "x" * 100}] * 10_000
    answer = local.post("/batches", json={"type": "test.echo", "items": items})
    assert answer.status_code == 202
    assert local.get(answer.headers["Location"]).get_json()["counts"]["queued"] == 10_000
    canceled = local.post(f"{answer.headers['Location']}/cancel").get_json()
    assert (canceled["state"], canceled["counts"]["canceled"]) == ("canceled", 10_000)
    assert local.post("/batches", data=b"x" * (16 * 2**20 + 1)).status_code == 413


def test_a_batch_sent_again_with_its_key_is_one_batch(local: FlaskClient, local_services: Services) -> None:
    """Also when the kept answer is lost: the batch's id follows from the key and the body."""
    headers = {"Idempotency-Key": "monday"}
    first = local.post("/batches", json=ITEMS, headers=headers).get_json()
    assert local.post("/batches", json=ITEMS, headers=headers).get_json() == first
    local_services.requests.purge(time.time() + 1)
    assert local.post("/batches", json=ITEMS, headers=headers).get_json() == first
    assert local_services.redis.llen("rq:queue:default") == 5
    local_services.requests.purge(time.time() + 1)
    other = local.post("/batches", json={**ITEMS, "name": "other"}, headers=headers).get_json()
    assert other["batch_id"] != first["batch_id"]


def test_batches_are_listed_newest_first_in_pages(local: FlaskClient) -> None:
    """As they were accepted, with the address of their counts; nobody else's."""
    for name in ("one", "two", "three"):
        local.post("/batches", json={**ITEMS, "name": name})
    first = local.get("/batches?limit=2").get_json()
    rest = local.get(f"/batches?limit=2&cursor={first['next_cursor']}").get_json()
    listed = [*first["batches"], *rest["batches"]]
    assert [(batch["name"], batch["total"], batch["ended"]) for batch in listed] == [
        ("three", 5, False),
        ("two", 5, False),
        ("one", 5, False),
    ]
    assert local.get(listed[0]["links"]["self"]).get_json()["name"] == "three"


def test_cancel_is_for_batches_that_run(local: FlaskClient, local_services: Services) -> None:
    """Twice is once; one that has ended by itself is a 409 with its state."""
    batch = local.post("/batches", json=ITEMS).get_json()
    assert local.post(batch["links"]["cancel"]).get_json()["state"] == "canceled"
    assert local.post(batch["links"]["cancel"]).get_json()["counts"]["canceled"] == 5
    done = local.post("/batches", json=ITEMS).get_json()
    run_jobs(local_services)
    refused = local.post(done["links"]["cancel"])
    assert (refused.status_code, refused.get_json()["state"]) == (409, "completed")


def test_another_tenants_batch_answers_as_a_missing_one(keyed: FlaskClient) -> None:
    """The same 404 on every route; its jobs are another tenant's too."""
    mine, theirs = ({"Authorization": f"Bearer {key}", "X-Request-ID": "r"} for key in (ACME, OTHER))
    batch = keyed.post("/batches", json=ITEMS, headers=theirs).get_json()
    for method, rest in (("GET", ""), ("GET", "/jobs"), ("POST", "/cancel")):
        foreign = keyed.open(f"/batches/{batch['batch_id']}{rest}", method=method, headers=mine)
        missing = keyed.open(f"/batches/{'0' * 32}{rest}", method=method, headers=mine)
        assert (foreign.status_code, foreign.data) == (404, missing.data)
    [job, *_] = keyed.get(batch["links"]["jobs"], headers=theirs).get_json()["jobs"]
    assert keyed.get(f"/jobs/{job['id']}", headers=mine).status_code == 404
    refused = keyed.post("/jobs/test.echo", json={"args": {"text": "x"}, "depends_on": [job["id"]]}, headers=mine)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "unknown_dependency")
    assert job["id"] in refused.get_json()["detail"]


@pytest.mark.parametrize("query", ["cursor=***", "cursor=LTE", "cursor=MTAwMDAx", "cursor=bmFu"])
def test_a_made_up_cursor_is_a_400(local: FlaskClient, query: str) -> None:
    """Not base64, below zero, beyond every batch, no number."""
    batch = local.post("/batches", json=ITEMS).get_json()
    assert local.get(f"{batch['links']['jobs']}?{query}").status_code == 400
    assert local.get(f"{batch['links']['jobs']}?state=nonsense").status_code == 422


def test_a_job_over_http_waits_for_another(local: FlaskClient, local_services: Services) -> None:
    """It shows what it depends on and what it waits for."""
    parent = job_client(local_services).start("test.echo", {"text": "x", "fail": True}, tenant="local")
    body = {"args": {"text": "y"}, "depends_on": [parent], "on_dependency_failure": "run"}
    child = local.post("/jobs/test.echo", json=body).headers["Location"]
    view = local.get(child).get_json()
    assert (view["state"], view["depends_on"]) == ("waiting", [parent])
    assert (view["waits_for"]["reason"], view["waits_for"]["ids"]) == ("jobs", [parent])
    for wrong in (["x"] * 101, [""], "x", [1]):
        assert local.post("/jobs/test.echo", json={**body, "depends_on": wrong}).status_code == 422
