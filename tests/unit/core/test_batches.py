"""Batches: all or nothing at the start, exact counts, one callback, one cancel."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
from pydantic import BaseModel
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs.core import batches, keys, spec
from jobs.core.batch_intake import CALLBACK, BatchOvertaken, Intake, JobSpec, member_id
from jobs.core.batches import BatchClient, BatchEnded, BatchNotFound
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.enqueue import Options, UnknownDependency
from jobs.core.errors import InvalidArguments, NonRetryableError, RetryableError
from jobs.services import Services
from tests.fakes import engine_services, job_client, make_due, run_jobs

TENANT = "acme"
BATCH = "b" * 32


class Number(BaseModel):
    number: int = 0


class Summary(BaseModel):
    batch_id: str = ""


@pytest.fixture
def ran() -> list[str]:
    """What ran, in order: numbers, and the batches whose callback ran."""
    return []


@pytest.fixture(autouse=True)
def types(ran: list[str]) -> Iterator[None]:
    """Job types that work, fail, fail once, and a callback."""
    before = dict(spec._registry)

    @spec.job("test.work")
    def work(ctx: JobContext, args: Number) -> int:
        ran.append(str(args.number))
        return args.number

    @spec.job("test.fail")
    def fail(ctx: JobContext, args: Number) -> None:
        raise NonRetryableError

    @spec.job("test.again", retries=1)
    def again(ctx: JobContext, args: Number) -> None:
        if ctx.attempt == 1:
            raise RetryableError

    @spec.job("test.sum", queue="low")
    def summarize(ctx: JobContext, args: Summary) -> None:
        ran.append(args.batch_id)

    yield
    spec._registry.clear()
    spec._registry.update(before)


@pytest.fixture
def services(fake_redis: Redis) -> Services:
    return engine_services(fake_redis)


@pytest.fixture
def client(services: Services) -> BatchClient:
    """A client whose scripts take a few jobs each."""
    return BatchClient(services.redis, result_ttl=3600, piece=5)


@pytest.fixture
def jobs(services: Services) -> JobClient:
    return job_client(services)


def work(count: int, first: int = 0) -> list[JobSpec]:
    return [JobSpec("test.work", {"number": number}) for number in range(first, first + count)]


def tend(redis: Redis) -> None:
    """Do what the worker's maintenance does."""
    redis.delete(batches._TENDED)
    batches.tend(redis)


def counts(client: BatchClient, batch_id: str) -> dict[str, int]:
    """The states that any job is in."""
    return {state: number for state, number in client.get(TENANT, batch_id).counts.items() if number}


@pytest.mark.parametrize("count", [1, 7, 8, 9, 17])
def test_a_batch_is_accepted_run_and_counted(
    services: Services, client: BatchClient, ran: list[str], count: int
) -> None:
    """Every job once, in order; then the batch is completed, with its times, and goes after its time."""
    batch_id = client.start(work(count), tenant=TENANT, name="数")
    view = client.get(TENANT, batch_id)
    assert (view.name, view.state, view.total, counts(client, batch_id)) == ("数", "running", count, {"queued": count})
    assert view.started_at is view.ended_at is None
    run_jobs(services)
    view = client.get(TENANT, batch_id)
    assert (view.state, counts(client, batch_id)) == ("completed", {"completed": count})
    assert ran == [str(number) for number in range(count)]
    assert view.started_at
    assert view.ended_at
    assert view.created_at <= view.started_at <= view.ended_at
    key = keys.batch(TENANT, batch_id)
    assert all(0 < services.redis.ttl(each) <= 3600 for each in services.redis.keys(f"{key}*"))
    assert not services.redis.exists("offstage:batches")


