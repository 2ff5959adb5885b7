"""Accepted means done: what a client was told outlives Redis, and nothing that only waits is started twice."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from jobs.core import spec
from jobs.core.batch_intake import JobSpec
from jobs.core.batches import BatchClient
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.enqueue import UnknownDependency
from jobs.core.errors import EffectUnknown, NonRetryableError
from jobs.core.reconcile import reconcile
from jobs.core.webhooks import Webhook
from jobs.services import Services
from jobs.stores.database import Database
from tests.fakes import engine_services, job_client, run_jobs

runs: list[str] = []


class Args(BaseModel):
    text: str = "x"
    fail: bool = False


@pytest.fixture(autouse=True)
def job_types() -> Iterator[None]:
    """Declare `test.work`, which notes that it has run."""
    runs.clear()

    @spec.job("test.work", public=True, reuse=3600)
    def work(ctx: JobContext, args: Args) -> str:
        runs.append(args.text)
        if args.fail:
            raise NonRetryableError("Asked to fail.")
        return args.text

    @spec.job("test.parent", public=True)
    def parent(ctx: JobContext, args: Args) -> str:
        return ctx.start("test.work", Args(text=f"child of {args.text}"))

    yield
    del spec._registry["test.work"], spec._registry["test.parent"]


@pytest.fixture
def services(fake_redis: Redis, sqlite_database: Database) -> Services:
    return engine_services(fake_redis, database=sqlite_database)


@pytest.fixture
def client(services: Services) -> JobClient:
    return job_client(services)


@pytest.fixture
def without_redis(services: Services) -> JobClient:
    """A client whose Redis refuses connections."""
    return job_client(replace(services, redis=Redis(port=1, retry=Retry(NoBackoff(), 0))))


def start(client: JobClient, text: str = "x", **options: Any) -> str:
    fail = bool(options.pop("fail", False))
    return client.start("test.work", Args(text=text, fail=fail), tenant="acme", **options)


def again(services: Services) -> dict[str, int]:
    return {name: count for name, count in vars(reconcile(services.redis, services.work, young=0)).items() if count}


def test_a_job_is_accepted_without_redis_and_done_when_it_is_back(
    services: Services, client: JobClient, without_redis: JobClient
) -> None:
    """Meanwhile it is queued; equal requests are one."""
    job_id = start(without_redis, "你好")
    assert start(without_redis, "你好") == job_id
    assert without_redis.get("acme", job_id).state == "queued"
    assert again(services) == {"restored": 1}
    run_jobs(services)
    assert (client.get("acme", job_id).result, runs) == ("你好", ["你好"])


def test_a_wiped_redis_loses_no_work_and_repeats_none(services: Services, client: JobClient) -> None:
    """What had ended is answered from its row, what had not runs."""
    done, failed = start(client, "done"), start(client, "failed", fail=True)
    run_jobs(services)
    waiting, timed = start(client, "waiting"), start(client, "timed", due=2**33)
    canceled = start(client, "canceled")
    client.cancel("acme", canceled)
    services.redis.flushall()
    states = [client.get("acme", job_id).state for job_id in (done, failed, waiting, timed, canceled)]
    assert states == ["completed", "failed", "queued", "scheduled", "canceled"]
    view = client.get("acme", failed)
    assert view.error
    assert (client.get("acme", done).result, view.error.message) == ("done", "Asked to fail.")
    assert again(services) == {"restored": 2}
    run_jobs(services)
    assert runs == ["done", "failed", "waiting"]
    assert client.get("acme", timed).state == "scheduled"


def test_jobs_that_only_wait_are_left_alone(services: Services, client: JobClient) -> None:
    """However many, however often: queued, timed, paused, waiting for others."""
    ids = [start(client, f"{n}") for n in range(100)]
    client.pause("acme", ids[0])
    start(client, "timed", due=2**33)
    start(client, "child", depends_on=[ids[1]])
    for _ in range(5):
        assert again(services) == {}
    run_jobs(services)
    assert len(runs) == len(set(runs)) == 100  # 99 of them, and the child


def test_a_job_that_nobody_holds_is_put_back(services: Services, client: JobClient) -> None:
    """Its hash says that it waits, and no list has it."""
    job_id = start(client)
    services.redis.delete("rq:queue:default")
    assert again(services) == {"put_back": 1}
    assert again(services) == {}
    run_jobs(services)
    assert client.get("acme", job_id).state == "completed"


@pytest.mark.parametrize("how", ["torn", "string", "foreign"])
def test_a_hash_that_cannot_be_read_is_replaced(services: Services, client: JobClient, how: str) -> None:
    job_id = start(client)
    key = f"rq:job:{job_id}"
    if how == "foreign":
        services.redis.hset(key, "meta", '{"tenant": "other"}')
    else:
        services.redis.delete(key)
        if how == "string":
            services.redis.set(key, "nonsense")
        else:
            services.redis.hset(key, "status", "failed")
    assert again(services) == {"replaced": 1}
    run_jobs(services)
    assert client.get("acme", job_id).state == "completed"
    assert runs == ["x"]


def test_an_end_that_others_made_is_recorded(services: Services, client: JobClient) -> None:
    """`rq` or a dashboard canceled it: the row follows, and an equal request starts anew."""
    job_id = start(client)
    services.redis.hset(f"rq:job:{job_id}", "status", "canceled")
    services.redis.delete("rq:queue:default")
    other = start(client)
    assert other != job_id
    work = services.work.get("acme", job_id)
    assert work
    assert work.state == "canceled"


def test_a_completed_job_that_redis_starts_again_does_not_run_again(services: Services, client: JobClient) -> None:
    """As after a crash between the row's end and RQ's: the kept result is recorded."""
    job_id = start(client)
    claim = services.work.claim(job_id, again=True)
    assert claim
    services.work.complete(job_id, claim.generation, '"kept"')
    run_jobs(services)
    assert (client.get("acme", job_id).result, runs) == ("kept", [])


def test_a_child_that_redis_lost_is_started_again(services: Services, client: JobClient) -> None:
    """What a job starts has a row before the job's own end is recorded."""
    parent = client.start("test.parent", Args(text="p"), tenant="acme")
    [row] = services.work.open(after=0, before=datetime.now(UTC) + timedelta(minutes=1), limit=9)
    assert row.id == parent
    run_jobs(services)
    assert runs == ["child of p"]
    child = client.get("acme", parent).result
    assert services.work.get("acme", child)


