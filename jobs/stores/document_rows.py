"""The rows of documents: what they hold, which are meant, and how they are read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select

from jobs.domain.documents import DocumentNotFound
from jobs.stores.database import utc
from jobs.stores.schema import documents, is_shown

PROCESSING, COMPLETED, FAILED = "processing", "completed", "failed"


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
    deleted_at: datetime | None


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


def is_the(tenant: str, document_id: int) -> ColumnElement[bool]:
    """Which row is a tenant's document; a deleted one is none."""
    return (documents.c.tenant == tenant) & (documents.c.id == document_id) & is_shown


def is_in_work(tenant: str, document_id: int, job_id: str) -> ColumnElement[bool]:
    """Which row is a tenant's document, if that job is reading it."""
    return is_the(tenant, document_id) & (documents.c.job_id == job_id) & (documents.c.status == PROCESSING)


def unread() -> dict[str, Any]:
    """The columns of a document of which nothing has been read."""
    counts = dict.fromkeys(("page_count", "content_length", "passage_count"), 0)
    unset = dict.fromkeys(("error_code", "error_message", "completed_at"))
    return {"status": PROCESSING, "vector_status": "pending", **counts, **unset}


def one(connection: Connection, which: ColumnElement[bool], *, lock: bool = False) -> Document:
    """Return the document, for this transaction alone if it is locked. Raises DocumentNotFound."""
    query = select(documents).where(which)
    document = first(connection, query.with_for_update() if lock else query)
    if document is None:
        raise DocumentNotFound
    return document


def first(connection: Connection, query: Select[Any]) -> Document | None:
    """Return the first of the documents that a query finds."""
    row = connection.execute(query).mappings().first()
    return _document(row) if row else None


def every(connection: Connection, query: Select[Any]) -> list[Document]:
    """Return the documents that a query finds."""
    return [_document(row) for row in connection.execute(query).mappings()]


def _document(row: Mapping[Any, Any]) -> Document:
    times = {name: utc(row[name]) for name in ("created_at", "completed_at", "deleted_at")}
    return Document(**{**row, **times})


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def ago(seconds: float) -> datetime:
    """Return the time so long ago."""
    return now() - timedelta(seconds=seconds)
