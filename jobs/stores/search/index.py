"""One interface to both halves of the search. Every method is scoped to one tenant."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, func, insert, select

from jobs.domain.chunks import Hit, Passage
from jobs.domain.tokens import content_terms
from jobs.stores.database import Database
from jobs.stores.schema import documents, is_hidden, is_shown, passages, vectors
from jobs.stores.search.fusion import fuse
from jobs.stores.search.lexical import Entry, Wanted, lexical_index
from jobs.stores.search.vectors import VectorIndex

if TYPE_CHECKING:
    from numpy import float32
    from numpy.typing import NDArray

CANDIDATES = 50  # from each half, before they are fused
MAX_QUESTION_TERMS = 64  # whose rarity is looked up

_by_id = (
    select(passages, documents.c.filename)
    .join(documents, documents.c.id == passages.c.document_id)
    .where(is_shown, passages.c.tenant == bindparam("tenant"), passages.c.id.in_(bindparam("ids", expanding=True)))
)


_hidden = select(documents.c.id).where(is_hidden)
_hidden_of = _hidden.where(documents.c.tenant == bindparam("tenant"))


class Encoder(Protocol):
    """What turns texts into vectors of unit length; `model` and `dimension` tell which vectors compare."""

    @property
    def model(self) -> str: ...

    @property
    def dimension(self) -> int: ...

    def encode(self, texts: list[str]) -> "NDArray[float32]":
        """Return a row of unit length for each text."""

    def encode_question(self, question: str) -> "NDArray[float32] | None":
        """Return the vector of a question, or None if it cannot be had now: the search then goes by words."""


class SearchIndex:
    """Finds passages, and takes them in and out. Building one reads nothing."""

    def __init__(self, database: Database, encoder: Encoder) -> None:
        self._database = database
        self._encoder = encoder
        self._lexical = lexical_index(database.url.get_backend_name())
        self._vectors = VectorIndex(database)

    def add_passages(self, connection: Connection, tenant: str, document_id: int, found: Sequence[Passage]) -> int:
        """Add a document's passages, in the caller's transaction; they are found from its commit on, by words.

        Returns their number.
        """
        if not found:
            return 0
        rows = [
            {"tenant": tenant, "document_id": document_id, "page": p.page, "start": p.start, "text": p.text}
            for p in found
        ]
        statement = insert(passages).returning(passages.c.id, sort_by_parameter_order=True)
        ids = connection.execute(statement, rows).scalars().all()
        self._lexical.add(connection, tenant, list(zip(ids, (p.text for p in found), strict=True)))
        return len(ids)

    def by_page(self, connection: Connection, document_id: int) -> dict[int, list[int]]:
        """Return the ids of a document's passages, by page."""
        found: dict[int, list[int]] = {}
        mine = passages.c.document_id == document_id
        for id_, page in connection.execute(select(passages.c.id, passages.c.page).where(mine)):
            found.setdefault(page, []).append(id_)
        return found

    def entries(self, tenant: str, ids: Sequence[int]) -> list[Entry]:
        """Return what the index holds of some of a tenant's passages, for `remove`. Slow; takes no lock."""
        mine = (passages.c.tenant == tenant) & passages.c.id.in_(ids)
        with self._database.read() as connection:
            rows = connection.execute(select(passages.c.id, passages.c.text).where(mine)).all()
        return self._lexical.entries(tenant, [(row.id, row.text) for row in rows])

    def remove(self, connection: Connection, entries: Sequence[Entry]) -> int:
        """Take passages out, in the caller's transaction. Returns how many were still there."""
        ids = [entry.id for entry in entries]
        gone = delete(passages).where(passages.c.id.in_(ids)).returning(passages.c.id)  # vectors go with them
        present = set(connection.execute(gone).scalars())
        self._lexical.remove(connection, [entry for entry in entries if entry.id in present])
        return len(present)

    def pending(self, tenant: str, document_id: int | None = None) -> int:
        """Return how many passages wait for a vector of the present model."""
        with self._database.read() as connection:
            query = select(func.count()).select_from(passages).where(self._is_pending(tenant, document_id))
            return connection.execute(query).scalar_one()

    def embed_pending(self, tenant: str, document_id: int | None = None, batch: int = 64) -> int:
        """Give vectors to up to `batch` passages that lack one, and return how many still do.

        Call it until it returns 0. Safe to be called by several workers at once, and again after a crash.
        """
        with self._database.read() as connection:
            query = select(passages.c.id, passages.c.document_id, passages.c.text)
            query = query.where(self._is_pending(tenant, document_id)).order_by(passages.c.id).limit(batch)
            rows = connection.execute(query).all()
        if not rows:
            return 0
        embeddings = self._encoder.encode([row.text for row in rows])  # slow: outside any transaction
        with self._database.write() as connection:
            keys = [(row.id, row.document_id) for row in rows]
            self._vectors.store(connection, tenant, self._encoder.model, keys, embeddings)
        return self.pending(tenant, document_id)

    def search(self, tenant: str, query: str, *, document_id: int | None = None, limit: int = 10) -> list[Hit]:
        """Return the passages that fit a question best, of one document or of all; any text is a valid query."""
        terms = content_terms(query)[:MAX_QUESTION_TERMS]
        if not terms:
            return []
        with self._database.read() as connection:
            hidden = connection.execute(_hidden_of, {"tenant": tenant}).scalars().all()
            wanted = Wanted(tenant, terms, document_id, CANDIDATES, some_hidden=bool(hidden))
            by_words = self._lexical.search(connection, wanted)
        similar = self._similar(tenant, query, document_id, by_words, hidden)
        by_vectors = sorted(similar, key=lambda id_: -similar[id_])[:CANDIDATES]
        return self._hits(tenant, fuse([by_words, by_vectors]), similar, document_id, limit)

    def neighbours(self, tenant: str, hits: Sequence[Hit]) -> list[Hit]:
        """Return the passages around some, as far as they were added next to them, without a score."""
        ids = {hit.passage_id + step for hit in hits for step in (-1, 1)} - {hit.passage_id for hit in hits}
        with self._database.read() as connection:
            rows = connection.execute(_by_id, {"tenant": tenant, "ids": sorted(ids)}).all()
        return [Hit(r.id, r.document_id, r.filename, r.page, r.start, r.text, 0.0, None) for r in rows]

    def _similar(
        self, tenant: str, query: str, document_id: int | None, also: list[int], hidden: Sequence[int]
    ) -> dict[int, float]:
        model = self._encoder.model
        if not self._vectors.holds_any(tenant, model):
            return {}  # and no model is loaded for nothing
        vector = self._encoder.encode_question(query)
        if vector is None:
            return {}
        return self._vectors.search(tenant, model, vector, document_id, limit=CANDIDATES, also=also, hidden=hidden)

    def _is_pending(self, tenant: str, document_id: int | None) -> ColumnElement[bool]:
        done = exists().where(
            vectors.c.passage_id == passages.c.id,
            vectors.c.model == self._encoder.model,
            vectors.c.dimension == self._encoder.dimension,
        )
        mine = (passages.c.tenant == tenant) & ~done & passages.c.document_id.not_in(_hidden)
        return mine if document_id is None else mine & (passages.c.document_id == document_id)

    def _hits(
        self,
        tenant: str,
        ranked: list[tuple[int, float]],
        similar: dict[int, float],
        document_id: int | None,
        limit: int,
    ) -> list[Hit]:
        values = {"tenant": tenant, "ids": [id_ for id_, _ in ranked]}
        with self._database.read() as connection:
            rows = {row.id: row for row in connection.execute(_by_id, values)}
        found = [(rows[id_], score) for id_, score in ranked if id_ in rows]
        found = [(row, score) for row, score in found if document_id in (None, row.document_id)][:limit]
        return [
            Hit(r.id, r.document_id, r.filename, r.page, r.start, r.text, score, similar.get(r.id))
            for r, score in found
        ]
