"""Webhooks of accepted work outlive Redis: each end is told, and told once."""

import json
from collections.abc import Iterator

import pytest
from fakeredis import FakeRedis, FakeServer
from pydantic import BaseModel

from config import load_config
from jobs import webhooks
from jobs.core import spec
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import NonRetryableError
from jobs.core.reconcile import reconcile
from jobs.core.webhooks import MAX_WEBHOOKS, TooManyWebhooks, Webhook
from jobs.domain.signatures import write_secret
from jobs.services import Services
from jobs.stores.database import Database
from tests.fakes import engine_services, job_client, run_jobs
from tests.receiver import Receiver, receiver

TENANT = "local"
SECRET = write_secret(bytes(range(32)))


class Word(BaseModel):
    word: str = "x"
    fail: bool = False


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as running:
        yield running


@pytest.fixture
def server() -> FakeServer:
    """A Redis whose plug can be pulled: `connected`."""
    return FakeServer(server_type="redis", version=(7, 0))


@pytest.fixture
def services(server: FakeServer, sqlite_database: Database) -> Iterator[Services]:
    config = load_config(webhook_secret=SECRET, webhook_allow_private=True, webhook_timeout=0.3)
    with FakeRedis(server=server) as redis:
        yield engine_services(redis, config, sqlite_database)


@pytest.fixture
def client(services: Services) -> JobClient:
    return job_client(services)


@pytest.fixture(autouse=True)
def kind(registry: None) -> None:
    """Declare `test.say`, which equal requests join."""
    assert webhooks.deliver

    @spec.job("test.say", queue="high", reuse=60)
    def say(ctx: JobContext, args: Word) -> str:
        if args.fail:
            raise NonRetryableError("Asked to fail.")
        return args.word


def start(services: Services, client: JobClient, url: str, *, fail: bool = False) -> str:
    webhook = webhooks.check(services.config, url)
    return client.start("test.say", Word(fail=fail), tenant=TENANT, webhook=webhook)


def rounds(services: Services) -> int:
    """Let the reconciler look, and run what there is; return how many deliveries it started."""
    told = reconcile(services.redis, services.work, young=0).told
    run_jobs(services)
    return told


def told(hook: Receiver) -> list[tuple[str, str]]:
    """Return which ends the receiver was told of, as type and job."""
    bodies = (json.loads(request.body) for request in hook.requests)
    return [(body["type"], body["data"]["id"]) for body in bodies]


def test_an_end_whose_delivery_redis_lost_is_told(services: Services, client: JobClient, hook: Receiver) -> None:
    """With the result, which the row has; after that nobody looks again."""
    job_id = start(services, client, hook.url)
    run_jobs(services)
    services.redis.flushall()
    assert [rounds(services) for _ in range(3)] == [1, 0, 0]
    assert told(hook) == [("job.completed", job_id)]
    assert json.loads(hook.requests[0].body)["data"]["result"] == "x"
    services.redis.flushall()
    assert rounds(services) == 0


def test_an_end_that_was_told_just_before_a_wipe_is_not_told_again(
    services: Services, client: JobClient, hook: Receiver
) -> None:
    """The ledger knows, though nobody has noted it in the row."""
    job_id = start(services, client, hook.url)
    run_jobs(services)
    rounds(services)
    services.redis.flushall()
    assert rounds(services) == 1
    assert told(hook) == [("job.completed", job_id)]


def test_a_delivery_that_is_under_way_is_left_alone(services: Services, client: JobClient, hook: Receiver) -> None:
    """It waits for its next attempt."""
    hook.answers = [503]
    start(services, client, hook.url)
    run_jobs(services)
    assert [rounds(services) for _ in range(3)] == [1, 0, 0]
    assert len(hook.requests) == 1


def test_each_end_is_told_when_a_job_is_started_again(services: Services, client: JobClient, hook: Receiver) -> None:
    """A generation has an end of its own."""
    job_id = start(services, client, hook.url, fail=True)
    run_jobs(services)
    assert [rounds(services), rounds(services)] == [1, 0]
    services.redis.flushall()
    client.requeue(TENANT, job_id)
    run_jobs(services)
    assert rounds(services) == 1
    assert told(hook) == [("job.failed", job_id)] * 2


def test_the_webhook_of_a_request_that_joined_is_kept_too(
    services: Services, client: JobClient, server: FakeServer, hook: Receiver
) -> None:
    """With Redis away as well: nobody who was answered 202 is forgotten."""
    with receiver() as second:
        first = start(services, client, hook.url)
        server.connected = False
        assert start(services, client, second.url) == first
        server.connected = True
        run_jobs(services)
        services.redis.flushall()
        rounds(services)
        assert (told(hook), told(second)) == ([("job.completed", first)], [("job.completed", first)])


def test_a_job_has_so_many_webhooks_and_no_more(services: Services, client: JobClient, server: FakeServer) -> None:
    """The same one again is none more."""
    server.connected = False

    def ask(number: int) -> str:
        url = f"https://example.com/{number}"
        return client.start("test.say", Word(), tenant=TENANT, webhook=Webhook(url, "example.com"))

    assert len({ask(number) for number in [*range(MAX_WEBHOOKS), 0]}) == 1
    with pytest.raises(TooManyWebhooks):
        ask(MAX_WEBHOOKS)
