"""From a file to a searchable document, and every way in which that can end."""

from dataclasses import replace

import pytest

from jobs import documents
from jobs.core.errors import JobCanceled
from jobs.core.spec import Failure
from jobs.domain.documents import (
    PDF,
    DocumentNotFound,
    ParserLimit,
)
from jobs.providers.parsers import parse
from jobs.services import Services
from tests import samples
from tests.fakes import job_client, run_jobs
from tests.unit.documents.steps import (
    CHINESE,
    DeletedMeanwhile,
    OutOfMemory,
    context,
    delete,
    files,
    now,
    receive,
    recover,
    set_processing,
)


@pytest.mark.parametrize(
    ("content", "question", "pages"),
    [
        (CHINESE, "高级编程语言", 1),
        (CHINESE.decode().encode("gb18030"), "高级编程语言", 1),
        (samples.CHINESE_PDF.read_bytes(), "工作进程", 4),
        (samples.ENGLISH_PDF.read_bytes(), "encrypted password", 4),
        (samples.docx(["第一段"], [["灯塔", "lighthouse"]]), "灯塔", 1),
        ("<html><p>原<b>理</b>".encode(), "原理", 1),
        (b"# Heading\n\nThe lighthouse.", "lighthouse", 1),
    ],
)
def test_a_document_becomes_searchable_and_gets_vectors(
    services: Services, content: bytes, question: str, pages: int
) -> None:
    document = receive(services, content)
    assert document.status == "processing"
    run_jobs(services)
    done = now(services, document)
    assert (done.status, done.vector_status, done.page_count, done.error_code) == (
        "completed",
        "completed",
        pages,
        None,
    )
    assert done.content_length > 0
    assert services.search.search("local", question)[0].document_id == document.id
    assert services.search.pending("local", document.id) == 0
    progress = job_client(services).get("local", document.job_id).progress
    assert progress is not None
    assert progress.percent > 0


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (samples.encrypted_pdf(user="secret", owner="boss"), "pdf_encrypted"),
        (samples.pdf(["", ""]), "no_text"),
        (samples.ENGLISH_PDF.read_bytes()[:5000], "corrupt"),
        (samples.looping_pdf(), "corrupt"),
        (samples.pdf_of_streams([bytes(60_000_000)]), "resource_limit"),
        (samples.docx_with({"word/document.xml": b"not xml"}), "corrupt"),
        (b" \n ", "no_text"),
    ],
)
def test_a_file_that_cannot_be_read_ends_as_failed(services: Services, content: bytes, code: str) -> None:
    """At the first attempt, with a code and a sentence, and the worker lives on."""
    document = receive(services, content)
    run_jobs(services)
    failed = now(services, document)
    assert (failed.status, failed.error_code) == ("failed", code)
    assert failed.error_message
    assert "Traceback" not in failed.error_message
    assert job_client(services).get("local", document.job_id).state == "failed"
    other = receive(services, CHINESE)
    run_jobs(services)
    assert now(services, other).status == "completed"


def test_a_document_deleted_before_its_job_runs_ends_it_quietly(services: Services) -> None:
    document = receive(services, CHINESE)
    delete(services, document)
    run_jobs(services)
    assert job_client(services).get("local", document.job_id).state == "completed"
    with pytest.raises(DocumentNotFound):
        now(services, document)


def test_a_document_deleted_while_it_is_read_is_not_brought_back(services: Services) -> None:
    document = receive(services, CHINESE)
    hooked = replace(services, documents=DeletedMeanwhile(services))
    result = documents.process(context(hooked, document), documents.ProcessArgs(document_id=document.id))
    assert (result.pages, result.passages) == (0, 0)
    assert services.documents.list("local") == []
    recover(services)
    run_jobs(services)
    assert files(services) == []


def test_a_document_deleted_before_its_vectors_ends_quietly(services: Services) -> None:
    document = receive(services, CHINESE)
    documents.process(context(services, document), documents.ProcessArgs(document_id=document.id))
    delete(services, document)
    run_jobs(services)
    assert services.documents.list("local") == []


def test_a_repeated_attempt_adds_nothing_twice(services: Services) -> None:
    """The first ended between the last page and the mark that it is done."""
    document = receive(services, samples.ENGLISH_PDF.read_bytes())
    args = documents.ProcessArgs(document_id=document.id)
    first = documents.process(context(services, document), args)
    set_processing(services, document)
    again = documents.process(context(services, document), args)
    assert again == first
    assert now(services, document).content_length == sum(len(page.text) for page in parse(samples.ENGLISH_PDF, PDF))


def test_memory_that_runs_out_is_a_limit_not_a_fault_of_ours(services: Services) -> None:
    document = receive(services, CHINESE)
    hooked = replace(services, documents=OutOfMemory(services))
    with pytest.raises(ParserLimit):
        documents.process(context(hooked, document), documents.ProcessArgs(document_id=document.id))


def test_a_canceled_reading_leaves_a_failed_document(services: Services) -> None:
    document = receive(services, CHINESE)
    services.redis.hset(f"offstage:local:state:{document.job_id}", "cancel", "1")
    with pytest.raises(JobCanceled):
        documents.process(context(services, document), documents.ProcessArgs(document_id=document.id))
    assert (now(services, document).status, now(services, document).error_code) == ("failed", "canceled")


def test_vectors_that_cannot_be_made_leave_the_text_in_use(services: Services) -> None:
    document = receive(services, CHINESE)
    documents.process(context(services, document), documents.ProcessArgs(document_id=document.id))
    failure = Failure("ProviderRefused", "provider_refused", "The service refused the request.", False)
    documents._mark_unembedded(context(services, document), documents.EmbedArgs(document_id=document.id), failure)
    assert (now(services, document).status, now(services, document).vector_status) == ("completed", "failed")
