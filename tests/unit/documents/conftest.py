"""Services with everything that documents need, on a fake Redis and a migrated SQLite database."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from config import load_config
from jobs.services import Services, build_services
from jobs.stores.documents import DocumentStore
from jobs.stores.migrate import upgrade
from jobs.stores.search import SearchIndex
from tests.library import WordEncoder


@pytest.fixture
def services(fake_redis: Redis, tmp_path: Path) -> Iterator[Services]:
    config = load_config(data_dir=tmp_path, max_upload_bytes=2**20)
    upgrade(config.sqlalchemy_url)
    built = build_services(config, fake_redis)
    search = SearchIndex(built.database, WordEncoder())
    yield replace(built, search=search, documents=DocumentStore(built.database, built.blobs, search))
    built.database.engine.dispose()
