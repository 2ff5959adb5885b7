"""The vector half: a coarse look at all of a tenant's vectors in memory, then an exact one at the best.

Vectors are rows in the database. Each process keeps their sign codes (`codes`), reads what is new before each search,
and compares the embeddings of the candidates exactly, straight from the database. A candidate that is gone from there
was deleted: the rows that its document lost are then dropped from memory. So processes need not tell each other.
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, bindparam, delete, exists, select, text
from sqlalchemy.dialects import postgresql, sqlite

from jobs.stores.database import Database
from jobs.stores.schema import passages, vectors
from jobs.stores.search.codes import Codes, code_of, no_codes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MEMORY_BYTES = 256 * 2**20  # of codes, in one process; the tenants used last stay
_ATTEMPTS = 5  # at finding candidates that are all still stored

Key = tuple[str, str, int]  # tenant, model, dimension

_of_key = (
    (vectors.c.tenant == bindparam("tenant"))
    & (vectors.c.model == bindparam("model"))
    & (vectors.c.dimension == bindparam("dimension"))
)
_newer = (
    select(vectors.c.id, vectors.c.passage_id, vectors.c.document_id, vectors.c.code)
    .where(_of_key, vectors.c.id > bindparam("last"))
    .order_by(vectors.c.id)
)
# By passage alone: given the tenant too, SQLite would walk over all its vectors instead of looking 200 up.
_embeddings = select(*(vectors.c[n] for n in ("passage_id", "tenant", "model", "dimension", "embedding"))).where(
    vectors.c.passage_id.in_(bindparam("ids", expanding=True))
)
_stored = select(vectors.c.passage_id).where(_of_key, vectors.c.document_id.in_(bindparam("documents", expanding=True)))
_any = select(exists().where(vectors.c.tenant == bindparam("tenant"), vectors.c.model == bindparam("model")))


class VectorIndex:
    """Keeps the codes of the tenants that were searched last. Safe among threads; processes share only the database."""

    def __init__(self, database: Database, memory_bytes: int = MEMORY_BYTES) -> None:
        self._database = database
        self._memory_bytes = memory_bytes
        self._known: OrderedDict[Key, Codes] = OrderedDict()
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
        alive = select(passages.c.id).where(passages.c.tenant == tenant, passages.c.id.in_(ids))
        present = set(connection.execute(alive.with_for_update(key_share=True)).scalars())
        dimension = embeddings.shape[1]
        other = (vectors.c.model != model) | (vectors.c.dimension != dimension)
        connection.execute(delete(vectors).where(vectors.c.passage_id.in_(present), other))
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
        with self._database.read() as connection:
            return bool(connection.execute(_any, {"tenant": tenant, "model": model}).scalar())

    def search(
        self,
        tenant: str,
        model: str,
        query: "NDArray[np.float32]",
        document_id: int | None,
        *,
        limit: int,
        also: Sequence[int] = (),
        hidden: Sequence[int] = (),
    ) -> dict[int, float]:
        """Return passage id -> cosine for the `limit` most similar passages, and for those of `also` with a vector.

        Those of documents in `hidden` are passed over.
        """
        key = (tenant, model, len(query))
        exact: dict[int, float] = {}
        for _ in range(_ATTEMPTS):
            known = self._last_known(key)  # before the transaction, which so sees every row that it names
            with self._database.read() as connection:
                known = self._refreshed(connection, key, known)
                candidates = known.nearest(query, document_id, hidden)
                exact = _similarities(connection, key, {*candidates, *also}, query)
                gone = [id_ for id_ in candidates if id_ not in exact]
                if not gone:
                    break
                self._forget(connection, key, known, gone)
        best = sorted(exact.keys() & set(candidates), key=lambda id_: -exact[id_])[:limit]
        return {id_: exact[id_] for id_ in {*best, *(exact.keys() & set(also))}}

    def _last_known(self, key: Key) -> Codes:
        with self._lock:
            return self._known.get(key) or no_codes(key[2])

    def _refreshed(self, connection: Connection, key: Key, known: Codes) -> Codes:
        rows = connection.execute(_newer, {**_named(key), "last": known.last}).all()
        known = known.extended(rows) if rows else known
        self._keep(key, known)
        return known

    def _keep(self, key: Key, known: Codes) -> None:
        with self._lock:
            present = self._known.get(key)
            if present is None or present.last <= known.last:  # another thread may have read further
                self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > 1 and sum(codes.size for codes in self._known.values()) > self._memory_bytes:
                self._known.popitem(last=False)

    def _forget(self, connection: Connection, key: Key, known: Codes, gone: Sequence[int]) -> None:
        """Drop the passages that are no longer stored, of every document that lost one."""
        documents = known.documents_of(gone)
        stored = set(connection.execute(_stored, {**_named(key), "documents": documents}).scalars())
        self._keep(key, known.without([id_ for id_ in known.passages_of(documents) if id_ not in stored]))


def _similarities(connection: Connection, key: Key, ids: set[int], query: "NDArray[np.float32]") -> dict[int, float]:
    import numpy as np

    found = connection.execute(_embeddings, {"ids": list(ids)})
    rows = [row for row in found if (row.tenant, row.model, row.dimension) == key]
    matrix = np.frombuffer(b"".join(row.embedding for row in rows), dtype="<f4").reshape(len(rows), key[2])
    return dict(zip((row.passage_id for row in rows), (matrix @ query).tolist(), strict=True))


def _named(key: Key) -> dict[str, Any]:
    return dict(zip(("tenant", "model", "dimension"), key, strict=True))


def _insert_new(dialect: str) -> Any:
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    return insert(vectors).on_conflict_do_nothing(index_elements=["passage_id"])
