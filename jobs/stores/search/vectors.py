"""The vector half: a coarse look at all of a tenant's vectors in memory, then an exact one at the best.

The coarse look compares one bit for each component, its sign, so that a hundred thousand vectors of 512 components
take 6 MB and a few milliseconds. The candidates' embeddings are then read from the database and compared exactly; a
vector that is gone from there was deleted, and its document's rows are dropped from memory.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, exists, select, text
from sqlalchemy.dialects import postgresql, sqlite

from jobs.stores.database import Database
from jobs.stores.schema import passages, vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RERANKED = 400
MEMORY_BYTES = 256 * 2**20  # of codes, in one process; the tenants used last stay
_ATTEMPTS = 5  # at finding candidates that are all still stored
_ROW_OVERHEAD = 16  # passage id and document id

Key = tuple[str, str, int]  # tenant, model, dimension


@dataclass(frozen=True)
class _Codes:
    """What is known of a tenant's vectors. Never changed in place: a search may be reading it."""

    last: int
    passages: "NDArray[np.int64]"
    documents: "NDArray[np.int64]"
    codes: "NDArray[np.uint64]"  # a row for each vector

    @property
    def size(self) -> int:
        return self.codes.nbytes + _ROW_OVERHEAD * len(self.passages)


class VectorIndex:
    """Keeps the codes of the tenants that were searched last. Safe among threads; processes share only the database."""

    def __init__(self, database: Database, memory_bytes: int = MEMORY_BYTES) -> None:
        self._database = database
        self._memory_bytes = memory_bytes
        self._known: OrderedDict[Key, _Codes] = OrderedDict()
        self._lock = Lock()

    def store(
        self,
        connection: Connection,
        tenant: str,
        model: str,
        keys: Sequence[tuple[int, int]],
        embeddings: "NDArray[np.float32]",
    ) -> None:
        """Write vectors for passages, given as (passage id, document id), in place of those of another model.

        Passages that were deleted meanwhile, or that another worker was quicker with, are left alone.
        """
        if connection.dialect.name == "postgresql":
            # Ids must rise in the order of commits, or a reader would step over one that commits late.
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('vectors'), hashtext(:t))"), {"t": tenant})
        ids = [passage for passage, _ in keys]
        alive = (
            select(passages.c.id)
            .where(passages.c.tenant == tenant, passages.c.id.in_(ids))
            .with_for_update(key_share=True)
        )
        present = set(connection.execute(alive).scalars())
        dimension = embeddings.shape[1]
        other = (vectors.c.model != model) | (vectors.c.dimension != dimension)
        connection.execute(delete(vectors).where(vectors.c.passage_id.in_(ids), other))
        rows = [
            {
                "passage_id": passage,
                "document_id": document,
                "tenant": tenant,
                "model": model,
                "dimension": dimension,
                "code": code_of(row).tobytes(),
                "embedding": row.astype("<f4").tobytes(),
            }
            for (passage, document), row in zip(keys, embeddings, strict=True)
            if passage in present
        ]
        if rows:
            connection.execute(_insert_new(connection.dialect.name), rows)

    def holds_any(self, tenant: str, model: str) -> bool:
        """Say whether a tenant has vectors of a model."""
        mine = (vectors.c.tenant == tenant) & (vectors.c.model == model)
        with self._database.read() as connection:
            return bool(connection.execute(select(exists().where(mine))).scalar())

    def search(
        self,
        tenant: str,
        model: str,
        query: "NDArray[np.float32]",
        document_id: int | None,
        *,
        limit: int,
        also: Sequence[int] = (),
    ) -> dict[int, float]:
        """Return passage id -> cosine for the `limit` most similar passages, and for those of `also` with a vector."""
        key = (tenant, model, len(query))
        exact: dict[int, float] = {}
        for _ in range(_ATTEMPTS):
            known = self._last_known(key)  # before the transaction, which so sees every row that it names
            with self._database.read() as connection:
                known = self._refreshed(connection, key, known)
                candidates = _candidates(known, query, document_id)
                exact = _similarities(connection, key, {*candidates, *also}, query)
                gone = [id_ for id_ in candidates if id_ not in exact]
                if not gone:
                    break
                self._forget(connection, key, known, gone)
        best = sorted(exact, key=lambda id_: -exact[id_])[:limit]
        return {id_: exact[id_] for id_ in {*best, *(exact.keys() & set(also))}}

    def _last_known(self, key: Key) -> _Codes:
        with self._lock:
            return self._known.get(key) or _empty(key[2])

    def _refreshed(self, connection: Connection, key: Key, known: _Codes) -> _Codes:
        rows = connection.execute(
            select(vectors.c.id, vectors.c.passage_id, vectors.c.document_id, vectors.c.code)
            .where(vectors.c.tenant == key[0], vectors.c.model == key[1], vectors.c.dimension == key[2])
            .where(vectors.c.id > known.last)
            .order_by(vectors.c.id)
        ).all()
        if rows:
            known = _extended(known, rows)
        self._keep(key, known)
        return known

    def _keep(self, key: Key, known: _Codes) -> None:
        with self._lock:
            present = self._known.get(key)
            if present is None or present.last <= known.last:  # another thread may have read further
                self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > 1 and sum(codes.size for codes in self._known.values()) > self._memory_bytes:
                self._known.popitem(last=False)

    def _forget(self, connection: Connection, key: Key, known: _Codes, gone: list[int]) -> None:
        """Drop every row that is no longer stored, of the documents that lost some."""
        import numpy as np

        hit = np.unique(known.documents[np.isin(known.passages, gone)])
        stored = select(vectors.c.passage_id).where(
            vectors.c.tenant == key[0], vectors.c.document_id.in_([int(d) for d in hit])
        )
        alive = np.fromiter(connection.execute(stored).scalars(), dtype=np.int64)
        keep = ~np.isin(known.documents, hit) | np.isin(known.passages, alive)
        keep &= ~np.isin(known.passages, gone)
        self._keep(key, _Codes(known.last, known.passages[keep], known.documents[keep], known.codes[keep]))


