"""What is taken in and what is refused; a refusal leaves nothing."""

import io
from typing import cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs import documents
from jobs.core import keys
from jobs.core.client import JobClient
from jobs.domain.documents import (
    DocxBomb,
    EmptyFile,
    TooLarge,
    UnsupportedMedia,
)
from jobs.services import Services
from tests import samples
from tests.fakes import run_jobs
from tests.unit.documents.steps import (
    CHINESE,
    NoClient,
    files,
    now,
    receive,
    recover,
)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", EmptyFile),
        (samples.EXE, UnsupportedMedia),
        (b"x" * (2**20 + 1), TooLarge),
        (samples.docx_with({f"word/media/{n}.bin": b"" for n in range(2001)}), DocxBomb),
    ],
)
def test_a_refused_file_leaves_nothing(services: Services, content: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        receive(services, content, "invoice.pdf")
    assert services.documents.list("local") == []
    assert files(services) == []
    assert not services.redis.keys("rq:job:*")


@pytest.mark.parametrize("name", ["../../x.txt", "..\\x.txt", "a\0b.txt", "", "..", "x" * 5000, None])
def test_a_clients_file_name_is_in_no_path(services: Services, name: str | None) -> None:
    document = receive(services, CHINESE, name)
    [path] = files(services)
    assert path.parent.name == "local"
    assert path.name.isalnum()
    assert not {"/", "\\", "\0"} & set(document.filename)


def test_the_same_file_again_is_the_same_document(services: Services) -> None:
    first = receive(services, CHINESE)
    assert receive(services, CHINESE).id == first.id
    run_jobs(services)
    assert receive(services, CHINESE).status == "completed"
    assert len(files(services)) == 1


def test_a_failed_document_is_read_anew_when_it_comes_again(services: Services) -> None:
    first = receive(services, samples.pdf([""]))
    run_jobs(services)
    again = receive(services, samples.pdf([""]))
    assert (again.id, again.status) == (first.id, "processing")
    assert again.job_id != first.job_id
    assert len(files(services)) == 1
    run_jobs(services)
    assert now(services, again).error_code == "no_text"


@pytest.mark.parametrize("content", [CHINESE, samples.pdf([""])], ids=["new", "failed"])
def test_a_document_whose_job_cannot_be_started_is_kept_for_later(services: Services, content: bytes) -> None:
    """Another request may have been promised it meanwhile. New, or failed before."""
    receive(services, samples.pdf([""]))
    run_jobs(services)
    with pytest.raises(RedisConnectionError):
        documents.receive(services, cast(JobClient, NoClient()), "local", io.BytesIO(content), "x.txt")
    document = services.documents.list("local")[0]
    assert document.status == "processing"
    assert recover(services).started == 1
    run_jobs(services)
    assert now(services, document).status != "processing"


def test_the_second_of_two_equal_uploads_starts_what_the_first_could_not(services: Services) -> None:
    """It finds a row whose job is not there yet; its own answer promises that the document is read."""
    with pytest.raises(RedisConnectionError):
        documents.receive(services, cast(JobClient, NoClient()), "local", io.BytesIO(CHINESE), "x.txt")
    document = receive(services, CHINESE)
    run_jobs(services)
    assert now(services, document).status == "completed"
    assert services.redis.zcard(keys.jobs("local")) == 2  # reading and embedding, once each


def test_a_known_document_promises_nothing_while_redis_is_away(services: Services) -> None:
    first = receive(services, CHINESE)
    with pytest.raises(RedisConnectionError):
        documents.receive(services, cast(JobClient, NoClient()), "local", io.BytesIO(CHINESE), "x.txt")
    assert now(services, first).status == "processing"
