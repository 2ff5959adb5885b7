"""Webhooks over HTTP: which URLs are taken, where deliveries are seen, and what is never shown."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from config import load_config
from jobs.core.webhooks import MAX_WEBHOOKS, Webhook, add_deliveries, follow
from jobs.domain.signatures import read_secret, write_secret
from jobs.services import Services
from tests.fakes import engine_services, job_client, run_jobs
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY
from webapp import create_app

pytestmark = pytest.mark.usefixtures("echo_job")

SECRET = write_secret(bytes(range(32)))
PUBLIC = "https://1.1.1.1/hook?token=hunter2"


@pytest.fixture
def services(fake_redis: Redis) -> Services:
    return engine_services(fake_redis, load_config(webhook_secret=SECRET))


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


def start(web: FlaskClient, url: str = PUBLIC) -> str:
    answer = web.post("/jobs/test.echo", json={"args": {"text": "x"}, "webhook_url": url})
    assert answer.status_code == 202, answer.text
    return str(answer.headers["X-Task-ID"])


def end(services: Services, job_id: str, state: str) -> None:
    """End a job as the worker's transaction does."""
    with services.redis.pipeline() as pipeline:
        add_deliveries(pipeline, "local", job_id, state, None)
        pipeline.execute()


def deliveries(web: FlaskClient, job_id: str) -> list[str]:
    return list(web.get(f"/jobs/{job_id}").get_json()["links"].get("deliveries", []))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1/",
        "http://2130706433/",
        "http://[::ffff:169.254.169.254]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[::7f00:1]/",
        "http://224.0.0.1/",
        "http://localhost:8000/jobs",
        "ftp://1.1.1.1/",
        "https://user:pw@1.1.1.1/",
        "https://1.1.1.1:25/",
        "no url",
    ],
)
def test_a_url_that_may_not_be_called_is_a_422_that_names_the_field(web: FlaskClient, url: str) -> None:
    """Nothing is started, and the URL is not echoed."""
    answer = web.post("/jobs/test.echo", json={"args": {"text": "x"}, "webhook_url": url})
    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (422, "webhook_url_refused")
    assert [error["field"] for error in body["errors"]] == ["webhook_url"]
    assert web.get("/jobs").get_json()["jobs"] == []


def test_without_a_secret_no_webhook_is_taken(local: FlaskClient) -> None:
    """A message that cannot be verified would be worth nothing."""
    answer = local.post("/jobs/test.echo", json={"args": {"text": "x"}, "webhook_url": PUBLIC})
    assert (answer.status_code, answer.get_json()["code"]) == (422, "webhook_url_refused")
    assert "WEBHOOK_SECRET" in answer.get_json()["detail"]
    assert local.get("/webhooks/secret").get_json()["code"] == "no_webhook_secret"


def test_the_webhook_of_a_job_is_seen_by_its_host(web: FlaskClient) -> None:
    """Not by its path or query, which may hold a token; the job is not a plain one's worse."""
    job_id = start(web)
    body = web.get(f"/jobs/{job_id}").get_json()
    assert body["webhooks"] == [{"host": "1.1.1.1", "deliveries": []}]
    assert "hunter2" not in json.dumps(body)
    assert body["links"]["redeliver"] == f"/jobs/{job_id}/webhooks/redeliver"


def test_an_end_starts_one_delivery_and_its_job_tells_no_secret(web: FlaskClient, services: Services) -> None:
    """On `low`, with its attempts; dashboards see arguments, description and meta."""
    job_id = start(web)
    assert web.post(f"/jobs/{job_id}/cancel").get_json()["state"] == "canceled"
    assert web.post(f"/jobs/{job_id}/cancel").get_json()["state"] == "canceled"
    (link,) = deliveries(web, job_id)
    delivery = web.get(link).get_json()
    assert (delivery["type"], delivery["queue"], delivery["retries_left"]) == ("webhooks.deliver", "low", 11)
    job = Job.fetch(delivery["id"], connection=services.redis, serializer=JSONSerializer)
    assert job.description == "webhooks.deliver(event=job.canceled, host=1.1.1.1)"
    assert (job.args[1]["job_id"], job.args[1]["message_id"]) == (job_id, f"msg_{job.id}")
    assert "hunter2" not in str(services.redis.hgetall(job.key)) + str(services.redis.hgetall(Job.key_for(job_id)))
    assert "hunter2" not in str([job.args, job.meta, job.description])