def test_jobs_of_many_kinds_are_counted_by_state(services: Services, client: BatchClient, jobs: JobClient) -> None:
    """Each state that a job may be in, its queue and its options; a failed one makes the batch a failed one."""
    parent = jobs.start("test.sum", {}, tenant=TENANT)
    specs = [
        *work(2),
        JobSpec("test.fail", {}),
        JobSpec("test.again", {}),
        JobSpec("test.work", {}, Options(due=4e9)),
        JobSpec("test.work", {}, Options(depends_on=[parent], queue="high")),
        JobSpec("test.work", {}, Options(queue="low")),
    ]
    batch_id = client.start(specs, tenant=TENANT)
    assert counts(client, batch_id) == {"queued": 5, "scheduled": 1, "waiting": 1}
    low = client.jobs(TENANT, batch_id).jobs[6]
    assert (low.queue, low.batch_id) == ("low", batch_id)
    jobs.pause(TENANT, low.id)
    assert counts(client, batch_id)["paused"] == 1
    run_jobs(services)
    expected = {"completed": 3, "failed": 1, "retrying": 1, "scheduled": 1, "paused": 1}
    assert counts(client, batch_id) == expected
    jobs.resume(TENANT, low.id)
    make_due(services)
    run_jobs(services)
    view = client.get(TENANT, batch_id)
    assert (view.state, counts(client, batch_id)) == ("failed", {"completed": 6, "failed": 1})


@pytest.mark.parametrize(
    "wrong", [JobSpec("test.work", {"number": "x"}), JobSpec("test.work", {}, Options(depends_on=["0" * 32]))]
)
def test_one_wrong_job_starts_none(services: Services, client: BatchClient, jobs: JobClient, wrong: JobSpec) -> None:
    """Nothing is left of the others, and the text names the wrong one."""
    with pytest.raises((InvalidArguments, UnknownDependency), match=r"Job 15|0{32}"):
        client.start([*work(15), wrong], tenant=TENANT)
    assert services.redis.keys("*") == []


@pytest.mark.parametrize("script", ["batch_open", "batch_fill", "batch_start"])
@pytest.mark.parametrize("done", [True, False])
def test_a_batch_broken_off_is_sent_again_whole(
    services: Services, client: BatchClient, ran: list[str], script: str, done: bool
) -> None:
    """Redis goes away before or after a step of the first attempt: nothing runs before the last step, and the second
    attempt under the same id gives each job once."""
    with pytest.raises(RedisConnectionError):
        BrokenOff(services.redis, script, done).start(work(12), "", None)
    run_jobs(services)
    started = script == "batch_start" and done
    assert len(ran) == (12 if started else 0)
    assert client.start(work(12), tenant=TENANT, batch_id=BATCH) == BATCH
    run_jobs(services)
    assert sorted(ran, key=int) == [str(number) for number in range(12)]
    assert counts(client, BATCH) == {"completed": 12}


def test_a_batch_that_nobody_sends_again_is_removed(services: Services, client: BatchClient) -> None:
    """After ten minutes; until then it answers as a missing one."""
    with pytest.raises(RedisConnectionError):
        BrokenOff(services.redis, "batch_start", False).start(work(6), "", JobSpec("test.sum", {}))
    with pytest.raises(BatchNotFound):
        client.get(TENANT, BATCH)
    tend(services.redis)
    assert services.redis.exists(keys.batch(TENANT, BATCH))
    services.redis.zincrby("offstage:batches", -601, f"{TENANT}/{BATCH}")
    tend(services.redis)
    assert services.redis.keys("*") == [batches._TENDED.encode()]


def test_of_two_attempts_at_once_the_later_counts(services: Services, client: BatchClient, ran: list[str]) -> None:
    """The earlier one is told so and does no harm."""
    slow = Overtaken(services.redis, lambda: client.start(work(3), tenant=TENANT, batch_id=BATCH))
    with pytest.raises(BatchOvertaken):
        slow.start(work(3), "", None)
    run_jobs(services)
    assert ran == ["0", "1", "2"]


