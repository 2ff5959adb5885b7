"""Sign codes: what a process keeps of a tenant's vectors, one bit for each component.

A hundred thousand vectors of 512 components take 6 MB instead of 205, and a look at all of them 2 ms instead of 17.
Pure numpy; nothing here reads the database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# How many vectors pass each look: by signs against signs, then by signs against the question's own components. With
# these, 98 of 100 of the true ten nearest are among the candidates at 100k vectors (docs/decisions/0004-search.md).
FIRST_LOOK = 1000
CANDIDATES = 200
_ROW_OVERHEAD = 16  # passage id and document id


@dataclass(frozen=True)
class Codes:
    """A tenant's vectors, by rising row id up to `last`. Never changed in place: another thread may be reading it."""

    last: int
    dimension: int
    passages: "NDArray[np.int64]"
    documents: "NDArray[np.int64]"
    words: "NDArray[np.uint64]"  # (words of a code, vectors): a search walks over one word of all vectors at a time

    @property
    def size(self) -> int:
        """Bytes in memory."""
        return self.words.nbytes + _ROW_OVERHEAD * len(self.passages)

    def extended(self, rows: Sequence[Any]) -> "Codes":
        """Return these and newer rows, which have `id, passage_id, document_id, code`."""
        import numpy as np

        words = np.frombuffer(b"".join(row.code for row in rows), dtype="<u8").reshape(len(rows), -1)
        return Codes(
            rows[-1].id,
            self.dimension,
            np.concatenate([self.passages, np.fromiter((row.passage_id for row in rows), dtype=np.int64)]),
            np.concatenate([self.documents, np.fromiter((row.document_id for row in rows), dtype=np.int64)]),
            np.concatenate([self.words, words.T], axis=1),
        )

    def without(self, gone: Sequence[int]) -> "Codes":
        """Return these without some passages."""
        import numpy as np

        keep = ~np.isin(self.passages, gone)
        return Codes(self.last, self.dimension, self.passages[keep], self.documents[keep], self.words[:, keep])

    def documents_of(self, wanted: Sequence[int]) -> list[int]:
        """Return the documents that some passages belong to."""
        import numpy as np

        return [int(id_) for id_ in np.unique(self.documents[np.isin(self.passages, wanted)])]

    def passages_of(self, wanted: Sequence[int]) -> list[int]:
        """Return all passages of some documents."""
        import numpy as np

        return [int(id_) for id_ in self.passages[np.isin(self.documents, wanted)]]

    def nearest(self, query: "NDArray[np.float32]", document_id: int | None, hidden: Sequence[int] = ()) -> list[int]:
        """Return the passages that a question may be nearest to, at most `CANDIDATES`, of one document or of all.

        Those of `hidden` documents are passed over.
        """
        import numpy as np

        ids, words = self.passages, self.words
        if document_id is not None or hidden:
            eligible = ~np.isin(self.documents, hidden) if document_id is None else self.documents == document_id
            mine = np.flatnonzero(eligible)
            ids, words = ids[mine], words[:, mine]
        if len(ids) > FIRST_LOOK:
            first = np.argpartition(_distances(words, query), FIRST_LOOK)[:FIRST_LOOK]
            ids, words = ids[first], words[:, first]
        if len(ids) > CANDIDATES:
            bits = np.unpackbits(np.ascontiguousarray(words.T).view(np.uint8), axis=1, count=self.dimension)
            ids = ids[np.argpartition(bits.astype(np.float32) @ -query, CANDIDATES)[:CANDIDATES]]
        return [int(id_) for id_ in ids]


def no_codes(dimension: int) -> Codes:
    """Return what is known at first."""
    import numpy as np

    ids = np.empty(0, dtype=np.int64)
    return Codes(0, dimension, ids, ids, np.empty((-(-dimension // 64), 0), dtype=np.uint64))


def code_of(embedding: "NDArray[np.float32]") -> "NDArray[np.uint64]":
    """Return the signs of a vector's components, 64 in a word; the last word is filled up with zeros."""
    import numpy as np

    bits = np.packbits(embedding > 0)
    return np.pad(bits, (0, -len(bits) % 8)).view("<u8")


def _distances(words: "NDArray[np.uint64]", query: "NDArray[np.float32]") -> "NDArray[np.uint16]":
    import numpy as np

    distances = np.zeros(words.shape[1], dtype=np.uint16)
    for word, part in zip(words, code_of(query), strict=True):
        distances += np.bitwise_count(word ^ part)
    return distances
