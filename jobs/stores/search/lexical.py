"""The lexical half: the tokens of each passage, in an inverted index of the database's own.

Each token is stored behind a digest of its tenant. So one tenant's question cannot meet another's passages, the words
of one tenant do not weigh on the ranking of another, and its time depends on its own passages only.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

from sqlalchemy import Connection, text

from jobs.domain.tokens import tokens

MAX_TERMS = 8
# Scoring takes time for each match: the rarest terms are used, while they match this many passages together.
MATCH_BUDGET = 2_500
# Counting the passages of a common word takes up to 4 ms, and a common word stays one: it is counted once a process.
_COMMON = 1_000
_COMMON_REMEMBERED = 20_000


_count_of = text("SELECT doc FROM passage_vocabulary WHERE term = :term")


@dataclass(frozen=True)
class Entry:
    """A passage as the index holds it."""

    id: int
    terms: str = ""


@dataclass(frozen=True)
class Wanted:
    """What is searched for. `document_id` narrows it to one document, `some_hidden` to those not deleted."""

    tenant: str
    terms: Sequence[str]
    document_id: int | None
    limit: int
    some_hidden: bool = False


# Of a passage whose id stands for `{id}`: it belongs to a document that is deleted and not yet purged.
_NOT_HIDDEN = (
    " AND NOT EXISTS (SELECT 1 FROM passages JOIN documents ON documents.id = passages.document_id"
    " WHERE passages.id = {id} AND documents.deleted_at IS NOT NULL)"
)


class LexicalIndex(Protocol):
    """What a database must offer."""

    def add(self, connection: Connection, tenant: str, passages: Sequence[tuple[int, str]]) -> None:
        """Index passages, given as (id, text)."""

    def entries(self, tenant: str, passages: Sequence[tuple[int, str]]) -> list["Entry"]:
        """Return what is stored of passages, given with the text that they were added with. Slow: it cuts them up."""

    def remove(self, connection: Connection, entries: Sequence["Entry"]) -> None:
        """Take out passages by their entries. One that is not in must not be taken out."""

    def search(self, connection: Connection, wanted: "Wanted") -> list[int]:
        """Return ids of passages that hold some of the terms, best first."""


def lexical_index(dialect: str) -> LexicalIndex:
    """Return the index for a database: `sqlite` or `postgresql`."""
    return SqliteLexicalIndex() if dialect == "sqlite" else PostgresLexicalIndex()


class SqliteLexicalIndex:
    """FTS5 without a content table, ranked by BM25."""

    def __init__(self) -> None:
        self._common: dict[str, int] = {}

    def add(self, connection: Connection, tenant: str, passages: Sequence[tuple[int, str]]) -> None:
        rows = [vars(entry) for entry in self.entries(tenant, passages)]
        if rows:
            connection.execute(text("INSERT INTO passage_terms (rowid, terms) VALUES (:id, :terms)"), rows)

    def entries(self, tenant: str, passages: Sequence[tuple[int, str]]) -> list[Entry]:
        return [Entry(id_, " ".join(_scoped(tenant, tokens(body)))) for id_, body in passages]

    def remove(self, connection: Connection, entries: Sequence[Entry]) -> None:
        rows = [vars(entry) for entry in entries]
        if rows:
            delete = "INSERT INTO passage_terms (passage_terms, rowid, terms) VALUES ('delete', :id, :terms)"
            connection.execute(text(delete), rows)

    def search(self, connection: Connection, wanted: Wanted) -> list[int]:
        chosen = rarest(self._frequencies(connection, _scoped(wanted.tenant, wanted.terms)))
        if not chosen:
            return []
        scope, values = "", {"match": " OR ".join(f'"{term}"' for term in chosen), "limit": wanted.limit}
        if wanted.some_hidden:
            scope = _NOT_HIDDEN.format(id="passage_terms.rowid")
        if wanted.document_id is not None:
            scope += (
                " AND rowid BETWEEN (SELECT min(id) FROM passages WHERE document_id = :document)"
                " AND (SELECT max(id) FROM passages WHERE document_id = :document)"
                " AND EXISTS (SELECT 1 FROM passages WHERE id = passage_terms.rowid AND document_id = :document)"
            )
            values["document"] = wanted.document_id
        query = f"SELECT rowid FROM passage_terms WHERE passage_terms MATCH :match{scope} ORDER BY rank LIMIT :limit"  # noqa: S608 - fixed parts
        return list(connection.execute(text(query), values).scalars())

    def _frequencies(self, connection: Connection, terms: Sequence[str]) -> dict[str, int]:
        found = {term: self._common.get(term) or self._count(connection, term) for term in terms}
        return {term: count for term, count in found.items() if count}

    def _count(self, connection: Connection, term: str) -> int:
        count: int = connection.execute(_count_of, {"term": term}).scalar() or 0
        if count >= _COMMON:
            if len(self._common) >= _COMMON_REMEMBERED:
                self._common.clear()
            self._common[term] = count
        return count


class PostgresLexicalIndex:
    """A tsvector for each passage under GIN. Ranked by the rarity of the terms that match, against length."""

    def add(self, connection: Connection, tenant: str, passages: Sequence[tuple[int, str]]) -> None:
        rows = [{"id": id_, "terms": sorted(set(_scoped(tenant, tokens(body))))} for id_, body in passages]
        if rows:
            insert = "INSERT INTO passage_terms (passage_id, terms) VALUES (:id, array_to_tsvector(:terms))"
            connection.execute(text(insert), rows)

    def entries(self, tenant: str, passages: Sequence[tuple[int, str]]) -> list[Entry]:
        return [Entry(id_) for id_, _ in passages]

    def remove(self, connection: Connection, entries: Sequence[Entry]) -> None:
        rows = [{"id": entry.id} for entry in entries]
        if rows:
            connection.execute(text("DELETE FROM passage_terms WHERE passage_id = :id"), rows)

    def search(self, connection: Connection, wanted: Wanted) -> list[int]:
        frequencies = self._frequencies(connection, _scoped(wanted.tenant, wanted.terms))
        chosen = rarest(frequencies)
        if not chosen:
            return []
        values: dict[str, object] = {"any": " | ".join(chosen), "limit": wanted.limit, "document": wanted.document_id}
        score = []
        for n, term in enumerate(chosen):
            values |= {f"t{n}": term, f"w{n}": 1 / (10 + frequencies[term]) ** 0.5}
            score.append(f"CASE WHEN terms @@ CAST(:t{n} AS tsquery) THEN CAST(:w{n} AS float) ELSE 0 END")
        scope = _NOT_HIDDEN.format(id="passage_terms.passage_id") if wanted.some_hidden else ""
        if wanted.document_id is not None:
            scope += " AND passage_id IN (SELECT id FROM passages WHERE document_id = :document)"
        query = (
            f"SELECT passage_id FROM passage_terms WHERE terms @@ CAST(:any AS tsquery){scope}"  # noqa: S608 - fixed parts
            f" ORDER BY ({' + '.join(score)}) / (100 + length(terms)) DESC, passage_id LIMIT :limit"
        )
        return list(connection.execute(text(query), values).scalars())

    def _frequencies(self, connection: Connection, terms: Sequence[str]) -> dict[str, int]:
        query = text(
            "SELECT term, (SELECT count(*) FROM (SELECT 1 FROM passage_terms WHERE terms @@ CAST(term AS tsquery)"
            " LIMIT :most) AS matches) FROM unnest(CAST(:terms AS text[])) AS term"
        )
        rows = connection.execute(query, {"terms": list(terms), "most": MATCH_BUDGET}).all()
        return {term: count for term, count in rows if count}


def rarest(frequencies: dict[str, int]) -> list[str]:
    """Return the terms to search for, the rarest first: few enough to be scored in time, and always one."""
    chosen: list[str] = []
    matches = 0
    for term, count in sorted(frequencies.items(), key=lambda item: item[1])[:MAX_TERMS]:
        matches += count
        if chosen and matches > MATCH_BUDGET:
            break
        chosen.append(term)
    return chosen


def _scoped(tenant: str, terms: Iterable[str]) -> list[str]:
    digest = blake2b(tenant.encode(), digest_size=5).hexdigest()
    return [digest + term for term in terms]