def test_the_callback_starts_once_when_all_have_ended(
    services: Services, client: BatchClient, jobs: JobClient, ran: list[str]
) -> None:
    """However they ended; it waits for the batch visibly, and is given its id."""
    specs = [*work(2), JobSpec("test.fail", {})]
    batch_id = client.start(specs, tenant=TENANT, on_complete=JobSpec("test.sum", {}))
    callback = client.get(TENANT, batch_id).callback_id
    assert callback == member_id(batch_id, CALLBACK)
    waiting = jobs.get(TENANT, callback)
    assert waiting.state == "waiting"
    assert waiting.waits_for
    assert (waiting.waits_for.reason, waiting.waits_for.ids) == ("batch", [batch_id])
    run_jobs(services)
    tend(services.redis)
    for _ in range(2):
        tend(services.redis)
        client.get(TENANT, batch_id)
        run_jobs(services)
    assert ran == ["0", "1", batch_id]
    failed = client.jobs(TENANT, batch_id, state="failed").jobs[0]
    jobs.requeue(TENANT, failed.id)
    view = client.get(TENANT, batch_id)
    assert (view.state, counts(client, batch_id)) == ("running", {"completed": 2, "queued": 1})
    run_jobs(services)
    tend(services.redis)
    assert (client.get(TENANT, batch_id).state, ran.count(batch_id)) == ("failed", 1)


def test_a_callback_with_wrong_arguments_starts_nothing(services: Services, client: BatchClient) -> None:
    """It is checked with the jobs."""
    with pytest.raises(InvalidArguments, match="on_complete"):
        client.start(work(1), tenant=TENANT, on_complete=JobSpec("test.work", {"number": "x"}))
    assert services.redis.keys("*") == []


def test_cancel_ends_what_has_not_ended(
    services: Services, client: BatchClient, jobs: JobClient, ran: list[str]
) -> None:
    """Queued, scheduled and waiting ones, and those that wait for them elsewhere; other jobs keep their places; the
    callback starts. Canceling again changes nothing; what has ended by itself cannot be canceled."""
    first = jobs.start("test.work", {"number": 100}, tenant="other")
    specs = [*work(30), JobSpec("test.work", {}, Options(due=4e9)), JobSpec("test.fail", {}, Options(depends_on=[]))]
    specs[5] = replace(specs[5], type="test.fail")
    batch_id = client.start(specs, tenant=TENANT, on_complete=JobSpec("test.sum", {}))
    last = jobs.start("test.work", {"number": 101}, tenant=TENANT)
    child = jobs.start("test.work", {}, tenant=TENANT, depends_on=[member_id(batch_id, 7)])
    services.redis.lrem("rq:queue:default", 1, member_id(batch_id, 0))
    services.redis.hset(f"rq:job:{member_id(batch_id, 0)}", "status", "finished")
    view = client.cancel(TENANT, batch_id)
    assert (view.state, counts(client, batch_id)) == ("canceled", {"completed": 1, "canceled": 31})
    assert services.redis.lrange("rq:queue:default", 0, -1) == [first.encode(), last.encode()]
    assert services.redis.zcard("rq:scheduled:default") == 0
    assert jobs.get(TENANT, child).state == "canceled"
    assert client.cancel(TENANT, batch_id) == view
    run_jobs(services)
    assert ran == ["100", "101", batch_id]
    done = client.start(work(1), tenant=TENANT)
    run_jobs(services)
    with pytest.raises(BatchEnded):
        client.cancel(TENANT, done)


