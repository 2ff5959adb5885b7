"""A web application over fakeredis, with one job type to play with."""

from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel
from redis import Redis

from config import load_config
from jobs.core import spec
from jobs.core.context import JobContext
from jobs.core.errors import NonRetryableError
from jobs.services import Services
from jobs.stores.database import Database
from tests.fakes import engine_services
from webapp import create_app
from webapp.auth import new_key

ACME, ACME_ENTRY = new_key("acme")
OTHER, OTHER_ENTRY = new_key("other")


class EchoArgs(BaseModel):
    text: str
    fail: bool = False


@pytest.fixture
def echo_job() -> Iterator[None]:
    """Declare `test.echo` for one test."""

    @spec.job("test.echo", public=True)
    def echo(ctx: JobContext, args: EchoArgs) -> str:
        if args.fail:
            raise NonRetryableError("Asked to fail.")
        ctx.progress(50, "半")
        return args.text

    yield
    del spec._registry["test.echo"]


@pytest.fixture
def local_services(fake_redis: Redis, sqlite_database: Database) -> Services:
    """Services of a start without API keys."""
    return engine_services(fake_redis, database=sqlite_database)


@pytest.fixture
def local(local_services: Services) -> FlaskClient:
    """A client of a start without API keys."""
    return create_app(services=local_services).test_client()


@pytest.fixture
def keyed(fake_redis: Redis, sqlite_database: Database) -> FlaskClient:
    """A client of a start with keys of two tenants."""
    config = load_config(api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    return create_app(services=engine_services(fake_redis, config, sqlite_database)).test_client()
