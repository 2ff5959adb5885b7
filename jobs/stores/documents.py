"""Documents: a row for each, its pages, and what became of it.

A document belongs to the job that processes it, by `job_id`: whoever writes names that job, and writes nothing if the
document was deleted or given to another job meanwhile. Pages are written once, whoever comes first. So a repeated
attempt, or one that was taken for dead and is not, adds nothing twice.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from jobs.domain.chunks import Passage
from jobs.domain.documents import DocumentNotReady, Page
from jobs.stores.blobs import BlobStore, StorageError
from jobs.stores.database import Database, insert_into
from jobs.stores.document_rows import (
    COMPLETED,
    FAILED,
    PROCESSING,
    Admission,
    Document,
    NewDocument,
    ago,
    every,
    first,
    is_in_work,
    is_the,
    now,
    one,
    unread,
)
from jobs.stores.schema import documents, is_hidden, is_shown, pages

log = logging.getLogger(__name__)

MAX_LISTED = 100
# Of text in one transaction that removes it: while one runs on SQLite, nobody else writes.
_REMOVED_CHARS = 20_000
_REMOVED_PAGES = 100


class PassageIndex(Protocol):
    """Where a document's passages are found again."""

    def add_passages(self, connection: Connection, tenant: str, document_id: int, found: Sequence[Passage]) -> int: ...

    def by_page(self, connection: Connection, document_id: int) -> Mapping[int, Sequence[int]]: ...

    def entries(self, tenant: str, ids: Sequence[int]) -> Sequence[Any]: ...

    def remove(self, connection: Connection, entries: Sequence[Any]) -> int: ...


