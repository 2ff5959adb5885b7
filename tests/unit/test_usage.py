"""The daily roll-up as a job."""

from datetime import UTC, datetime, timedelta

from redis import Redis
from sqlalchemy import func, select, update

from config import load_config
from jobs.core.context import JobContext
from jobs.domain.usage import Usage
from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.schema import usage as table
from jobs.stores.usage import UsageFilter
from jobs.usage import RollUpArgs, RollUpResult, roll_up
from tests.fakes import engine_services, job_client

TODAY = datetime.now(UTC).date()


def run(services: Services) -> RollUpResult:
    client = job_client(services)
    return roll_up(JobContext(job_id="u", tenant="upkeep", attempt=1, services=services, client=client), RollUpArgs())


def test_days_that_are_over_are_rolled_up_and_old_calls_forgotten(fake_redis: Redis, sqlite_database: Database) -> None:
    """Of all tenants, once however often it runs; the sums stay as they were to the unit."""
    services = engine_services(fake_redis, load_config(usage_days=30, max_task_age_hours=24), sqlite_database)
    for number, tenant in enumerate(("acme", "other", "acme")):
        services.usage.record(None, tenant, "1", "small", Usage(100, 10), "chat", str(number))
        with sqlite_database.write() as connection:
            day = TODAY - timedelta(days=20 * number)
            connection.execute(update(table).where(table.c.key == str(number)).values(day=day))
    before = [services.usage.total(tenant, UsageFilter()) for tenant in ("acme", "other")]
    assert run(services) == RollUpResult(rolled_up=2, forgotten=1)
    assert run(services) == RollUpResult()
    assert [services.usage.total(tenant, UsageFilter()) for tenant in ("acme", "other")] == before
    with sqlite_database.read() as connection:
        assert connection.execute(select(func.count()).select_from(table)).scalar() == 2


def test_a_call_is_known_for_as_long_as_its_job_may_run_again(fake_redis: Redis, sqlite_database: Database) -> None:
    """Whatever is set: else a requeued job would count it twice."""
    services = engine_services(fake_redis, load_config(usage_days=1, max_task_age_hours=24 * 50), sqlite_database)
    services.usage.record(None, "acme", "1", "small", Usage(100, 10), "chat", "k")
    with sqlite_database.write() as connection:
        connection.execute(update(table).values(day=TODAY - timedelta(days=49)))
    assert run(services) == RollUpResult(rolled_up=1)
    assert not services.usage.record(None, "acme", "1", "small", Usage(100, 10), "chat", "k")
