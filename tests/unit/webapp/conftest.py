"""A web application over fakeredis, with one job type to play with."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from pydantic import BaseModel
from redis import Redis

from config import load_config
from jobs.core import spec
from jobs.core.context import JobContext
from jobs.core.errors import NonRetryableError
from jobs.providers.llm import LanguageModel
from jobs.services import Services, build_services
from jobs.stores.database import Database
from tests.described import held_to_description
from tests.fakes import engine_services
from tests.unit.webapp.chatting import ScriptedModel
from webapp import create_app
from webapp.auth import new_key

ACME, ACME_ENTRY = new_key("acme")
OTHER, OTHER_ENTRY = new_key("other")
Build = Callable[..., Services]


@pytest.fixture(autouse=True)
def answers_are_as_described() -> Iterator[None]:
    """Every answer in these tests has the status, the media type and the body that `/openapi.json` says."""
    with held_to_description():
        yield


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
def build(fake_redis: Redis, tmp_path: Path, migrated_file: Path) -> Iterator[Build]:
    """Build whole services with settings, and with a model if one is given."""
    built: list[Services] = []

    def make(llm: ScriptedModel | None = None, **settings: Any) -> Services:
        config = load_config(data_dir=tmp_path, **settings)
        if not (tmp_path / "offstage.db").exists():
            shutil.copy(migrated_file, tmp_path / "offstage.db")
        services = build_services(config, fake_redis)
        built.append(replace(services, llm=cast(LanguageModel, llm)) if llm else services)
        return built[-1]

    yield make
    for services in built:
        services.database.engine.dispose()


@pytest.fixture
def model() -> ScriptedModel:
    """A model that writes what it is told."""
    return ScriptedModel()


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