class DocumentStore:
    """Keeps the documents of all tenants; each method but the last three sees one tenant's only."""

    def __init__(self, database: Database, blobs: BlobStore, index: PassageIndex) -> None:
        self._database = database
        self._blobs = blobs
        self._index = index

    def find(self, tenant: str, sha256: str) -> Document | None:
        """Return the tenant's document of that content, if there is one."""
        with self._database.read() as connection:
            return first(
                connection,
                select(documents).where(documents.c.tenant == tenant, documents.c.sha256 == sha256, is_shown),
            )

    def admit(self, new: NewDocument) -> Admission:
        """Add a document, or start a failed one of the same content anew, or return the one that there is."""
        same = (documents.c.tenant == new.tenant) & (documents.c.sha256 == new.sha256) & is_shown
        with self._database.write() as connection:
            row = {**vars(new), "status": PROCESSING, "created_at": now()}
            values = insert_into(connection, documents).values(row).on_conflict_do_nothing()
            if connection.execute(values.returning(documents.c.id)).scalar() is not None:
                return Admission(one(connection, same), "new", None)
            known = one(connection, same, lock=True)
            if known.status != FAILED:
                return Admission(known, "known", new.blob)
            fresh = {"job_id": new.job_id, "blob": new.blob, "filename": new.filename, "media_type": new.media_type}
            connection.execute(update(documents).where(same).values(**unread(), **fresh))
            return Admission(one(connection, same), "restarted", known.blob)

    def get(self, tenant: str, document_id: int) -> Document:
        """Return a document.

        Raises:
            DocumentNotFound: the tenant has none of that id.
        """
        with self._database.read() as connection:
            return one(connection, is_the(tenant, document_id))

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
        query = select(documents).where(documents.c.tenant == tenant, is_shown).order_by(documents.c.id.desc())
        if before is not None:
            query = query.where(documents.c.id < before)
        with self._database.read() as connection:
            return every(connection, query.limit(max(1, min(limit, MAX_LISTED))))

    def hide(self, tenant: str, document_id: int) -> Document:
        """Delete a document for everybody who asks; `purge` then removes what it had. Returns it with the purge's job.

        A job that works on it ends by itself, and the same file can be taken in again.

        Raises:
            DocumentNotFound: the tenant has none of that id.
        """
        with self._database.write() as connection:
            document = one(connection, is_the(tenant, document_id), lock=True)
            hidden = replace(document, deleted_at=now(), job_id=uuid4().hex)
            values = {"deleted_at": hidden.deleted_at, "job_id": hidden.job_id}
            connection.execute(update(documents).where(is_the(tenant, document_id)).values(**values))
        return hidden

    def purge(self, tenant: str, document_id: int, job_id: str, beat: Callable[[], Any]) -> bool:
        """Remove all that a hidden document had, then its row, in short transactions with a `beat` after each.

        Returns False if it is not the job's own, or gone already. One that was broken off can be called again.
        """
        mine = (documents.c.tenant == tenant) & (documents.c.id == document_id) & is_hidden
        mine &= documents.c.job_id == job_id
        document = self._drop_text(mine, document_id, beat)
        if document is None:
            return False
        self.delete_blob(document.blob)
        with self._database.write() as connection:
            return bool(connection.execute(delete(documents).where(mine)).rowcount)

    def delete_blob(self, name: str) -> None:
        """Delete a file that no row names. If the storage is away, `documents.recover` does it later."""
        try:
            self._blobs.delete(name)
        except StorageError:
            log.warning("a blob could not be deleted now", exc_info=True, extra={"blob": name})

    def begin(self, tenant: str, document_id: int, job_id: str) -> Document | None:
        """Let a job begin or go on; a failed document is processing again. None: it is not the job's own any more."""
        mine = is_the(tenant, document_id) & (documents.c.job_id == job_id)
        with self._database.write() as connection:
            connection.execute(update(documents).where(mine, documents.c.status == FAILED).values(**unread()))
            return first(connection, select(documents).where(mine))

    def add_pages(
        self, tenant: str, document_id: int, job_id: str, found: Sequence[tuple[Page, Sequence[Passage]]]
    ) -> bool:
        """Add pages with their passages, searchable from now on; those that are there already are left as they are.

        Returns False if the document is not the job's own any more.
        """
        with self._database.write() as connection:
            mine = is_in_work(tenant, document_id, job_id)
            if first(connection, select(documents).where(mine).with_for_update()) is None:
                return False
            rows = [
                {"document_id": document_id, "tenant": tenant, "number": page.number, "text": page.text}
                for page, _ in found
            ]
            statement = insert_into(connection, pages).values(rows).on_conflict_do_nothing().returning(pages.c.number)
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
        return self._change(is_in_work(tenant, document_id, job_id), {"status": COMPLETED, "completed_at": now()})

    def fail(self, tenant: str, document_id: int, job_id: str, code: str, message: str) -> bool:
        """Mark a document as failed and drop what was read of it. Returns False if it is not the job's own any more."""
        mine = is_in_work(tenant, document_id, job_id)
        failed = {**unread(), "status": FAILED, "error_code": code, "error_message": message}
        held = select(pages.c.number).where(pages.c.document_id == document_id).exists()
        while self._drop_text(mine, document_id) is not None:
            if self._change(mine & ~held, failed):  # not if another worker has just added a page
                return True
        return False

    def set_vector_status(self, tenant: str, document_id: int, status: str) -> bool:
        """Say how far a document's vectors are. Returns False if it was deleted."""
        return self._change(is_the(tenant, document_id), {"vector_status": status})

    def in_work(self, older_than: float) -> Sequence[Document]:
        """Return every tenant's documents that have been processing for longer than that, in seconds."""
        query = select(documents).where(
            is_shown, documents.c.status == PROCESSING, documents.c.created_at < ago(older_than)
        )
        with self._database.read() as connection:
            return every(connection, query.order_by(documents.c.id))

    def without_vectors(self, older_than: float) -> Sequence[Document]:
        """Return every tenant's documents that have waited for vectors for longer than that, in seconds."""
        waiting = is_shown & (documents.c.status == COMPLETED) & (documents.c.vector_status == "pending")
        query = select(documents).where(waiting, documents.c.completed_at < ago(older_than))
        with self._database.read() as connection:
            return every(connection, query.order_by(documents.c.id))

    def hidden(self, older_than: float) -> Sequence[Document]:
        """Return every tenant's documents that have been hidden for longer than that, in seconds."""
        with self._database.read() as connection:
            return every(connection, select(documents).where(is_hidden, documents.c.deleted_at < ago(older_than)))

    def reassign(self, document: Document) -> Document | None:
        """Give a document, hidden or not, to a job of a new id. None if it is no longer its present job's."""
        renewed = replace(document, job_id=uuid4().hex)
        same = (documents.c.id == document.id) & (documents.c.job_id == document.job_id)
        return renewed if self._change(same, {"job_id": renewed.job_id}) else None

    def named_blobs(self, names: Sequence[str]) -> set[str]:
        """Return which of these files some row names."""
        with self._database.read() as connection:
            return set(connection.execute(select(documents.c.blob).where(documents.c.blob.in_(names))).scalars())

    def of_one_page(self, tenant: str, ids: Collection[int]) -> set[int]:
        """Return those of a tenant's documents that have one page only."""
        which = (documents.c.tenant == tenant) & documents.c.id.in_(ids) & (documents.c.page_count == 1)
        with self._database.read() as connection:
            return set(connection.execute(select(documents.c.id).where(which)).scalars())

    def _change(self, which: ColumnElement[bool], values: Mapping[str, Any]) -> bool:
        with self._database.write() as connection:
            return bool(connection.execute(update(documents).where(which).values(**values)).rowcount)

    def _drop_text(
        self, mine: ColumnElement[bool], document_id: int, beat: Callable[[], Any] = lambda: None
    ) -> Document | None:
        """Remove a document's text while it is the caller's. Returns it, or None if it is not any more."""
        while batches := tuple(self._batches(document_id)):
            for numbers, ids in batches:
                if not self._drop_pages(mine, document_id, numbers, ids):
                    return None
                beat()
        with self._database.read() as connection:
            return first(connection, select(documents).where(mine))

    def _batches(self, document_id: int) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
        """Yield page numbers with the ids of their passages, in lots of limited size."""
        query = select(pages.c.number, func.length(pages.c.text)).where(pages.c.document_id == document_id)
        with self._database.read() as connection:
            lengths = connection.execute(query.order_by(pages.c.number)).all()
            passages = self._index.by_page(connection, document_id)  # after the pages, that have theirs from the start
        numbers: list[int] = []
        chars = 0
        for number, length in lengths:
            if numbers and (chars + length > _REMOVED_CHARS or len(numbers) >= _REMOVED_PAGES):
                yield numbers, [id_ for page in numbers for id_ in passages.get(page, ())]
                numbers, chars = [], 0
            numbers.append(number)
            chars += length
        if numbers:
            yield numbers, [id_ for page in numbers for id_ in passages.get(page, ())]

    def _drop_pages(
        self, mine: ColumnElement[bool], document_id: int, numbers: Sequence[int], ids: Sequence[int]
    ) -> bool:
        with self._database.read() as connection:
            document = first(connection, select(documents).where(mine))
        if document is None:
            return False
        entries = self._index.entries(document.tenant, ids)  # slow: outside of the transaction
        some = (pages.c.document_id == document_id) & pages.c.number.in_(numbers)
        with self._database.write() as connection:
            if first(connection, select(documents).where(mine).with_for_update()) is None:
                return False
            passages = self._index.remove(connection, entries)
            lengths = connection.execute(delete(pages).where(some).returning(func.length(pages.c.text))).scalars().all()
            counts = {
                "page_count": documents.c.page_count - len(lengths),
                "content_length": documents.c.content_length - sum(lengths),
                "passage_count": documents.c.passage_count - passages,
            }
            connection.execute(update(documents).where(mine).values(**counts))
            return True


__all__ = ["COMPLETED", "FAILED", "PROCESSING", "Admission", "Document", "DocumentStore", "NewDocument"]
