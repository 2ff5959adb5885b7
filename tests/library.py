"""A small library of documents for the tests of the search and of the answers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, cast
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert

from jobs.domain.chunks import split_page
from jobs.domain.tokens import tokens
from jobs.providers.embedder import Embedder
from jobs.providers.llm import LanguageModel
from jobs.services import Services
from jobs.stores.database import Database
from jobs.stores.schema import documents
from jobs.stores.search import SearchIndex
from tests.fakes import engine_services


class WordEncoder:
    """Texts with the same words get near vectors; synonyms count as one word. `dimension` is no multiple of 64."""

    def __init__(self, model: str = "words", dimension: int = 100, synonyms: dict[str, str] | None = None) -> None:
        self.model = model
        self.dimension = dimension
        self.synonyms = synonyms or {}
        self.before_encode: Callable[[], Any] = lambda: None
        self.offline = False

    def encode(self, texts: list[str]) -> NDArray[np.float32]:
        self.before_encode()
        rows = np.array([sum(map(self._vector, tokens(text)), np.zeros(self.dimension)) for text in texts])
        return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)

    def encode_question(self, question: str) -> NDArray[np.float32] | None:
        return None if self.offline else self.encode([question])[0]

    def _vector(self, word: str) -> NDArray[np.float64]:
        seed = blake2b(self.synonyms.get(word, word).encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(seed)).normal(size=self.dimension)


def add_document(
    database: Database, index: SearchIndex, pages: str | Sequence[str], tenant: str = "ada", name: str = "text.txt"
) -> int:
    """Add a document with its passages and return its id."""
    pages = [pages] if isinstance(pages, str) else pages
    row = {
        "tenant": tenant,
        "filename": name,
        "media_type": "text/plain",
        "size": 1,
        "sha256": uuid4().hex,
        "blob": "none",
        "status": "completed",
        "page_count": len(pages),
        "created_at": datetime.now(UTC),
    }
    with database.write() as connection:
        document_id = connection.execute(insert(documents).values(row).returning(documents.c.id)).scalar_one()
        found = [passage for number, text in enumerate(pages, 1) for passage in split_page(number, text)]
        index.add_passages(connection, tenant, document_id, found)
    return int(document_id)


def delete_document(database: Database, index: SearchIndex, document: int, tenant: str = "ada") -> None:
    """Take all of a document's passages out of the index."""
    with database.read() as connection:
        ids = [id_ for some in index.by_page(connection, document).values() for id_ in some]
    entries = index.entries(tenant, ids)
    with database.write() as connection:
        index.remove(connection, entries)


def embed_all(index: SearchIndex, tenant: str = "ada") -> None:
    """Give every passage of a tenant its vector."""
    while index.embed_pending(tenant):
        pass


def answering_services(index: SearchIndex, embedder: Embedder, llm: LanguageModel | None = None) -> Services:
    """Return services with what answering needs, and nothing else."""
    absent = cast(Any, None)
    return replace(engine_services(absent, database=index._database), search=index, embedder=embedder, llm=llm)
