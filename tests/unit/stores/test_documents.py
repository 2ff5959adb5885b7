"""Documents keep to their job, their tenant and their content, on SQLite and on PostgreSQL."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from jobs.domain.chunks import split_page
from jobs.domain.documents import TEXT, DocumentNotFound, Page
from jobs.stores.blobs import BlobNotFound, BlobStore, build_blobs
from jobs.stores.database import Database
from jobs.stores.documents import Document, DocumentStore, NewDocument
from jobs.stores.schema import documents, pages, passages
from jobs.stores.search import SearchIndex
from tests.library import WordEncoder

PAGES = ["第一性原理：回到最基础的真理。", "The lighthouse keeper wrote a letter."]


@pytest.fixture
def blobs(tmp_path: Path) -> BlobStore:
    return build_blobs("", tmp_path)


@pytest.fixture
def store(database: Database, blobs: BlobStore) -> DocumentStore:
    return DocumentStore(database, blobs, SearchIndex(database, WordEncoder()))


def test_a_new_document_is_processing(store: DocumentStore) -> None:
    document = admit(store)
    assert (document.status, document.vector_status, document.job_id) == ("processing", "pending", "job-1")
    assert store.get("local", document.id) == document
    assert document.created_at.utcoffset() is not None


def test_the_same_content_of_one_owner_is_one_document(store: DocumentStore) -> None:
    first = admit(store)
    again = store.admit(new(blob="other", job_id="job-2"))
    assert (again.outcome, again.document, again.spare_blob) == ("known", first, "other")


def test_the_same_content_of_two_owners_is_two_documents(store: DocumentStore) -> None:
    assert admit(store).id != admit(store, tenant="acme").id


def test_equal_uploads_at_once_make_one_row(store: DocumentStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        admitted = list(threads.map(lambda n: store.admit(new(blob=f"b{n}", job_id=f"j{n}")), range(8)))
    assert len({admission.document.id for admission in admitted}) == 1
    assert [admission.outcome for admission in admitted].count("new") == 1
    kept = admitted[0].document.blob
    spare = {admission.spare_blob for admission in admitted} - {None}
    assert spare == {f"b{n}" for n in range(8)} - {kept}


def test_a_failed_document_starts_anew_under_its_id(store: DocumentStore) -> None:
    failed = admit(store)
    store.fail("local", failed.id, "job-1", "corrupt", "The file is damaged.")
    again = store.admit(new(blob="fresh", job_id="job-2"))
    assert (again.outcome, again.document.id, again.spare_blob) == ("restarted", failed.id, failed.blob)
    assert (again.document.status, again.document.job_id, again.document.error_code) == ("processing", "job-2", None)


def test_pages_are_searchable_as_they_come(store: DocumentStore, database: Database) -> None:
    document = admit(store)
    assert add(store, document, 1)
    [hit] = SearchIndex(database, WordEncoder()).search("local", "基础的真理")
    assert (hit.document_id, hit.page) == (document.id, 1)
    assert store.get("local", document.id).status == "processing"


def test_a_page_is_added_once_however_often_it_is_read(store: DocumentStore, database: Database) -> None:
    """By a retry, or by a worker that was taken for dead and goes on."""
    document = admit(store)
    for numbers in [(1,), (1, 2), (2, 1)]:
        assert add(store, document, *numbers)
    assert rows(database, pages) == 2
    now = store.get("local", document.id)
    assert (now.page_count, now.content_length) == (2, sum(map(len, PAGES)))
    assert rows(database, passages) == now.passage_count == 2


def test_a_failed_document_keeps_nothing_of_its_text(store: DocumentStore, database: Database) -> None:
    document = admit(store)
    add(store, document, 1, 2)
    assert store.fail("local", document.id, "job-1", "corrupt", "The file is damaged.")
    assert rows(database, pages) == rows(database, passages) == 0
    failed = store.get("local", document.id)
    assert (failed.status, failed.error_code, failed.page_count, failed.content_length) == ("failed", "corrupt", 0, 0)


def test_a_job_that_is_not_the_documents_changes_nothing(store: DocumentStore) -> None:
    document = admit(store)
    before = store.get("local", document.id)
    found = [(Page(1, 1, PAGES[0]), split_page(1, PAGES[0]))]
    assert store.begin("local", document.id, "job-2") is None
    assert not store.add_pages("local", document.id, "job-2", found)
    assert not store.complete("local", document.id, "job-2")
    assert not store.fail("local", document.id, "job-2", "x", "x")
    assert store.get("local", document.id) == before


def test_a_completed_document_is_neither_failed_nor_added_to(store: DocumentStore) -> None:
    document = admit(store)
    assert store.complete("local", document.id, "job-1")
    assert not store.fail("local", document.id, "job-1", "x", "x")
    assert not add(store, document, 1)
    assert store.get("local", document.id).completed_at is not None


def test_a_requeued_job_takes_its_failed_document_up_again(store: DocumentStore) -> None:
    document = admit(store)
    store.fail("local", document.id, "job-1", "timeout", "It took too long.")
    begun = store.begin("local", document.id, "job-1")
    assert begun is not None
    assert (begun.status, begun.error_message) == ("processing", None)


def test_a_deleted_document_leaves_nothing(store: DocumentStore, blobs: BlobStore, database: Database) -> None:
    with blobs.stage(io.BytesIO(b"x"), 10) as staged:
        blob = blobs.put("local", staged)
    document = store.admit(new(blob=blob)).document
    add(store, document, 1, 2)
    delete(store, document)
    with pytest.raises(BlobNotFound), blobs.open(blob):
        pass
    assert rows(database, documents) == rows(database, pages) == rows(database, passages) == 0
    assert not add(store, document, 1)
    assert SearchIndex(database, WordEncoder()).search("local", "基础的真理") == []


def test_a_hidden_document_is_gone_for_all_but_its_purge(store: DocumentStore, database: Database) -> None:
    document = admit(store)
    add(store, document, 1, 2)
    hidden = store.hide("local", document.id)
    for call in (store.get, store.get_completed, store.hide):
        with pytest.raises(DocumentNotFound):
            call("local", document.id)
    assert store.find("local", document.sha256) is None
    assert store.list("local") == store.in_work(0) == store.without_vectors(0) == []
    for job_id in (document.job_id, hidden.job_id):
        assert store.begin("local", document.id, job_id) is None
        assert not store.complete("local", document.id, job_id)
        assert not store.fail("local", document.id, job_id, "x", "x")
    assert not store.set_vector_status("local", document.id, "completed")
    assert SearchIndex(database, WordEncoder()).search("local", "基础的真理") == []
    assert [row.id for row in store.hidden(0)] == [document.id]
    assert store.named_blobs([document.blob]) == {document.blob}


def test_the_same_file_may_come_again_while_its_forerunner_is_purged(store: DocumentStore) -> None:
    first = admit(store)
    add(store, first, 1)
    hidden = store.hide("local", first.id)
    second = store.admit(new(job_id="job-2"))
    assert (second.outcome, second.document.id > first.id) == ("new", True)
    assert add(store, second.document, 1)
    assert store.purge("local", first.id, hidden.job_id, lambda: None)
    assert store.get("local", second.document.id).page_count == 1


class Killed(BaseException):
    """The worker's end."""


