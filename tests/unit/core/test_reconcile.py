"""The reconciler: what nobody holds is started again, what only waits is left alone."""

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel
from redis import Redis

from jobs.core import keys, spec
from jobs.core.batch_intake import Intake, JobSpec
from jobs.core.batches import BatchClient
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.reconcile import Reconciled, reconcile
from jobs.maintenance import Nothing, reconcile_work
from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.work_rows import COMPLETED
from tests.fakes import engine_services, job_client, make_due, run_jobs

TENANT = "acme"
WAITING = 600


class Number(BaseModel):
    number: int = 0


@pytest.fixture
def services(fake_redis: Redis, sqlite_database: Database) -> Services:
    return engine_services(fake_redis, database=sqlite_database)


@pytest.fixture
def client(services: Services) -> JobClient:
    return job_client(services)


@pytest.fixture(autouse=True)
def ran(registry: None) -> list[int]:
    """The numbers of the jobs that ran."""
    numbers: list[int] = []

    @spec.job("test.count")
    def count(ctx: JobContext, args: Number) -> int:
        numbers.append(args.number)
        return args.number

    return numbers


def start(client: JobClient, number: int = 0, **options: object) -> str:
    return client.start("test.count", Number(number=number), tenant=TENANT, **options)  # type: ignore[arg-type]


def look(services: Services) -> Reconciled:
    return reconcile(services.redis, services.work, young=0)


def status(redis: Redis, job_id: str) -> bytes:
    return redis.hget(f"rq:job:{job_id}", "status")  # type: ignore[return-value]


def test_jobs_that_wait_are_never_multiplied(services: Services, client: JobClient, ran: list[int]) -> None:
    """Hundreds of them, looked at again and again: age is no sign."""
    for number in range(WAITING):
        start(client, number)
    for _ in range(5):
        assert look(services) == Reconciled()
    assert services.redis.llen("rq:queue:default") == WAITING
    run_jobs(services)
    assert sorted(ran) == list(range(WAITING))
    assert look(services) == Reconciled()


def test_whatever_keeps_a_job_waiting_is_respected(services: Services, client: JobClient, ran: list[int]) -> None:
    """Its time, other jobs, a pause, and a worker that runs it."""
    parent = start(client, 1, due=datetime.now(UTC).timestamp() + 3600)
    child, paused, running = start(client, 2, depends_on=[parent]), start(client, 3), start(client, 4)
    client.pause(TENANT, paused)
    services.redis.lrem("rq:queue:default", 0, running)
    services.redis.hset(f"rq:job:{running}", "status", "started")
    services.redis.zadd("rq:wip:default", {f"{running}:execution": 2**40})
    assert look(services) == Reconciled()
    assert [status(services.redis, job_id) for job_id in (parent, child, paused)] == [
        b"scheduled",
        b"deferred",
        b"deferred",
    ]
    make_due(services)
    client.resume(TENANT, paused)
    run_jobs(services)
    assert sorted(ran) == [1, 2, 3]


def test_what_a_wiped_redis_held_is_started_again_once(services: Services, client: JobClient, ran: list[int]) -> None:
    """With its time and with what it waits for."""
    later = datetime.now(UTC).timestamp() + 3600
    parent, now = start(client, 1, due=later), start(client, 2)
    child = start(client, 3, depends_on=[parent])
    services.redis.flushall()
    assert look(services).restored == 3
    assert look(services) == Reconciled()
    assert status(services.redis, child) == b"deferred"
    run_jobs(services)
    assert ran == [2]
    make_due(services)
    run_jobs(services)
    assert ran == [2, 1, 3]
    assert client.get(TENANT, now).state == "completed"
    assert services.redis.zscore(keys.jobs(TENANT), now) is not None


@pytest.mark.parametrize("held", ["queued", "started", "scheduled", "deferred"])
def test_a_job_that_stands_nowhere_is_put_back(
    services: Services, client: JobClient, ran: list[int], held: str
) -> None:
    """Its hash says that it waits or runs, and no list, registry or worker has it."""
    job_id = start(client, 7)
    services.redis.lrem("rq:queue:default", 0, job_id)
    services.redis.hset(f"rq:job:{job_id}", "status", held)
    assert look(services).put_back == 1
    assert look(services) == Reconciled()
    run_jobs(services)
    assert ran == [7]