def test_a_webhook_of_a_job_that_has_ended_is_told_at_once(web: FlaskClient, services: Services) -> None:
    """As for a request that got the finished job of an equal one before."""
    job_id = job_client(services).start("test.echo", {"text": "x"}, tenant="local")
    run_jobs(services)
    assert follow(services.redis, "local", job_id, Webhook(PUBLIC, "1.1.1.1"), ttl=60)
    assert len(deliveries(web, job_id)) == 1
    assert follow(services.redis, "local", "no-such-job", Webhook(PUBLIC, "1.1.1.1"), ttl=60) is False


def test_each_request_that_joined_a_job_has_its_webhook_told_up_to_a_limit(
    web: FlaskClient, services: Services
) -> None:
    """The same URL twice is one webhook."""
    job_id = start(web)
    for n in range(MAX_WEBHOOKS - 1):
        follow(services.redis, "local", job_id, Webhook(f"https://1.1.1.1/{n % 9}", "1.1.1.1"), ttl=60)
    follow(services.redis, "local", job_id, Webhook(PUBLIC, "1.1.1.1"), ttl=60)
    with pytest.raises(Exception, match="as many webhooks"):
        follow(services.redis, "local", job_id, Webhook("https://1.1.1.1/more", "1.1.1.1"), ttl=60)
    end(services, job_id, "completed")
    assert len(deliveries(web, job_id)) == MAX_WEBHOOKS


def test_webhooks_are_kept_as_long_as_their_job(web: FlaskClient, services: Services) -> None:
    """Without an end they do not expire; deleting the job deletes them."""
    key = f"offstage:local:webhooks:{(job_id := start(web))}"
    assert services.redis.ttl(key) == -1
    web.post(f"/jobs/{job_id}/cancel")
    assert 0 < services.redis.ttl(key) <= services.config.result_ttl
    assert web.delete(f"/jobs/{job_id}").status_code == 204
    assert not services.redis.exists(key)


def test_redelivery_is_for_ended_jobs_with_webhooks(web: FlaskClient, services: Services) -> None:
    """409 before the end, 404 without a webhook; a delivery under way is left to itself."""
    job_id = start(web)
    assert web.post(f"/jobs/{job_id}/webhooks/redeliver").get_json()["code"] == "wrong_state"
    web.post(f"/jobs/{job_id}/cancel")
    again = web.post(f"/jobs/{job_id}/webhooks/redeliver")
    assert again.status_code == 202
    assert [f"/jobs/{view['id']}" for view in again.get_json()["deliveries"]] == deliveries(web, job_id)
    bare = job_client(services).start("test.echo", {"text": "x"}, tenant="local")
    web.post(f"/jobs/{bare}/cancel")
    assert web.post(f"/jobs/{bare}/webhooks/redeliver").get_json()["code"] == "no_webhook"


def test_each_tenant_sees_its_own_secret(fake_redis: Redis) -> None:
    """Made of the service's, which it does not tell."""
    config = load_config(webhook_secret=SECRET, api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    web = create_app(services=engine_services(fake_redis, config)).test_client()
    secrets: list[Any] = []
    for key in (ACME, OTHER):
        answer = web.get("/webhooks/secret", headers={"Authorization": f"Bearer {key}"})
        assert answer.headers["Cache-Control"] == "no-store"
        secrets += answer.get_json()["secrets"]
    assert len({*map(read_secret, secrets), read_secret(SECRET)}) == 3
    assert web.get("/webhooks/secret").status_code == 401


def test_without_api_keys_the_secret_is_the_setting(web: FlaskClient) -> None:
    """There is one tenant only."""
    assert web.get("/webhooks/secret").get_json() == {"secrets": [SECRET]}