def code_of(embedding: "NDArray[np.float32]") -> "NDArray[np.uint64]":
    """Return the signs of a vector's components, 64 in a word; the last word is filled up with zeros."""
    import numpy as np

    bits = np.packbits(embedding > 0)
    return np.pad(bits, (0, -len(bits) % 8)).view(np.uint64)


def _candidates(known: _Codes, query: "NDArray[np.float32]", document_id: int | None) -> list[int]:
    import numpy as np

    ids, codes = known.passages, known.codes
    if document_id is not None:
        mine = known.documents == document_id
        ids, codes = ids[mine], codes[mine]
    if len(ids) > RERANKED:
        distance = np.bitwise_count(codes ^ code_of(query)).sum(axis=1, dtype=np.uint16)
        ids = ids[np.argpartition(distance, RERANKED)[:RERANKED]]
    return [int(id_) for id_ in ids]


def _similarities(connection: Connection, key: Key, ids: set[int], query: "NDArray[np.float32]") -> dict[int, float]:
    import numpy as np

    rows = connection.execute(
        select(vectors.c.passage_id, vectors.c.embedding).where(
            vectors.c.passage_id.in_(ids),
            vectors.c.tenant == key[0],
            vectors.c.model == key[1],
            vectors.c.dimension == key[2],
        )
    ).all()
    matrix = np.frombuffer(b"".join(row.embedding for row in rows), dtype="<f4").reshape(len(rows), key[2])
    return {row.passage_id: float(cosine) for row, cosine in zip(rows, matrix @ query, strict=True)}


def _empty(dimension: int) -> _Codes:
    import numpy as np

    ids = np.empty(0, dtype=np.int64)
    return _Codes(0, ids, ids, np.empty((0, -(-dimension // 64)), dtype=np.uint64))


def _extended(known: _Codes, rows: Sequence[Any]) -> _Codes:
    import numpy as np

    codes = np.frombuffer(b"".join(row.code for row in rows), dtype=np.uint64)
    return _Codes(
        rows[-1].id,
        np.concatenate([known.passages, np.fromiter((row.passage_id for row in rows), dtype=np.int64)]),
        np.concatenate([known.documents, np.fromiter((row.document_id for row in rows), dtype=np.int64)]),
        np.concatenate([known.codes, codes.reshape(len(rows), -1)]),
    )


def _insert_new(dialect: str) -> Any:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(vectors).on_conflict_do_nothing(index_elements=["passage_id"])