@pytest.mark.parametrize("broken", ["torn", "foreign", "text"])
def test_a_hash_that_cannot_be_read_is_replaced(
    services: Services, client: JobClient, ran: list[int], broken: str
) -> None:
    """The row has what it takes to start the job."""
    job_id = start(client, 7)
    key = f"rq:job:{job_id}"
    if broken == "torn":
        services.redis.hdel(key, "meta", "status")
    elif broken == "foreign":
        services.redis.hset(key, "meta", '{"tenant": "other"}')
    else:
        services.redis.delete(key)
        services.redis.set(key, "x")
    assert look(services).replaced == 1
    run_jobs(services)
    assert (ran, client.get(TENANT, job_id).state) == ([7], "completed")


@pytest.mark.parametrize("state", ["finished", "canceled"])
def test_an_end_that_others_made_is_recorded(services: Services, client: JobClient, state: str) -> None:
    """As RQ's own tools and dashboards do."""
    job_id = start(client)
    services.redis.lrem("rq:queue:default", 0, job_id)
    services.redis.hset(f"rq:job:{job_id}", "status", state)
    assert look(services).ended == 1
    work = services.work.get(TENANT, job_id)
    assert work is not None
    assert work.state == (COMPLETED if state == "finished" else state)
    assert look(services) == Reconciled()


def test_work_that_has_just_been_accepted_is_left_to_whoever_accepted_it(services: Services, client: JobClient) -> None:
    """It may not be on its queue yet."""
    start(client)
    services.redis.flushall()
    assert reconcile(services.redis, services.work, young=60) == Reconciled()


class Cut(Intake):
    """An attempt whose process dies before the step that starts the batch."""

    def _call(self, name: str, *args: object) -> object:
        if name == "batch_start":
            raise SystemExit
        return super()._call(name, *args)


def test_a_batch_that_was_cut_off_is_started_as_a_whole(services: Services, ran: list[int]) -> None:
    """Its jobs' hashes are there and on no queue: none of them is started by itself."""
    batch_id = "b" * 32
    cut = Cut(services.redis, TENANT, batch_id, 60, 2, services.work)
    with pytest.raises(SystemExit):
        cut.start([JobSpec("test.count", Number(number=number)) for number in range(5)], "", None)
    assert look(services) == Reconciled(batches=1)
    assert look(services) == Reconciled()
    run_jobs(services)
    view = BatchClient(services.redis, result_ttl=60, work=services.work).get(TENANT, batch_id)
    assert (view.state, sorted(ran)) == ("completed", list(range(5)))


class Rebuilt(Intake):
    """A slow attempt: the reconciler starts the batch before it comes to that."""

    def __init__(self, services: Services, batch_id: str) -> None:
        super().__init__(services.redis, TENANT, batch_id, 60, 2, services.work)
        self._services = services

    def _call(self, name: str, *args: object) -> object:
        if name == "batch_start":
            look(self._services)
        return super()._call(name, *args)


def test_a_batch_that_the_reconciler_started_meanwhile_is_accepted(services: Services, ran: list[int]) -> None:
    """It is committed: whoever sent it hears of no conflict, and each job runs once."""
    specs = [JobSpec("test.count", Number(number=number)) for number in range(5)]
    Rebuilt(services, "b" * 32).start(specs, "", None)
    run_jobs(services)
    assert sorted(ran) == list(range(5))


def test_one_round_at_a_time(services: Services, client: JobClient) -> None:
    """A second one leaves the work to the first, whose lock it finds."""
    context = JobContext(job_id="j", tenant="upkeep", attempt=1, services=services, client=client)
    with services.redis.lock("offstage:reconcile", timeout=30):
        assert reconcile_work(context, Nothing()) == {}
    assert reconcile_work(context, Nothing())["restored"] == 0
    assert not services.redis.exists("offstage:reconcile")