def test_a_purge_goes_in_short_steps_and_goes_on_after_a_kill(
    store: DocumentStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.stores.documents._REMOVED_PAGES", 1)
    document = admit(store)
    add(store, document, 1, 2)
    hidden = store.hide("local", document.id)

    def kill() -> None:
        raise Killed

    with pytest.raises(Killed):
        store.purge("local", document.id, hidden.job_id, kill)
    assert rows(database, pages) == rows(database, passages) == rows(database, text("passage_terms")) == 1
    renewed = store.reassign(hidden)
    assert renewed is not None
    assert store.reassign(hidden) is None
    assert not store.purge("local", document.id, hidden.job_id, lambda: None)
    assert store.purge("local", document.id, renewed.job_id, lambda: None)
    assert rows(database, documents) == rows(database, passages) == rows(database, text("passage_terms")) == 0


def test_a_failing_that_was_broken_off_leaves_what_a_new_attempt_counts_right(
    store: DocumentStore, database: Database
) -> None:
    """Its pages go in steps, each with its passages and out of the counts."""
    document = admit(store)
    add(store, document, 1, 2)
    numbers, ids = next(iter(store._batches(document.id)))
    with database.read() as connection:
        of_first = SearchIndex(database, WordEncoder()).by_page(connection, document.id)[1]
    assert (numbers, len(ids)) == ([1, 2], 2)
    assert store._drop_pages(documents.c.id == document.id, document.id, [1], of_first)
    assert store.get("local", document.id).page_count == 1
    assert add(store, document, 1, 2)
    now = store.get("local", document.id)
    assert (now.page_count, now.passage_count, now.content_length) == (2, 2, sum(map(len, PAGES)))


def test_an_id_is_never_used_again(store: DocumentStore) -> None:
    first = admit(store)
    delete(store, first)
    assert admit(store).id > first.id


def test_another_tenant_sees_nothing(store: DocumentStore) -> None:
    document = admit(store)
    for call in (store.get, store.hide):
        with pytest.raises(DocumentNotFound):
            call("acme", document.id)
    assert store.list("acme") == []
    assert store.find("acme", document.sha256) is None


def test_documents_are_listed_newest_first_in_pages(store: DocumentStore) -> None:
    ids = [store.admit(new(sha256=str(n), job_id=f"j{n}")).document.id for n in range(5)]
    first = store.list("local", limit=2)
    rest = store.list("local", before=first[-1].id, limit=10**9)
    assert [document.id for document in first + rest] == ids[::-1]


def test_what_waits_is_found_across_tenants(store: DocumentStore) -> None:
    reading, read = admit(store), admit(store, tenant="acme")
    store.complete("acme", read.id, "job-1")
    assert [document.id for document in store.in_work(0)] == [reading.id]
    assert [document.id for document in store.without_vectors(0)] == [read.id]
    assert not store.in_work(60)
    assert store.set_vector_status("acme", read.id, "completed")
    assert not store.without_vectors(0)


def new(**changes: Any) -> NewDocument:
    values = {
        "tenant": "local", "filename": "手册.txt", "media_type": TEXT, "size": 9, "sha256": "0" * 64,
        "blob": "local/none", "job_id": "job-1",
    }  # fmt: skip
    return NewDocument(**{**values, **changes})


def admit(store: DocumentStore, **changes: Any) -> Document:
    return store.admit(new(**changes)).document


def add(store: DocumentStore, document: Document, *numbers: int) -> bool:
    found = [(Page(n, len(PAGES), PAGES[n - 1]), split_page(n, PAGES[n - 1])) for n in numbers]
    return store.add_pages(document.tenant, document.id, document.job_id, found)


def delete(store: DocumentStore, document: Document) -> None:
    hidden = store.hide(document.tenant, document.id)
    assert store.purge(document.tenant, document.id, hidden.job_id, lambda: None)


def rows(database: Database, table: Any) -> int:
    with database.read() as connection:
        return connection.execute(select(func.count()).select_from(table)).scalar_one()
