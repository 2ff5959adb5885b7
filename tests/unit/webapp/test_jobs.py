"""Any job over HTTP."""

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from jobs.core.client import JobClient
from jobs.services import Services
from tests.fakes import job_client, run_jobs
from tests.unit.webapp.conftest import ACME, OTHER

pytestmark = pytest.mark.usefixtures("echo_job")


def frames(body: str) -> list[tuple[str, dict[str, object], str]]:
    """Return the event, data and id of each frame of an event stream."""
    found = []
    for block in filter(None, body.split("\n\n")):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"]), fields.get("id", "")))
    return found


@pytest.fixture
def job_id(local_services: Services) -> str:
    """Return a queued job of the local tenant."""
    return job_client(local_services).start("test.echo", {"text": "你好"}, tenant="local")


@pytest.fixture
def failed_id(local_services: Services) -> Iterator[str]:
    """Return a failed job of the local tenant."""
    failed = job_client(local_services).start("test.echo", {"text": "x", "fail": True}, tenant="local")
    run_jobs(local_services)
    return failed


def test_a_job_shows_where_it_stands(local: FlaskClient, local_services: Services, job_id: str) -> None:
    """Queued with its position, then completed with its result; the answer names the job in a header."""
    queued = local.get(f"/jobs/{job_id}")
    assert queued.headers["X-Task-ID"] == job_id
    assert queued.headers["Retry-After"] == "1"
    body = queued.get_json()
    assert (body["state"], body["position"], body["links"]["self"]) == ("queued", 0, f"/jobs/{job_id}")
    run_jobs(local_services)
    body = local.get(f"/jobs/{job_id}?wait=5").get_json()
    assert (body["state"], body["result"], body["progress"]["percent"]) == ("completed", "你好", 100)


def test_a_failed_job_says_why_and_can_be_requeued(
    local: FlaskClient, local_services: Services, failed_id: str
) -> None:
    """Requeue is for failed jobs: for a queued one it is a 409 that names the state."""
    body = local.get(f"/jobs/{failed_id}").get_json()
    assert body["error"] == {"code": "not_possible", "message": "Asked to fail."}
    assert body["attempts"][0]["retryable"] is False
    assert local.post(f"/jobs/{failed_id}/requeue").get_json()["state"] == "queued"
    again = local.post(f"/jobs/{failed_id}/requeue")
    assert (again.status_code, again.get_json()["code"], again.get_json()["state"]) == (409, "wrong_state", "queued")


def test_the_short_form_speaks_the_seeds_words(local: FlaskClient, local_services: Services, job_id: str) -> None:
    """pending, running, completed, failed, retry; the fields are exactly the seed's."""
    task = local.get(f"/task/{job_id}").get_json()
    assert list(task) == [
        "task_id", "name", "status", "created_at", "started_at", "completed_at", "retry_count", "error",
    ]  # fmt: skip
    assert (task["name"], task["status"], task["retry_count"]) == ("test.echo", "pending", 0)
    run_jobs(local_services)
    task = local.get(f"/task/{job_id}").get_json()
    assert task["status"] == "completed"
    assert task["completed_at"]


def test_events_stream_from_the_start_or_after_an_id(
    local: FlaskClient, local_services: Services, failed_id: str, job_id: str
) -> None:
    """First where the job stands, then every event; with `after` exactly what followed; the end closes."""
    run_jobs(local_services)
    job_client(local_services).get("local", job_id)
    answer = local.get(f"/jobs/{job_id}/events")
    assert answer.mimetype == "text/event-stream"
    status, progress, end = frames(answer.text)
    assert (status[0], status[1]["state"], status[2]) == ("status", "completed", "")
    assert (progress[0], progress[1]) == ("progress", {"percent": 50, "message": "半"})
    assert (end[0], end[1]) == ("end", {"state": "completed"})
    for again in ({"path": f"?after={progress[2]}"}, {"headers": {"Last-Event-ID": progress[2]}}):
        path = again.get("path", "")
        rest = local.get(f"/jobs/{job_id}/events{path}", headers=again.get("headers", {}))
        assert rest.status_code == 204


