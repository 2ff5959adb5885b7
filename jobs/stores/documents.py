"""Documents: a row for each, its pages, and what became of it.

A document belongs to the job that processes it, by `job_id`: whoever writes names that job, and writes nothing if the
document was deleted or given to another job meanwhile. Pages are written once, whoever comes first. So a repeated
attempt, or one that was taken for dead and is not, adds nothing twice.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, Select, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jobs.domain.chunks import Passage
from jobs.domain.documents import DocumentNotFound, DocumentNotReady, Page
from jobs.stores.blobs import BlobStore, StorageError
from jobs.stores.database import Database
from jobs.stores.schema import documents, pages

log = logging.getLogger(__name__)

PROCESSING, COMPLETED, FAILED = "processing", "completed", "failed"
MAX_LISTED = 100


class PassageIndex(Protocol):
    """Where a document's passages are found again."""

    def add_passages(self, connection: Connection, tenant: str, document_id: int, found: Sequence[Passage]) -> int: ...

    def delete_document(self, connection: Connection, tenant: str, document_id: int) -> None: ...


@dataclass(frozen=True)
class Document:
    """A document as it stands. Sizes are in bytes, `content_length` in characters, times in UTC.

    `status` is `processing`, `completed` or `failed`; `vector_status` is `pending`, `completed` or `failed`.
    """

    id: int
    tenant: str
    filename: str
    media_type: str
    size: int
    sha256: str
    blob: str
    status: str
    job_id: str
    page_count: int
    content_length: int
    passage_count: int
    vector_status: str
    error_code: str | None
    error_message: str | None
    created_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True)
class NewDocument:
    """A file that has come in. `job_id` is the job that will process it, which need not exist yet."""

    tenant: str
    filename: str
    media_type: str
    size: int
    sha256: str
    blob: str
    job_id: str


@dataclass(frozen=True)
class Admission:
    """What became of a new document: `document` is the row that stands for its content.

    `outcome` is `new`, `restarted` (it had failed before) or `known`. `spare_blob` is the file that no row names now.
    """

    document: Document
    outcome: str
    spare_blob: str | None