def test_dependencies_survive_a_wipe(services: Services, client: JobClient) -> None:
    """An open parent is waited for, a completed one is not; a child of a failed one is canceled."""
    done, failed = start(client, "done"), start(client, "failed", fail=True)
    run_jobs(services)
    waiting = start(client, "waiting")
    children = [start(client, f"after {parent}", depends_on=[parent]) for parent in (done, waiting)]
    services.redis.flushall()
    late = job_client(replace(services, redis=Redis(port=1, retry=Retry(NoBackoff(), 0))))
    lost = start(late, "lost", depends_on=[failed])
    assert again(services)["restored"] == 4
    run_jobs(services)
    assert [client.get("acme", job_id).state for job_id in children] == ["completed", "completed"]
    assert client.get("acme", lost).state == "canceled"
    with pytest.raises(UnknownDependency):
        start(late, "x", depends_on=["nobody"])


def test_a_webhook_is_part_of_what_was_accepted(
    services: Services, client: JobClient, without_redis: JobClient
) -> None:
    job_id = start(without_redis, webhook=Webhook("https://example.com/x", "example.com"))
    again(services)
    assert [hook.host for hook in client.get("acme", job_id).webhooks] == ["example.com"]


def test_a_failed_job_is_started_again_after_a_wipe(services: Services, client: JobClient) -> None:
    job_id = start(client, fail=True)
    run_jobs(services)
    services.redis.flushall()
    assert client.requeue("acme", job_id).state == "queued"
    run_jobs(services)
    assert (runs, client.get("acme", job_id).state) == (["x", "x"], "failed")


