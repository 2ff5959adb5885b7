"""Research in this process: real providers against servers on loopback, a fake Redis, a migrated SQLite."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from redis import Redis

from config import load_config
from jobs.core.context import JobContext
from jobs.core.errors import Awaiting
from jobs.core.events import read_events
from jobs.core.live_text import pieces_of
from jobs.core.spec import discover
from jobs.domain.research import ResearchArgs
from jobs.research import ResearchResult, run
from jobs.services import Services, build_services
from jobs.stores.documents import DocumentStore
from jobs.stores.research import Research
from jobs.stores.search import SearchIndex
from tests.described import held_to_description
from tests.fakes import job_client, make_due, run_jobs
from tests.library import WordEncoder, add_document, embed_all
from tests.model_server import ModelServer, model_server
from tests.small_web import SmallWeb, small_web
from tests.unit.research.asking import ENTRY, OTHER_ENTRY
from webapp import create_app

TENANT = "acme"
PAGES = {
    "/sleep": "<title>On sleep</title><p>Sleep consolidates memory. It moves what was learnt into the cortex.</p>",
    "/naps": "<title>Naps</title><p>A nap of twenty minutes helps learning. Longer naps make people drowsy.</p>",
    "/梦": "<title>梦</title><p>睡眠可以巩固记忆。做梦与学习有关。</p>",
}
DOCUMENT = ["Sleep matters for memory. Adults need seven hours of sleep.", "睡眠对记忆很重要。成年人需要七小时睡眠。"]
PLAN = {"title": "Sleep and memory", "questions": ["How does sleep consolidate memory?", "Do naps help learning?"]}


def answer(message: str) -> str | int:
    """Plan for a query; else write on what is shown, citing all of it and something that is not there."""
    if message.startswith("Write"):
        return json.dumps(PLAN)
    shown = message.count("\n>") if "[1]" in message else 0
    return "Sleep helps [1]. So does a nap [2][99]." if shown else "In short: sleep helps [1]."


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server(answer=answer) as running:
        yield running


@pytest.fixture
def web() -> Iterator[SmallWeb]:
    with small_web(pages=dict(PAGES)) as running:
        yield running


class Encoder(WordEncoder):
    """As an embedder in this process: whatever shares words is near."""

    is_local = True
    gate = 0.1


@dataclass
class Desk:
    """Asks for research and does it, as often as it leaves."""

    services: Services
    runs: int = 0
    job_id: str = "r" * 32
    left: list[Any] = field(default_factory=list)

    def context(self) -> JobContext:
        client = job_client(self.services)
        return JobContext(job_id=self.job_id, tenant=TENANT, attempt=1, services=self.services, client=client)

    def research(self, **args: Any) -> ResearchResult:
        """Run the job, and its children when it waits for them."""
        while True:
            self.runs += 1
            try:
                return run(self.context(), arguments(**args))
            except Awaiting as error:
                self.left.append(error.job_ids)
                assert self.runs < 50
                run_jobs(self.services)
                make_due(self.services)

    def kept(self) -> Research:
        return self.services.research.get(TENANT, self.job_id)

    def report(self) -> str:
        """The kept report, which is what readers of the events have, too."""
        content = self.kept().content
        assert content is not None
        events = read_events(self.services.redis, TENANT, self.job_id)
        assert "".join(pieces_of(events)) == content.report
        return content.report

    def messages(self) -> list[str]:
        content = self.kept().content
        return content.messages if content else []


def arguments(**given: Any) -> ResearchArgs:
    defaults = {"query": "How does sleep affect memory?", "language": "en", "model": "small", "breadth": 2}
    return ResearchArgs.model_validate(defaults | {"documents": None} | given)


@pytest.fixture
def make_desk(fake_redis: Redis, migrated_file: Path, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Make services with the given settings."""
    desks: list[Desk] = []

    def make(**settings: Any) -> Desk:
        shutil.copy(migrated_file, tmp_path / "offstage.db")
        discover()
        services = build_services(load_config(data_dir=tmp_path, **settings), fake_redis)
        encoder = Encoder()
        search = SearchIndex(services.database, encoder)
        documents = DocumentStore(services.database, services.blobs, search)
        desk = Desk(replace(services, search=search, documents=documents, embedder=encoder))  # type: ignore[arg-type]
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        desk.services.database.engine.dispose()


@pytest.fixture
def desk(make_desk: Callable[..., Desk], web: SmallWeb, model: ModelServer) -> Desk:
    """With a web, a model and a document."""
    made = make_desk(
        web_search_url=web.url, web_allow_private=True, web_timeout=2, llm_url=model.url, llm_model="small"
    )
    with_document(made)
    return made


def with_document(desk: Desk) -> int:
    search = desk.services.search
    number = add_document(desk.services.database, search, DOCUMENT, tenant=TENANT, name="睡眠.txt")
    embed_all(search, TENANT)
    return number


@pytest.fixture
def answers_are_as_described() -> Iterator[None]:
    """Every answer in these tests is as `/openapi.json` says."""
    with held_to_description():
        yield


@pytest.fixture
def services(make_desk: Callable[..., Desk]) -> Services:
    """With a document, and neither model nor web."""
    desk = make_desk(api_keys=f"{ENTRY},{OTHER_ENTRY}")
    with_document(desk)
    return desk.services


@pytest.fixture
def client(services: Services) -> Iterator[FlaskClient]:
    app = create_app(services=services)
    yield app.test_client()
    app.extensions["offstage"].streams.close()
