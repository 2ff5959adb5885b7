"""Accepted work that Redis has lost, or never had: what may still be asked of it."""

from collections.abc import Iterator
from functools import partial

import pytest
from fakeredis import FakeRedis, FakeServer
from pydantic import BaseModel
from redis import Redis

from jobs.core import keys, spec
from jobs.core.batch_intake import JobSpec
from jobs.core.batches import BatchClient
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.enqueue import UnknownDependency
from jobs.core.errors import NonRetryableError
from jobs.core.reconcile import reconcile
from jobs.core.runner import run_failure_hook
from jobs.core.spec import CANCELED
from jobs.core.view import JobNotFound
from jobs.core.webhooks import Webhook
from jobs.core.worker_parts.outage import Absence
from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.work_rows import COMPLETED, FAILED, OPEN
from tests.fakes import engine_services, job_client, run_jobs

TENANT = "acme"
HOOK = Webhook("https://example.com/hook", "example.com")


class Word(BaseModel):
    word: str = ""


@pytest.fixture
def server() -> FakeServer:
    """A Redis whose plug can be pulled: `connected`."""
    return FakeServer(server_type="redis", version=(7, 0))


@pytest.fixture
def services(server: FakeServer, sqlite_database: Database) -> Iterator[Services]:
    """The engine with a database."""
    with FakeRedis(server=server) as redis:
        yield engine_services(redis, database=sqlite_database)


@pytest.fixture
def client(services: Services) -> JobClient:
    return job_client(services)


@pytest.fixture
def redis(services: Services) -> Redis:
    return services.redis


@pytest.fixture
def ran(registry: None) -> list[str]:
    """The words of the jobs that ran, in order."""
    words: list[str] = []

    @spec.job("test.say")
    def say(ctx: JobContext, args: Word) -> str:
        words.append(args.word)
        return args.word

    @spec.job("test.reuse", reuse=60)
    def reuse(ctx: JobContext, args: Word) -> str:
        return args.word

    @spec.job("test.fail")
    def fail(ctx: JobContext, args: Word) -> None:
        words.append(args.word)
        raise NonRetryableError("No.")

    @spec.job("test.parent")
    def parent(ctx: JobContext, args: Word) -> str:
        return ctx.start("test.say", Word(word="child"))

    return words


def say(client: JobClient, word: str = "", **options: object) -> str:
    return client.start("test.say", Word(word=word), tenant=TENANT, **options)  # type: ignore[arg-type]


def state(services: Services, job_id: str) -> str:
    work = services.work.get(TENANT, job_id)
    assert work is not None
    return work.state


def restored(services: Services) -> None:
    """Let the reconciler look, and run what there is."""
    reconcile(services.redis, services.work, young=0)
    run_jobs(services)


@pytest.mark.usefixtures("ran")
def test_without_redis_a_job_is_accepted_seen_and_done_later(
    services: Services, client: JobClient, server: FakeServer
) -> None:
    """Its row has all that it takes."""
    server.connected = False
    job_id = say(client, "x")
    view = client.get(TENANT, job_id)
    assert (view.state, view.type) == ("queued", "test.say")
    with pytest.raises(JobNotFound):
        client.get("other", job_id)
    server.connected = True
    restored(services)
    assert (client.get(TENANT, job_id).result, state(services, job_id)) == ("x", COMPLETED)


def test_a_failed_job_runs_again_when_it_is_requeued(services: Services, client: JobClient, ran: list[str]) -> None:
    """Also when Redis has forgotten it."""
    job_id = client.start("test.fail", Word(word="bad"), tenant=TENANT)
    run_jobs(services)
    client.requeue(TENANT, job_id)
    run_jobs(services)
    services.redis.flushall()
    client.requeue(TENANT, job_id)
    run_jobs(services)
    assert (ran, state(services, job_id)) == (["bad"] * 3, FAILED)


@pytest.mark.usefixtures("ran")
def test_a_canceled_job_is_canceled_in_its_row(services: Services) -> None:
    """One that waited, and one that Redis had lost: neither comes back."""
    tell = partial(run_failure_hook, failure=CANCELED, services=services)
    client = JobClient(services.redis, result_ttl=60, on_canceled=tell, work=services.work)
    waiting, lost = say(client), say(client)
    services.redis.delete(f"rq:job:{lost}")
    for job_id in (waiting, lost):
        client.cancel(TENANT, job_id)
    run_jobs(services)
    services.redis.flushall()
    reconcile(services.redis, services.work, young=0)
    assert client.get(TENANT, lost).state == "canceled"
    assert client.get(TENANT, waiting).state == "canceled"


