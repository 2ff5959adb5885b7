"""However a job ends in a real worker, each of its webhooks has one delivery started, and no crash loses it."""

import random
from collections.abc import Callable

import pytest
from redis import Redis

from jobs.core.client import JobClient
from jobs.core.schedule import Scheduler
from jobs.core.view import JobView
from jobs.core.webhooks import Webhook, follow
from tests.integration.worker import kinds
from tests.integration.worker.fleet import Fleet, eventually
from tests.integration.worker.test_engine_jobs import TENANT, ended

assert kinds
QUEUES = ["high", "default"]  # and not `low`, where the deliveries wait to be counted
HOOK = Webhook("http://127.0.0.1:9/hook", "127.0.0.1:9")
Start = Callable[..., str]


@pytest.fixture
def client(redis: Redis) -> JobClient:
    return JobClient(redis, result_ttl=3600)


@pytest.fixture
def start(redis: Redis, client: JobClient) -> Start:
    """Start a job with a webhook."""

    def run(name: str) -> str:
        job_id = client.start(name, {}, tenant=TENANT)
        follow(redis, TENANT, job_id, HOOK, ttl=3600)
        return job_id

    return run


def delivery(redis: Redis, client: JobClient, view: JobView) -> JobView:
    """Return the one delivery of an ended job, which waits on `low`."""
    ((started,),) = [webhook.deliveries for webhook in client.get(TENANT, view.id).webhooks]
    assert redis.lrange("rq:queue:low", 0, -1).count(started.encode()) == 1
    return client.get(TENANT, started)


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("probe.noop", "completed"),
        ("probe.apart", "completed"),
        ("probe.misused", "failed"),
        ("probe.broken", "failed"),
        ("probe.deadly", "failed"),
        ("probe.endless", "failed"),
    ],
)
def test_every_end_starts_the_delivery(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start, name: str, state: str
) -> None:
    """A plain job on the quick path, an isolated one, failures, the last attempt, a dead worker, a timeout."""
    job_id = start(name)
    fleet.start(QUEUES, types=True)
    view = ended(redis, client, job_id)
    assert view.state == state
    assert delivery(redis, client, view).queue == "low"


def test_a_running_job_that_is_canceled_is_told_of(redis: Redis, fleet: Fleet, client: JobClient, start: Start) -> None:
    """Stopped at a checkpoint, or by the worker."""
    job_id = start("probe.stepwise")
    fleet.start(QUEUES, types=True)
    eventually(lambda: client.get(TENANT, job_id).state == "running")
    client.cancel(TENANT, job_id)
    view = ended(redis, client, job_id)
    assert view.state == "canceled"
    delivery(redis, client, view)


def test_a_webhook_that_joins_a_running_job_is_told_of(redis: Redis, fleet: Fleet, client: JobClient) -> None:
    """The worker had taken the job before it had any."""
    job_id = client.start("probe.stepwise", {}, tenant=TENANT)
    fleet.start(QUEUES, types=True)
    eventually(lambda: client.get(TENANT, job_id).state == "running")
    follow(redis, TENANT, job_id, HOOK, ttl=3600)
    delivery(redis, client, ended(redis, client, job_id))


def test_kills_lose_no_delivery_and_start_none_twice(
    redis: Redis, fleet: Fleet, client: JobClient, start: Start
) -> None:
    """Horses and workers killed at random while 300 jobs end: one delivery each."""
    ids = [start("probe.noop") for _ in range(300)]
    dice, killed_at = random.Random(4), 0

    scheduler = Scheduler(redis)

    def all_ended() -> bool:
        nonlocal killed_at
        scheduler.promote()
        fleet.replace_dead(QUEUES, 2, types=True, set={"dead_after": 1.0})
        done = int(redis.llen("rq:queue:low"))
        if done - killed_at >= dice.randint(5, 40):
            victim, killed_at = dice.choice(fleet.workers), done
            victim.kill_horse() if dice.random() < 0.7 else victim.kill_both()
        return done >= len(ids)

    eventually(all_ended, 60, what="all ended")
    assert killed_at
    for job_id in ids:
        delivery(redis, client, client.get(TENANT, job_id))
    assert redis.llen("rq:queue:low") == len(ids)