@pytest.mark.parametrize("loss", ["before", "half done"])
def test_a_batch_survives_a_wipe_with_right_counts(services: Services, loss: str) -> None:
    """What had ended does not run again, and counts as it ended; the callback starts once."""
    batches = BatchClient(services.redis, result_ttl=3600, work=services.work)
    specs = [JobSpec("test.work", Args(text=f"{n}", fail=n == 2)) for n in range(5)]
    batch = batches.start(specs, tenant="acme", name="b", on_complete=JobSpec("test.work", Args(text="end")))
    if loss == "half done":
        for n in range(3):
            claim = services.work.claim(f"{batch[:24]}{n:08x}", again=True)
            assert claim
            if n == 2:
                services.work.end(f"{batch[:24]}{n:08x}", "failed", "not_possible", "Asked to fail.")
            else:
                services.work.complete(f"{batch[:24]}{n:08x}", 1, "1")
    services.redis.flushall()
    view = batches.get("acme", batch)
    assert (view.total, view.state) == (5, "running")
    assert again(services) == {"batches": 1}
    run_jobs(services)
    view = batches.get("acme", batch)
    run_jobs(services)
    assert (view.state, view.counts["completed"], view.counts["failed"]) == ("failed", 4, 1)
    expected = ["3", "4", "end"] if loss == "half done" else ["0", "1", "2", "3", "4", "end"]
    assert runs == expected


def test_a_batch_is_accepted_without_redis(services: Services) -> None:
    away = BatchClient(Redis(port=1, retry=Retry(NoBackoff(), 0)), result_ttl=3600, work=services.work)
    batch = away.start([JobSpec("test.work", Args(text=f"{n}")) for n in range(3)], tenant="acme")
    assert away.get("acme", batch).counts["queued"] == 3
    assert again(services) == {"batches": 1}
    run_jobs(services)
    here = BatchClient(services.redis, result_ttl=3600, work=services.work)
    assert here.get("acme", batch).state == "completed"
    again(services)
    assert [one.state for one in here.accepted("acme")] == ["ended"]


def test_an_effect_is_brought_about_once(services: Services, client: JobClient) -> None:
    """Over attempts; one that was cut off in the middle is unknown, and not repeated."""
    ctx = JobContext(job_id="j", tenant="acme", attempt=1, services=services, client=client)
    done: list[int] = []

    def act() -> int:
        done.append(1)
        return len(done)

    assert [ctx.effect("k", act, channel="test") for _ in range(3)] == [1, 1, 1]

    def die() -> int:
        raise KeyboardInterrupt  # as a kill, which lets nobody write anything down

    with pytest.raises(KeyboardInterrupt):
        ctx.effect("cut", die, channel="test")
    with pytest.raises(EffectUnknown):
        ctx.effect("cut", act, channel="test")
    with pytest.raises(KeyboardInterrupt):
        ctx.effect("again", die, channel="test", cut_off="again")
    assert ctx.effect("again", act, channel="test", cut_off="again") == 2


def test_an_effect_that_failed_is_tried_again_unless_its_outcome_is_uncertain(
    services: Services, client: JobClient
) -> None:
    ctx = JobContext(job_id="j", tenant="acme", attempt=1, services=services, client=client)

    class Dropped(Exception):
        uncertain = True

    def refuse() -> int:
        raise ConnectionRefusedError

    def drop() -> int:
        raise Dropped

    with pytest.raises(ConnectionRefusedError):
        ctx.effect("a", refuse, channel="test")
    assert ctx.effect("a", lambda: 7, channel="test") == 7
    with pytest.raises(Dropped):
        ctx.effect("b", drop, channel="test")
    with pytest.raises(EffectUnknown):
        ctx.effect("b", lambda: 7, channel="test")