class DocumentStore:
    """Keeps the documents of all tenants; each method but the last three sees one tenant's only."""

    def __init__(self, database: Database, blobs: BlobStore, index: PassageIndex) -> None:
        self._database = database
        self._blobs = blobs
        self._index = index

    def find(self, tenant: str, sha256: str) -> Document | None:
        """Return the tenant's document of that content, if there is one."""
        with self._database.read() as connection:
            return _first(
                connection, select(documents).where(documents.c.tenant == tenant, documents.c.sha256 == sha256)
            )

    def admit(self, new: NewDocument) -> Admission:
        """Add a document, or start a failed one of the same content anew, or return the one that there is."""
        same = (documents.c.tenant == new.tenant) & (documents.c.sha256 == new.sha256)
        with self._database.write() as connection:
            row = {**vars(new), "status": PROCESSING, "created_at": _now()}
            values = _insert(connection, documents).values(row).on_conflict_do_nothing()
            if connection.execute(values.returning(documents.c.id)).scalar() is not None:
                return Admission(_one(connection, same), "new", None)
            known = _one(connection, same, lock=True)
            if known.status != FAILED:
                return Admission(known, "known", new.blob)
            fresh = {"job_id": new.job_id, "blob": new.blob, "filename": new.filename, "media_type": new.media_type}
            connection.execute(update(documents).where(same).values(**_processing(), **fresh))
            return Admission(_one(connection, same), "restarted", known.blob)

    def get(self, tenant: str, document_id: int) -> Document:
        """Return a document.

        Raises:
            DocumentNotFound: the tenant has none of that id.
        """
        with self._database.read() as connection:
            return _one(connection, _is(tenant, document_id))

    def get_completed(self, tenant: str, document_id: int) -> Document:
        """Return a document that can be asked.

        Raises:
            DocumentNotFound: the tenant has none of that id.
            DocumentNotReady: it is being read, or has failed.
        """
        document = self.get(tenant, document_id)
        if document.status != COMPLETED:
            raise DocumentNotReady(document.status)
        return document

    def list(self, tenant: str, *, before: int | None = None, limit: int = 20) -> list[Document]:
        """Return documents, newest first; `before` is the id of the last one seen."""
        query = select(documents).where(documents.c.tenant == tenant).order_by(documents.c.id.desc())
        if before is not None:
            query = query.where(documents.c.id < before)
        with self._database.read() as connection:
            return _all(connection, query.limit(max(1, min(limit, MAX_LISTED))))

    def delete(self, tenant: str, document_id: int) -> None:
        """Remove a document with its text, vectors and file; a job that works on it ends by itself.

        Raises:
            DocumentNotFound: the tenant has none of that id.
        """
        with self._database.write() as connection:
            document = _one(connection, _is(tenant, document_id), lock=True)
            self._index.delete_document(connection, tenant, document_id)
            connection.execute(delete(documents).where(_is(tenant, document_id)))  # pages go with it
        self.delete_blob(document.blob)

    def delete_blob(self, name: str) -> None:
        """Delete a file that no row names. If the storage is away, `documents.recover` does it later."""
        try:
            self._blobs.delete(name)
        except StorageError:
            log.warning("a blob could not be deleted now", exc_info=True, extra={"blob": name})

    def begin(self, tenant: str, document_id: int, job_id: str) -> Document | None:
        """Let a job begin or go on; a failed document is processing again. None: it is not the job's own any more."""
        mine = _is(tenant, document_id) & (documents.c.job_id == job_id)
        with self._database.write() as connection:
            connection.execute(update(documents).where(mine, documents.c.status == FAILED).values(**_processing()))
            return _first(connection, select(documents).where(mine))

    def add_pages(
        self, tenant: str, document_id: int, job_id: str, found: Sequence[tuple[Page, Sequence[Passage]]]
    ) -> bool:
        """Add pages with their passages, searchable from now on; those that are there already are left as they are.

        Returns False if the document is not the job's own any more.
        """
        with self._database.write() as connection:
            mine = _is_in_work(tenant, document_id, job_id)
            if _first(connection, select(documents).where(mine).with_for_update()) is None:
                return False
            rows = [
                {"document_id": document_id, "tenant": tenant, "number": page.number, "text": page.text}
                for page, _ in found
            ]
            statement = _insert(connection, pages).values(rows).on_conflict_do_nothing().returning(pages.c.number)
            added = set(connection.execute(statement).scalars())
            passages = [passage for page, some in found if page.number in added for passage in some]
            self._index.add_passages(connection, tenant, document_id, passages)
            counts = {
                "page_count": documents.c.page_count + len(added),
                "content_length": documents.c.content_length + sum(len(p.text) for p, _ in found if p.number in added),
                "passage_count": documents.c.passage_count + len(passages),
            }
            connection.execute(update(documents).where(mine).values(**counts))
            return True

    def complete(self, tenant: str, document_id: int, job_id: str) -> bool:
        """Mark a document as read to its end. Returns False if it is not the job's own any more."""
        return self._change(_is_in_work(tenant, document_id, job_id), {"status": COMPLETED, "completed_at": _now()})

    def fail(self, tenant: str, document_id: int, job_id: str, code: str, message: str) -> bool:
        """Mark a document as failed and drop what was read of it. Returns False if it is not the job's own any more."""
        mine = _is_in_work(tenant, document_id, job_id)
        with self._database.write() as connection:
            if _first(connection, select(documents).where(mine).with_for_update()) is None:
                return False
            self._index.delete_document(connection, tenant, document_id)
            connection.execute(delete(pages).where(pages.c.document_id == document_id))
            failed = {**_processing(), "status": FAILED, "error_code": code, "error_message": message}
            connection.execute(update(documents).where(mine).values(**failed))
            return True

    def set_vector_status(self, tenant: str, document_id: int, status: str) -> bool:
        """Say how far a document's vectors are. Returns False if it was deleted."""
        return self._change(_is(tenant, document_id), {"vector_status": status})

    def in_work(self, older_than: float) -> Sequence[Document]:
        """Return every tenant's documents that have been processing for longer than that, in seconds."""
        query = select(documents).where(documents.c.status == PROCESSING, documents.c.created_at < _ago(older_than))
        with self._database.read() as connection:
            return _all(connection, query.order_by(documents.c.id))

    def without_vectors(self, older_than: float) -> Sequence[Document]:
        """Return every tenant's documents that have waited for vectors for longer than that, in seconds."""
        waiting = (documents.c.status == COMPLETED) & (documents.c.vector_status == "pending")
        query = select(documents).where(waiting, documents.c.completed_at < _ago(older_than))
        with self._database.read() as connection:
            return _all(connection, query.order_by(documents.c.id))

    def named_blobs(self, names: Sequence[str]) -> set[str]:
        """Return which of these files some row names."""
        with self._database.read() as connection:
            return set(connection.execute(select(documents.c.blob).where(documents.c.blob.in_(names))).scalars())

    def _change(self, which: ColumnElement[bool], values: Mapping[str, Any]) -> bool:
        with self._database.write() as connection:
            return bool(connection.execute(update(documents).where(which).values(**values)).rowcount)


def _is(tenant: str, document_id: int) -> ColumnElement[bool]:
    return (documents.c.tenant == tenant) & (documents.c.id == document_id)


def _is_in_work(tenant: str, document_id: int, job_id: str) -> ColumnElement[bool]:
    return _is(tenant, document_id) & (documents.c.job_id == job_id) & (documents.c.status == PROCESSING)


def _processing() -> dict[str, Any]:
    """The columns of a document of which nothing has been read."""
    counts = dict.fromkeys(("page_count", "content_length", "passage_count"), 0)
    unset = dict.fromkeys(("error_code", "error_message", "completed_at"))
    return {"status": PROCESSING, "vector_status": "pending", **counts, **unset}


def _insert(connection: Connection, table: Any) -> Any:
    """Return an INSERT that knows ON CONFLICT, which both databases have and SQLAlchemy keeps in their dialects."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _one(connection: Connection, which: ColumnElement[bool], *, lock: bool = False) -> Document:
    query = select(documents).where(which)
    document = _first(connection, query.with_for_update() if lock else query)
    if document is None:
        raise DocumentNotFound
    return document


def _first(connection: Connection, query: Select[Any]) -> Document | None:
    row = connection.execute(query).mappings().first()
    return _document(row) if row else None


def _all(connection: Connection, query: Select[Any]) -> list[Document]:
    return [_document(row) for row in connection.execute(query).mappings()]


def _document(row: Mapping[Any, Any]) -> Document:
    times = {name: _utc(row[name]) for name in ("created_at", "completed_at")}
    return Document(**{**row, **times})


def _utc(time: datetime | None) -> datetime | None:
    """SQLite hands times out without their zone."""
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time


def _now() -> datetime:
    return datetime.now(UTC)


def _ago(seconds: float) -> datetime:
    return _now() - timedelta(seconds=seconds)
