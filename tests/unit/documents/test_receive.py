"""What is taken in and what is refused; a refusal leaves nothing."""

import io
from typing import cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from jobs import documents
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


def test_when_the_job_cannot_be_started_nothing_is_kept(services: Services) -> None:
    with pytest.raises(RedisConnectionError):
        documents.receive(services, cast(JobClient, NoClient()), "local", io.BytesIO(CHINESE), "x.txt")
    assert services.documents.list("local") == []
    assert files(services) == []


def test_when_a_failed_document_cannot_be_started_again_it_stays_failed(services: Services) -> None:
    """Its id is known to the client, so it is not deleted."""
    document = receive(services, samples.pdf([""]))
    run_jobs(services)
    with pytest.raises(RedisConnectionError):
        documents.receive(services, cast(JobClient, NoClient()), "local", io.BytesIO(samples.pdf([""])), "x.pdf")
    assert (now(services, document).status, now(services, document).error_code) == ("failed", "not_started")
