"""Deliveries: what is sent, when it is sent again, and when it is given up."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pydantic import BaseModel
from redis import Redis
from standardwebhooks import WebhookVerificationError

from config import load_config
from jobs import webhooks
from jobs.core import spec
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.sweep import sweep
from jobs.core.view import JobView
from jobs.core.webhooks import follow
from jobs.domain.signatures import write_secret
from jobs.services import Services
from jobs.stores.database import Database
from tests.fakes import engine_services, job_client, make_due, run_jobs
from tests.receiver import Receiver, receiver

TENANT = "local"
SECRET = write_secret(bytes(range(32)))


class LengthArgs(BaseModel):
    length: int = 3


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def services(fake_redis: Redis, sqlite_database: Database) -> Services:
    config = load_config(webhook_secret=SECRET, webhook_allow_private=True, webhook_timeout=1.0)
    return engine_services(fake_redis, config, sqlite_database)


@pytest.fixture
def client(services: Services) -> JobClient:
    return job_client(services)


@pytest.fixture(autouse=True)
def kind() -> Iterator[None]:
    """Declare `test.long`, whose result is as long as it is told to."""

    @spec.job("test.long", queue="high")
    def long(ctx: JobContext, args: LengthArgs) -> str:
        return "好" * args.length

    yield
    del spec._registry["test.long"]


@pytest.fixture
def deliver(services: Services, client: JobClient, hook: Receiver) -> Any:
    """Run a job to its end, have it told, and return the delivery after its first attempt."""

    def run(**args: Any) -> JobView:
        job_id = client.start("test.long", args, tenant=TENANT)
        run_jobs(services)
        webhook = webhooks.check(services.config, hook.url)
        assert webhook
        assert follow(services.redis, TENANT, job_id, webhook, ttl=3600)
        run_jobs(services)
        return delivery_of(client, job_id)

    return run


def delivery_of(client: JobClient, job_id: str) -> JobView:
    return client.get(TENANT, client.get(TENANT, job_id).webhooks[0].deliveries[-1])


def job_of(hook: Receiver) -> str:
    return str(json.loads(hook.requests[0].body)["data"]["id"])


def test_a_message_is_the_job_signed(deliver: Any, hook: Receiver, client: JobClient) -> None:
    """The library of the specification verifies it; the data is what `GET /jobs/{id}` shows."""
    assert deliver().result == {"status": 204, "superseded": False}
    (request,) = hook.requests
    message = request.verified(SECRET)
    view = client.get(TENANT, message["data"]["id"]).model_dump(mode="json", exclude={"webhooks"})
    assert (message["type"], message["data"]) == ("job.completed", view)
    assert (message["data"]["result"], request.path) == ("好好好", "/hook?token=hunter2")
    assert request.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        request.verified(write_secret(bytes(32)))


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (500, "webhook_failed"),
        (503, "webhook_failed"),
        (408, "webhook_failed"),
        (409, "webhook_failed"),
        (425, "webhook_failed"),
        (429, "webhook_failed"),
        ("hang", "provider_timeout"),
        ("drop", "provider_nonsense"),
    ],
)
def test_what_can_get_better_is_tried_again_with_the_same_id(
    deliver: Any, hook: Receiver, client: JobClient, services: Services, answer: Any, code: str
) -> None:
    """Signed anew; the second attempt is taken."""
    hook.answers = [answer]
    waiting = deliver()
    assert (waiting.state, waiting.attempts[0].code) == ("retrying", code)
    assert "hunter2" not in waiting.model_dump_json()
    make_due(services)
    run_jobs(services)
    done = client.get(TENANT, waiting.id)
    assert (done.state, done.result["status"]) == ("completed", 204)
    first, second = hook.requests
    assert first.id == second.id
    assert first.body == second.body
    second.verified(SECRET)


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422, (301, {"Location": "http://127.0.0.1/"})])
def test_what_will_not_get_better_is_given_up(deliver: Any, hook: Receiver, status: Any) -> None:
    """410 Gone, other refusals, and redirects, which are not followed."""
    hook.answers = [status]
    failed = deliver()
    assert (failed.state, failed.error.code, len(hook.requests)) == ("failed", "webhook_rejected", 1)


def test_the_wait_that_the_receiver_asked_for_is_kept(deliver: Any, hook: Receiver) -> None:
    """`Retry-After` takes the place of the backoff."""
    hook.answers = [(429, {"Retry-After": "1234"})]
    waiting = deliver()
    wait = (waiting.next_attempt_at - waiting.attempts[0].ended_at).total_seconds()
    assert 1230 < wait < 1240


def test_twelve_attempts_go_over_hours(deliver: Any, hook: Receiver, client: JobClient, services: Services) -> None:
    """The waits double from 5 seconds to an hour; then the delivery has failed, and can be requeued."""
    hook.answers = [500] * 12
    view, waits = deliver(), []
    while view.state == "retrying":
        waits.append((view.next_attempt_at - view.attempts[-1].ended_at).total_seconds())
        make_due(services)
        run_jobs(services)
        view = client.get(TENANT, view.id)
    assert (view.state, len(view.attempts), len(waits)) == ("failed", 12, 11)
    assert all(5 * 2**n - 2 <= min(wait, 3600) <= 5 * 2**n * 1.25 + 2 for n, wait in enumerate(waits[:9]))
    assert 2 * 3600 < sum(waits) < 5 * 3600
    client.requeue(TENANT, view.id)
    run_jobs(services)
    assert client.get(TENANT, view.id).state == "completed"
    assert len({request.id for request in hook.requests}) == 1


def test_a_message_is_sent_again_on_demand_with_the_same_id(
    deliver: Any, hook: Receiver, client: JobClient, services: Services
) -> None:
    """After a delivered one a new job; a failed one goes again itself; both are seen at the job."""
    first = deliver()
    job_id = job_of(hook)
    hook.answers = [410]
    (second,) = webhooks.redeliver(services, client, TENANT, job_id)
    run_jobs(services)
    assert client.get(TENANT, second.id).state == "failed"
    (third,) = webhooks.redeliver(services, client, TENANT, job_id)
    run_jobs(services)
    assert (third.id, client.get(TENANT, third.id).state) == (second.id, "completed")
    assert client.get(TENANT, job_id).webhooks[0].deliveries == [first.id, second.id]
    assert len({request.id for request in hook.requests}) == 1
    assert len(hook.requests) == 3


def test_a_long_result_is_left_out(deliver: Any, hook: Receiver) -> None:
    """The message says so; the job has it."""
    deliver(length=200_000)
    data = hook.requests[0].verified(SECRET)["data"]
    assert (data["result"], data["result_left_out"], data["state"]) == (None, True, "completed")
    assert len(hook.requests[0].body) < 2000


def test_a_deleted_job_is_not_told_of(deliver: Any, hook: Receiver, client: JobClient, services: Services) -> None:
    """Its owner asked for it to be forgotten."""
    hook.answers = [503]
    delivery = deliver()
    client.delete(TENANT, job_of(hook))
    make_due(services)
    run_jobs(services)
    assert client.get(TENANT, delivery.id).error.code == "webhook_rejected"  # type: ignore[union-attr]
    assert len(hook.requests) == 1


def test_a_job_that_is_kept_for_less_than_its_delivery_takes_is_told_of(
    deliver: Any, hook: Receiver, services: Services
) -> None:
    """Its id and how it ended; the upkeep does not take the address away."""
    hook.answers = [503]
    deliver()
    job_id = job_of(hook)
    services.redis.delete(f"rq:job:{job_id}")
    services.work.delete(TENANT, job_id)
    sweep(services.redis, time.time())
    make_due(services)
    run_jobs(services)
    message = hook.requests[1].verified(SECRET)
    assert (message["type"], message["data"]) == ("job.completed", {"id": job_id, "state": "completed"})


def test_an_end_that_a_new_start_has_overtaken_is_not_told(
    deliver: Any, hook: Receiver, client: JobClient, services: Services
) -> None:
    """The job's next end is told by a delivery of its own."""
    hook.answers = [503]
    delivery = deliver()
    services.redis.hset(f"rq:job:{job_of(hook)}", "status", "queued")
    make_due(services)
    run_jobs(services)
    assert client.get(TENANT, delivery.id).result == {"status": None, "superseded": True}
    assert len(hook.requests) == 1


def test_an_address_that_may_not_be_called_any_more_is_not_called(
    deliver: Any, hook: Receiver, client: JobClient, services: Services
) -> None:
    """The rules hold at every attempt, not only at the request."""
    hook.answers = [503]
    delivery = deliver()
    strict = replace(services, config=services.config.model_copy(update={"webhook_allow_private": False}))
    make_due(services)
    run_jobs(strict)
    failed = client.get(TENANT, delivery.id)
    assert (failed.state, failed.error.code) == ("failed", "url_not_allowed")  # type: ignore[union-attr]
    assert len(hook.requests) == 1
