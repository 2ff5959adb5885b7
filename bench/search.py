"""How long a search takes, by words and by vectors together, at 1k, 10k and 100k passages of one tenant.

The passages are half English-like and half Chinese-like: words drawn by Zipf's law, so that the index sees common and
rare ones as in real text. Their vectors are made up, in clusters; the question's is made by the real embedder, within
the time measured. Run it with `python -m bench.search`, on another database with its SQLAlchemy URL.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select

from bench.report import print_report
from jobs.domain.chunks import Passage
from jobs.providers.embedder import UseEmbedder
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from jobs.stores.schema import documents, passages
from jobs.stores.search import SearchIndex
from jobs.stores.search.vectors import VectorIndex

SIZES = (1_000, 10_000, 100_000)
QUESTIONS = 400
TENANT = "bench"
PER_DOCUMENT = 500
random = np.random.default_rng(11)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'bench.db'}"
        upgrade(url)
        database, embedder = Database(url), UseEmbedder()
        embedder.encode(["load the model"])
        texts, rows, held = text_source(), [], 0
        for size in SIZES:
            while held < size:
                add_document(database, embedder, [next(texts) for _ in range(PER_DOCUMENT)])
                held += PER_DOCUMENT
            rows.append(measure(database, embedder, texts, size))
        print_report("search", rows, database=database.engine.dialect.name, questions=QUESTIONS, goal_ms=25)
        database.engine.dispose()


def measure(database: Database, embedder: UseEmbedder, texts: Iterator[str], size: int) -> dict[str, Any]:
    """Return a row of the table: times in milliseconds."""
    index = SearchIndex(database, embedder)
    started = time.perf_counter()
    index.search(TENANT, "the first question of a new process")
    first = time.perf_counter() - started
    asked = [question(next(texts)) for _ in range(2 * QUESTIONS)]
    every = times(lambda text: index.search(TENANT, text), asked[:QUESTIONS])
    one = times(lambda text: index.search(TENANT, text, document_id=1), asked[QUESTIONS:])
    encoding = times(lambda text: embedder.encode([text]), asked[:QUESTIONS])
    return {
        "passages": size,
        "p50 ms": round(quantiles(every, n=100)[49], 1),
        "p99 ms": round(quantiles(every, n=100)[98], 1),
        "of it, the question's vector, p50 ms": round(quantiles(encoding, n=100)[49], 1),
        "in one document, p50 ms": round(quantiles(one, n=100)[49], 1),
        "p99 ms there": round(quantiles(one, n=100)[98], 1),
        "first in a process, ms": round(first * 1000, 1),
        "process at most, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def times(call: Any, asked: list[str]) -> list[float]:
    """Return how long each call takes, in milliseconds."""
    taken = []
    for text in asked:
        started = time.perf_counter()
        call(text)
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def text_source() -> Iterator[str]:
    """Yield passages, English-like and Chinese-like in turn: 90 words, or 240 characters."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "in", "ol", "us")]
    words = ["".join(random.choice(syllables, random.integers(1, 5))) for _ in range(50_000)]
    characters = [chr(code) for code in random.permutation(np.arange(0x4E00, 0x4E00 + 3000))]
    pairs = ["".join(random.choice(characters, 2)) for _ in range(20_000)]
    while True:
        yield " ".join(words[n] for n in zipf(90, len(words))) + "."
        yield "".join(pairs[n] for n in zipf(120, len(pairs))) + "。"


def zipf(count: int, kinds: int) -> NDArray[np.int64]:
    """Return ranks: the n-th kind comes 1/n as often as the first."""
    return np.minimum(np.exp(random.random(count) * np.log(kinds)), kinds - 1).astype(np.int64)


def question(passage: str) -> str:
    """Return a question out of words of a passage: what a person asks shares some with what answers it."""
    if " " in passage:
        return " ".join(random.choice(passage.rstrip(".").split(), 8))
    start = int(random.integers(0, len(passage) - 14))
    return passage[start : start + 14] + "？"


def add_document(database: Database, embedder: UseEmbedder, texts: list[str]) -> None:
    """Add a document with made-up vectors around a few centres."""
    row = {"filename": "bench.txt", "media_type": "text/plain", "size": 1, "blob": "", "status": "completed"}
    row |= {"tenant": TENANT, "sha256": uuid4().hex}
    index = SearchIndex(database, embedder)
    with database.write() as connection:
        statement = insert(documents).values(**row, created_at=datetime.now(UTC)).returning(documents.c.id)
        document_id = connection.execute(statement).scalar_one()
        index.add_passages(connection, TENANT, document_id, [Passage(1, 0, text) for text in texts])
    with database.write() as connection:
        query = select(passages.c.id).where(passages.c.document_id == document_id).order_by(passages.c.id)
        keys = [(id_, document_id) for id_ in connection.execute(query).scalars()]
        spread = random.normal(size=(1, 512)) + random.normal(scale=1.5, size=(len(keys), 512))
        matrix = (spread / np.linalg.norm(spread, axis=1, keepdims=True)).astype(np.float32)
        VectorIndex(database).store(connection, TENANT, embedder.model, keys, matrix)


if __name__ == "__main__":
    main()
