"""Queues and jobs by kind over HTTP."""

import pytest
from flask.testing import FlaskClient
from redis import Redis

from jobs.services import Services
from tests.fakes import engine_services, job_client, run_jobs
from tests.unit.webapp.conftest import ACME, OTHER

pytestmark = pytest.mark.usefixtures("echo_job")


def test_jobs_are_analysed_by_kind_for_their_tenant_only(keyed: FlaskClient, fake_redis: Redis) -> None:
    """Failures and their codes; the other tenant, which has run nothing, sees nothing."""
    services = engine_services(fake_redis)
    for fail in (False, True, True):
        job_client(services).start("test.echo", {"text": "x", "fail": fail}, tenant="acme")
    run_jobs(services)
    mine = keyed.get("/job-stats", headers={"Authorization": f"Bearer {ACME}"}).get_json()["job_types"]
    assert [kind["type"] for kind in mine] == ["test.echo"]
    assert mine[0]["failure_codes"] == {"not_possible": 2}
    assert mine[0]["failures"] == mine[0]["window_failures"] == 2
    assert mine[0]["p95_seconds"] >= mine[0]["p50_seconds"] >= 0
    assert keyed.get("/job-stats", headers={"Authorization": f"Bearer {OTHER}"}).get_json() == {"job_types": []}


def test_queues_tell_no_ids(local: FlaskClient, local_services: Services) -> None:
    """Depth and age of each, in the order of their priority."""
    job_id = job_client(local_services).start("test.echo", {"text": "x"}, tenant="local")
    answer = local.get("/queues")
    high, default, low = answer.get_json()["queues"]
    assert (high["name"], default["name"], low["name"]) == ("high", "default", "low")
    assert (default["queued"], high["queued"]) == (1, 0)
    assert default["oldest_seconds"] >= 0
    assert default["workers"] == {"count": 0, "busy": 0, "slots": 0}
    assert job_id not in answer.text


def test_a_job_tells_why_it_waits(local: FlaskClient, local_services: Services) -> None:
    """And nothing of that once it has ended."""
    job_id = job_client(local_services).start("test.echo", {"text": "x"}, tenant="local")
    waiting = local.get(f"/jobs/{job_id}").get_json()
    assert waiting["waits_for"] == {"reason": "queue", "ids": [], "position": 0, "until": None}
    assert waiting["expected_start_seconds"] is None
    run_jobs(local_services)
    assert local.get(f"/jobs/{job_id}").get_json()["waits_for"] is None