@pytest.mark.parametrize("bad", ["abc", "-1", "9" * 20, "1-", "0-0 "])
def test_bad_event_ids_are_refused(local: FlaskClient, job_id: str, bad: str) -> None:
    """A 400, in the header and in the query."""
    assert local.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": bad}).status_code == 400
    assert local.get(f"/jobs/{job_id}/events", query_string={"after": bad}).status_code == 400


def test_another_tenants_job_answers_as_a_missing_one(keyed: FlaskClient, local_services: Services) -> None:
    """The same 404, to the byte but for the request's id, on every route with a job's id."""
    job_id = job_client(local_services).start("test.echo", {"text": "x"}, tenant="other")
    mine = {"Authorization": f"Bearer {ACME}", "X-Request-ID": "r"}
    theirs = {"Authorization": f"Bearer {OTHER}"}
    routes = [("GET", ""), ("DELETE", ""), ("GET", "/events")]
    routes += [("POST", f"/{act}") for act in ("cancel", "pause", "resume", "requeue")]
    for method, rest in routes:
        foreign = keyed.open(f"/jobs/{job_id}{rest}", method=method, headers=mine)
        missing = keyed.open(f"/jobs/{'0' * 32}{rest}", method=method, headers=mine)
        assert (foreign.status_code, foreign.data) == (404, missing.data)
    assert keyed.get(f"/task/{job_id}", headers=mine).status_code == 404
    assert keyed.get(f"/jobs/{job_id}", headers=theirs).status_code == 200
    assert keyed.get("/jobs", headers=mine).get_json()["jobs"] == []


def test_a_long_result_is_left_out_of_lists(local: FlaskClient, local_services: Services) -> None:
    """A page stays small; the job itself has its result."""
    client, long = job_client(local_services), "好" * 20_000
    ids = [client.start("test.echo", {"text": text}, tenant="local") for text in (long, "short")]
    run_jobs(local_services)
    listed = {job["id"]: (job["result"], job["result_left_out"]) for job in local.get("/jobs").get_json()["jobs"]}
    assert listed == {ids[0]: (None, True), ids[1]: ("short", False)}
    assert local.get(f"/jobs/{ids[0]}").get_json()["result"] == long


def test_lists_come_in_pages_and_bounds_are_kept(local: FlaskClient, local_services: Services) -> None:
    """An absurd limit is clamped, a made-up cursor is a 400."""
    client = job_client(local_services)
    ids = [client.start("test.echo", {"text": str(n)}, tenant="local") for n in range(5)]
    first = local.get("/jobs?limit=3").get_json()
    rest = local.get("/jobs", query_string={"limit": 3, "cursor": first["next_cursor"]}).get_json()
    assert [job["id"] for job in first["jobs"] + rest["jobs"]] == ids[::-1]
    assert rest["next_cursor"] is None
    assert local.get("/jobs?limit=1000000000").status_code == 200
    for bad in ("limit=0", "limit=-1", "limit=x"):
        assert local.get(f"/jobs?{bad}").status_code == 422
    assert local.get("/jobs?cursor=***").status_code == 400


@pytest.mark.parametrize("wait", ["-1", "x", "nan", "inf"])
def test_a_wait_is_a_number_of_seconds(local: FlaskClient, job_id: str, wait: str) -> None:
    """Anything else is a 422."""
    assert local.get(f"/jobs/{job_id}?wait={wait}").status_code == 422


@pytest.mark.parametrize("job_id", ["x", "../../etc", "%00", "a" * 65, "é", "a b", "*"])
def test_odd_ids_are_not_found(local: FlaskClient, job_id: str) -> None:
    """Never a 500."""
    assert local.get(f"/jobs/{job_id}").status_code in (404, 422)


def test_a_public_job_is_started_by_its_type(local: FlaskClient, local_services: Services) -> None:
    """202 as for any work; the list of types has its schema; one that is not public answers as a missing one."""
    [echo] = [kind for kind in local.get("/job-types").get_json()["job_types"] if kind["name"] == "test.echo"]
    assert set(echo["args"]["properties"]) == {"text", "fail"}
    answer = local.post("/jobs/test.echo", json={"args": {"text": "你好"}, "priority": "high"})
    assert answer.status_code == 202
    run_jobs(local_services)
    body = local.get(answer.headers["Location"]).get_json()
    assert (body["state"], body["result"], body["queue"]) == ("completed", "你好", "high")
    for name in ("documents.process", "no.such"):
        refused = local.post(f"/jobs/{name}", json={"args": {"document_id": 1}})
        assert (refused.status_code, refused.get_json()["code"]) == (404, "unknown_job_type")