def test_a_running_job_is_told_of_the_cancel(services: Services, client: BatchClient) -> None:
    """It is counted as running until it has stopped; a word that got lost is said again by the maintenance."""
    batch_id = client.start(work(2), tenant=TENANT)
    services.redis.lpop("rq:queue:default")
    services.redis.hset(f"rq:job:{member_id(batch_id, 0)}", "status", "started")
    view = client.cancel(TENANT, batch_id)
    assert (view.state, counts(client, batch_id)) == ("running", {"running": 1, "canceled": 1})
    state = keys.state(TENANT, member_id(batch_id, 0))
    assert services.redis.hget(state, "cancel") == b"1"
    services.redis.delete(state)
    tend(services.redis)
    assert services.redis.hget(state, "cancel") == b"1"
    services.redis.hset(f"rq:job:{member_id(batch_id, 0)}", "status", "stopped")
    assert client.get(TENANT, batch_id).state == "canceled"


def test_results_come_in_the_order_of_their_ends(services: Services, client: BatchClient) -> None:
    """Page by page; the place after the last page has what came since, each job once."""
    batch_id = client.start([*work(5), JobSpec("test.again", {})], tenant=TENANT)
    run_jobs(services)
    tend(services.redis)
    page = client.jobs(TENANT, batch_id, state="completed", limit=3)
    rest = client.jobs(TENANT, batch_id, state="completed", after=page.next or 0, limit=3)
    assert [job.result for job in page.jobs + rest.jobs] == [0, 1, 2, 3, 4]
    assert rest.next == 5
    make_due(services)
    run_jobs(services)
    tend(services.redis)
    late = client.jobs(TENANT, batch_id, state="completed", after=5)
    assert ([job.type for job in late.jobs], late.next) == (["test.again"], None)


def test_all_jobs_are_listed_in_order_by_state_or_not(client: BatchClient) -> None:
    """In pages."""
    batch_id = client.start([*work(300), JobSpec("test.work", {"number": 300}, Options(due=4e9))], tenant=TENANT)
    ids, after = [], 0
    while True:
        page = client.jobs(TENANT, batch_id, after=after, limit=100)
        ids += [job.id for job in page.jobs]
        if page.next is None:
            break
        after = page.next
    assert ids == [member_id(batch_id, number) for number in range(301)]
    [scheduled] = client.jobs(TENANT, batch_id, state="scheduled").jobs
    assert scheduled.id == ids[-1]


def test_a_deleted_job_counts_as_canceled(services: Services, client: BatchClient, jobs: JobClient) -> None:
    """If it was deleted before its end, by RQ's tools; one deleted after keeps its place in the counts."""
    batch_id = client.start(work(3), tenant=TENANT)
    services.redis.delete(f"rq:job:{member_id(batch_id, 2)}")
    run_jobs(services)
    assert counts(client, batch_id) == {"completed": 2, "canceled": 1}
    jobs.delete(TENANT, member_id(batch_id, 0))
    view = client.get(TENANT, batch_id)
    assert (view.state, counts(client, batch_id)) == ("canceled", {"completed": 2, "canceled": 1})


def test_another_tenants_batch_is_a_missing_one(client: BatchClient) -> None:
    """For every question."""
    batch_id = client.start(work(1), tenant="other")
    for ask in (client.get, client.jobs, client.cancel):
        for wrong in (batch_id, BATCH, "*", ""):
            with pytest.raises(BatchNotFound):
                ask(TENANT, wrong)


class BrokenOff(Intake):
    """An attempt whose Redis goes away at one of its steps, before or after that is done."""

    def __init__(self, redis: Redis, script: str, done: bool) -> None:
        super().__init__(redis, TENANT, BATCH, 3600, 5)
        self.script, self.done = script, done

    def _call(self, name: str, *args: object) -> object:
        reply = super()._call(name, *args) if name != self.script or self.done else None
        if name == self.script:
            raise RedisConnectionError
        return reply


class Overtaken(Intake):
    """An attempt that is overtaken before its last step."""

    def __init__(self, redis: Redis, overtake: object) -> None:
        super().__init__(redis, TENANT, BATCH, 3600, 5)
        self.overtake = overtake

    def _call(self, name: str, *args: object) -> object:
        if name == "batch_start":
            partial(self.overtake)()  # type: ignore[arg-type]
        return super()._call(name, *args)