@pytest.mark.usefixtures("ran")
def test_a_job_may_depend_on_one_that_redis_has_lost(services: Services, client: JobClient) -> None:
    """What was acknowledged is known: an open one comes back first, a completed one counts as that."""
    done, waiting = say(client, "done"), ""
    run_jobs(services)
    services.redis.flushall()
    waiting = say(client, "waiting")
    services.redis.flushall()
    after_done, after_waiting = say(client, depends_on=[done]), say(client, depends_on=[waiting])
    run_jobs(services)
    assert client.get(TENANT, after_done).state == "completed"
    assert client.get(TENANT, after_waiting).state == "queued"
    restored(services)
    assert client.get(TENANT, after_waiting).state == "completed"


@pytest.mark.parametrize("connected", [True, False])
@pytest.mark.usefixtures("ran")
def test_a_job_that_depends_on_nothing_known_is_not_accepted(
    services: Services, client: JobClient, server: FakeServer, *, connected: bool
) -> None:
    """And leaves no row."""
    server.connected = connected
    with pytest.raises(UnknownDependency):
        say(client, job_id="child", depends_on=["nobody"], webhook=HOOK)
    assert services.work.get(TENANT, "child") is None


@pytest.mark.usefixtures("ran")
def test_the_webhook_is_part_of_what_is_accepted(services: Services, client: JobClient, server: FakeServer) -> None:
    """With Redis away, and when Redis was wiped: it is there before the job can end."""
    server.connected = False
    job_id = say(client, webhook=HOOK)
    server.connected = True
    for _ in range(2):
        reconcile(services.redis, services.work, young=0)
        assert services.redis.hexists(keys.webhooks(TENANT, job_id), f"hook:{HOOK.id}")
        services.redis.flushall()


@pytest.mark.usefixtures("ran")
def test_a_webhook_of_a_request_that_joins_lost_work_brings_that_back(services: Services, client: JobClient) -> None:
    """Or it would be told to nobody."""
    first = client.start("test.reuse", Word(word="same"), tenant=TENANT)
    services.redis.flushall()
    assert client.start("test.reuse", Word(word="same"), tenant=TENANT, webhook=HOOK) == first
    assert services.redis.hexists(keys.webhooks(TENANT, first), f"hook:{HOOK.id}")


@pytest.mark.usefixtures("ran")
def test_deleted_work_does_not_come_back(services: Services, client: JobClient) -> None:
    """Its row goes first."""
    job_id = say(client)
    run_jobs(services)
    client.delete(TENANT, job_id)
    restored(services)
    with pytest.raises(JobNotFound):
        client.get(TENANT, job_id)
    assert OPEN not in {work.state for work in services.work.known(TENANT, [job_id]).values()}


@pytest.mark.usefixtures("ran")
def test_a_canceled_batch_is_canceled_in_its_rows_at_once(services: Services, ran: list[str]) -> None:
    """A wipe right after brings none of it back; its callback runs all the same."""
    batches = BatchClient(services.redis, result_ttl=60, work=services.work)
    specs = [JobSpec("test.say", {"word": str(number)}) for number in range(5)]
    batch_id = batches.start(specs, tenant=TENANT, on_complete=JobSpec("test.say", {"word": "callback"}))
    batches.cancel(TENANT, batch_id)
    assert not services.redis.exists("offstage:untold")
    services.redis.flushall()
    for _ in range(2):
        restored(services)
        batches.get(TENANT, batch_id)  # it sees that the last one has ended
    members = [work.state for work in services.work.of_batch(batch_id)][:5]
    assert (ran, members) == (["callback"], ["canceled"] * 5)


@pytest.mark.usefixtures("ran")
def test_a_job_canceled_with_the_one_that_it_depends_on_stays_so(services: Services, client: JobClient) -> None:
    """Its row follows with the next round of the reconciler, or by what it depends on after a wipe."""
    parent = say(client)
    children = [say(client, depends_on=[parent]) for _ in range(2)]
    client.cancel(TENANT, parent)
    reconcile(services.redis, services.work, young=0)
    assert {state(services, job_id) for job_id in (parent, *children)} == {"canceled"}


def test_that_redis_is_away_is_remembered_for_a_second() -> None:
    """After that it is asked again."""
    now = [5.0]
    absence = Absence(lambda: now[0])
    assert not absence
    absence.note()
    now[0] += 0.9
    assert absence
    now[0] += 0.2
    assert not absence