@pytest.mark.parametrize(
    "body",
    [
        {"args": {}},
        {"args": {"text": 5}},
        {"args": {"text": "x"}, "priority": "urgent"},
        {"args": {"text": "x"}, "timeout": 0},
        {"args": {"text": "x"}, "retries": 10**6},
        {"args": {"text": "x"}, "delay": -1},
        {"args": {"text": "x"}, "delay": 10**12},
        {"args": {"text": "x"}, "run_at": "tomorrow"},
        {"args": {"text": "x"}, "run_at": "2026-01-01T00:00:00"},
        {"args": {"text": "x"}, "delay": 1, "run_at": "2030-01-01T00:00:00Z"},
        {"args": {"text": "x"}, "run_at": "9999-01-01T00:00:00Z"},
        {"args": {"text": "x"}, "tenant": "other"},
    ],
)
def test_a_start_that_does_not_fit_starts_nothing(local: FlaskClient, body: dict[str, object]) -> None:
    """422, and the list of jobs stays empty."""
    assert local.post("/jobs/test.echo", json=body).status_code == 422
    assert local.get("/jobs").get_json()["jobs"] == []


def test_a_job_for_later_says_when(local: FlaskClient) -> None:
    """`delay` in seconds or `run_at` as a time."""
    for when in ({"delay": 60}, {"run_at": "2027-06-01T12:00:00+08:00"}):
        answer = local.post("/jobs/test.echo", json={"args": {"text": "x"}, **when})
        body = local.get(answer.headers["Location"]).get_json()
        assert body["state"] == "scheduled"
    assert body["next_attempt_at"] == "2027-06-01T04:00:00Z"


def test_pause_resume_and_delete_are_for_some_states_only(
    local: FlaskClient, local_services: Services, job_id: str
) -> None:
    """Each says 409 with the state otherwise, and changes nothing then."""
    assert local.delete(f"/jobs/{job_id}").status_code == 409
    assert local.post(f"/jobs/{job_id}/pause").get_json()["state"] == "paused"
    assert local.post(f"/jobs/{job_id}/resume").get_json()["state"] == "queued"
    run_jobs(local_services)
    for act in ("pause", "resume", "requeue", "cancel"):
        refused = local.post(f"/jobs/{job_id}/{act}")
        assert (refused.status_code, refused.get_json()["state"]) == (409, "completed")
    assert local.delete(f"/jobs/{job_id}").status_code == 204
    assert local.get(f"/jobs/{job_id}").status_code == 404


def test_the_list_is_filtered(local: FlaskClient, local_services: Services, failed_id: str, job_id: str) -> None:
    """By state, type, queue and time; a word that is no state is a 422."""
    assert [job["id"] for job in local.get("/jobs?state=failed").get_json()["jobs"]] == [failed_id]
    assert [job["id"] for job in local.get("/jobs?state=queued&type=test.echo").get_json()["jobs"]] == [job_id]
    assert local.get("/jobs?since=2999-01-01T00:00:00Z").get_json()["jobs"] == []
    for bad in ("state=nonsense", "queue=urgent", "since=yesterday", "since=2026-01-01T00:00:00"):
        assert local.get(f"/jobs?{bad}").status_code == 422


@pytest.mark.parametrize("meta", ["[]", "null", "true", "5", '"x"', "{", '{"tenant": ["local"]}'])
def test_a_forged_job_is_not_found_and_does_not_hide_the_others(
    local: FlaskClient, local_services: Services, job_id: str, meta: str
) -> None:
    """Whatever its meta says, the list answers."""
    forged = JobClient(local_services.redis, result_ttl=60).start("test.echo", {"text": "x"}, tenant="local")
    local_services.redis.hset(f"rq:job:{forged}", "meta", meta)
    assert local.get(f"/jobs/{forged}").status_code == 404
    assert job_id in [job["id"] for job in local.get("/jobs").get_json()["jobs"]]
