"""NUL, which no PostgreSQL stores or looks for: every route refuses it, or answers as if there were no such thing."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis

from config import load_config
from jobs.services import build_services
from jobs.stores.migrate import upgrade
from tests.postgres import PostgresServer
from webapp import create_app


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """A migrated database on a real server."""
    with PostgresServer() as server:
        upgrade(server.url)
        yield server.url


@pytest.fixture
def app(postgres_url: str, fake_redis: Redis, tmp_path: Path) -> Iterator[Flask]:
    config = load_config(data_dir=tmp_path, database_url=postgres_url, web_search_url="http://127.0.0.1:1")
    services = build_services(config, fake_redis)
    yield create_app(config, services)
    services.database.engine.dispose()


def test_no_path_and_no_query_with_nul_fails_the_service(app: Flask) -> None:
    """Of all routes that there are, by their description."""
    client = app.test_client()
    asked = 0
    for path, methods in client.get("/openapi.json").get_json()["paths"].items():
        for method, operation in methods.items():
            texts = [each["name"] for each in operation.get("parameters", ()) if each.get("in") == "query"]
            odd = re.sub(r"\{[^}]*\}", "a%00b", path)
            for query in ("", *(f"?{name}=a%00b" for name in texts)):
                answer = client.open(f"{odd}{query}", method=method.upper(), json={} if method != "get" else None)
                assert answer.status_code < 500, (method, odd, query, answer.text)
                asked += 1
    assert asked > 100


BODIES = {
    "/research": {"query": "a\0b", "search_config": {"documents": True}},
    "/batches": {"name": "a\0b", "jobs": [{"type": "agents.run", "args": {}}]},
}


@pytest.mark.parametrize(("path", "body"), BODIES.items())
def test_a_text_with_nul_is_refused_by_the_name_of_its_field(app: Flask, path: str, body: dict[str, object]) -> None:
    """422, before anything is done."""
    answer = app.test_client().post(path, json=body)
    assert answer.status_code == 422
    assert "NUL" in answer.get_json()["detail"]


def test_a_question_with_nul_is_one_like_any_other(app: Flask) -> None:
    """Its words are looked for, and nothing else of it."""
    assert app.test_client().post("/ask", json={"question": "a\0b"}).status_code == 200
