"""A row that cannot be read, or that was refused, holds up nothing else."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.retry import Retry

from jobs.core import spec
from jobs.core.batch_intake import JobSpec
from jobs.core.batches import BatchClient
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.reconcile import Reconciled, reconcile
from jobs.core.webhooks import Webhook
from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import OPEN, NewWork, Work
from tests.fakes import engine_services, job_client, run_jobs
from tests.unit.core.conftest import WordArgs

TENANT = "acme"
TORN = '{"args":'


@pytest.fixture
def services(fake_redis: Redis, sqlite_database: Database) -> Services:
    return engine_services(fake_redis, database=sqlite_database)


@pytest.fixture(autouse=True)
def say(registry: None) -> None:
    @spec.job("test.say")
    def say(ctx: JobContext, args: WordArgs) -> str:
        return args.word


class Refusing(WorkStore):
    """A store whose database takes no id that a job depends on."""

    def known(self, tenant: str, ids: Sequence[str]) -> dict[str, Work]:
        raise ValueError(ids)


def keep(services: Services, job_id: str, content: str) -> None:
    services.work.accept(NewWork(id=job_id, tenant=TENANT, type="test.say", content=content, keep=60))


def look(services: Services) -> Reconciled:
    return reconcile(services.redis, services.work, young=0)


def of_batch(services: Services, batch_id: str) -> str:
    """Start a batch; return its id."""
    client = BatchClient(services.redis, result_ttl=60, work=services.work)
    return client.start([JobSpec("test.say", WordArgs(word="x"))], tenant=TENANT, batch_id=batch_id)


def test_a_row_that_cannot_be_read_is_left_and_the_others_are_started(
    services: Services, client: JobClient, caplog: pytest.LogCaptureFixture
) -> None:
    """Of single jobs and of batches alike; the log names it, without its content."""
    keep(services, "broken", TORN)
    job_client(services).start("test.say", WordArgs(word="one"), tenant=TENANT, job_id="sound")
    of_batch(services, "a" * 32)
    of_batch(services, "b" * 32)
    with services.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE work SET content = '{TORN}' WHERE batch_id = '{'a' * 32}'")
    services.redis.flushall()
    with caplog.at_level(logging.ERROR):
        assert look(services) == Reconciled(restored=1, batches=1)
    run_jobs(services)
    assert client.get(TENANT, "sound").result == "one"
    assert [record.getMessage() for record in caplog.records] == [
        "work broken is left as it is",
        f"batch {'a' * 32} is left as it is",
    ]


def test_an_end_that_cannot_be_told_holds_up_no_other(services: Services) -> None:
    """A webhook of a row that cannot be read is not called; that of the next one is."""
    hook = Webhook("https://example.com/", "example.com")
    client = job_client(services)
    ids = [client.start("test.say", WordArgs(word=word), tenant=TENANT, webhook=hook) for word in ("one", "two")]
    run_jobs(services)
    services.redis.flushall()
    with services.database.write() as connection:
        connection.exec_driver_sql(f"UPDATE work SET content = '{TORN}' WHERE id = '{ids[0]}'")
    assert look(services) == Reconciled(told=1)


def test_without_redis_a_round_ends_at_once(services: Services) -> None:
    """That is no fault of one row."""
    keep(services, "one", TORN)
    with pytest.raises(RedisConnectionError):
        look(replace(services, redis=Redis(port=1, retry=Retry(NoBackoff(), 0))))


def test_what_is_refused_for_any_reason_leaves_no_row(services: Services, sqlite_database: Database) -> None:
    """Of a job whose parents the database cannot look for, and of a batch that Redis does not take."""
    refusing = replace(services, work=Refusing(sqlite_database))
    with pytest.raises(ValueError, match="nobody"):
        job_client(refusing).start("test.say", WordArgs(word="x"), tenant=TENANT, depends_on=["nobody"])
    services.redis.set(f"offstage:{TENANT}:batch:{'a' * 32}", "of another type")
    with pytest.raises(ResponseError):
        of_batch(services, "a" * 32)
    assert services.work.list_batches(TENANT, before=None, limit=9) == []
    with services.database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM work").scalar() == 0


def test_what_was_accepted_stays_when_it_fails_as_it_is_sent_again(services: Services) -> None:
    """It was acknowledged."""
    client = job_client(services)
    client.start("test.say", WordArgs(word="x"), tenant=TENANT, job_id="mine")
    services.redis.delete("rq:job:mine")
    services.redis.set("rq:queue:default", "of another type")
    with pytest.raises(ResponseError):
        client.start("test.say", WordArgs(word="x"), tenant=TENANT, job_id="mine")
    kept = services.work.get(TENANT, "mine")
    assert kept
    assert kept.state == OPEN
