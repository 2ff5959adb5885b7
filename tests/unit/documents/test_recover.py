"""What a kill -9 between two lines leaves, and `documents.recover` mends."""

import io
from typing import cast

import pytest

from jobs import documents
from jobs.core import keys
from jobs.core.client import JobClient
from jobs.services import Services
from tests import samples
from tests.fakes import job_client, run_jobs
from tests.unit.documents.steps import (
    CHINESE,
    NoClient,
    context,
    delete,
    files,
    now,
    receive,
    recover,
    set_processing,
)


def test_a_row_without_a_job_is_started(services: Services) -> None:
    document = receive(services, CHINESE)
    services.redis.flushall()  # killed before the job was queued; or Redis lost it
    assert recover(services).started == 1
    run_jobs(services)
    assert now(services, document).status == "completed"


def test_a_row_whose_job_cannot_be_read_gets_a_job_of_another_id(services: Services) -> None:
    """A hash that the worker put in quarantine leaves one without an owner, which no start replaces."""
    document = receive(services, CHINESE)
    services.redis.delete(f"rq:job:{document.job_id}", "rq:queue:default")
    services.redis.hset(f"rq:job:{document.job_id}", mapping={"status": "failed", "origin": "default"})
    assert recover(services).started == 1
    renewed = now(services, document)
    assert renewed.job_id != document.job_id
    assert recover(services).started == 0
    run_jobs(services)
    assert now(services, document).status == "completed"


def test_a_row_whose_job_waits_or_runs_is_left_alone(services: Services) -> None:
    receive(services, CHINESE)
    assert recover(services) == documents.RecoverResult()
    assert services.redis.zcard(keys.jobs("local")) == 1


def test_a_row_whose_job_failed_unseen_fails_with_its_reason(services: Services) -> None:
    document = receive(services, samples.pdf([""]))
    run_jobs(services)
    set_processing(services, document)
    assert recover(services).failed == 1
    assert (now(services, document).status, now(services, document).error_code) == ("failed", "no_text")


def test_a_row_whose_job_was_canceled_in_the_queue_fails(services: Services) -> None:
    document = receive(services, CHINESE)
    job_client(services).cancel("local", document.job_id)
    assert recover(services).failed == 1
    assert now(services, document).error_code == "canceled"


def test_a_document_that_waits_for_vectors_without_a_job_gets_one(services: Services) -> None:
    document = receive(services, CHINESE)
    documents.process(context(services, document), documents.ProcessArgs(document_id=document.id))
    services.redis.flushall()
    recover(services)
    run_jobs(services)
    assert now(services, document).vector_status == "completed"


def test_a_document_whose_embedding_cannot_be_read_goes_without_vectors(services: Services) -> None:
    document = receive(services, CHINESE)
    documents.process(context(services, document), documents.ProcessArgs(document_id=document.id))
    [job_id] = services.redis.lrange("rq:queue:low", 0, -1)
    services.redis.delete("rq:job:" + job_id.decode())
    services.redis.hset("rq:job:" + job_id.decode(), "status", "failed")
    recover(services)
    assert now(services, document).vector_status == "failed"


def test_a_deleted_document_is_purged_by_a_job(services: Services) -> None:
    """At once for everybody who asks; the job then removes its text, its row and its file."""
    document = receive(services, CHINESE)
    run_jobs(services)
    delete(services, document)
    assert services.documents.list("local") == []
    assert services.search.search("local", "高级编程语言") == []
    again = receive(services, CHINESE)
    assert again.id > document.id
    run_jobs(services)
    assert services.documents.hidden(0) == []
    assert [hit.document_id for hit in services.search.search("local", "高级编程语言")] == [again.id]
    assert len(files(services)) == 1


@pytest.mark.parametrize("how", ["lost", "canceled"])
def test_a_deleted_document_that_no_job_purges_gets_one(services: Services, how: str) -> None:
    document = receive(services, CHINESE)
    run_jobs(services)
    delete(services, document)
    assert recover(services).purges == 0
    if how == "lost":
        services.redis.flushall()
    else:
        job_client(services).cancel("local", services.documents.hidden(0)[0].job_id)
    assert recover(services).purges == 1
    run_jobs(services)
    assert (services.documents.hidden(0), files(services)) == ([], [])


def test_a_document_is_deleted_while_redis_is_away(services: Services) -> None:
    document = receive(services, CHINESE)
    documents.remove(services, cast(JobClient, NoClient()), "local", document.id)
    assert services.documents.list("local") == []
    assert recover(services).purges == 1


def test_a_file_without_a_row_is_deleted_and_others_stay(services: Services) -> None:
    kept = receive(services, CHINESE)
    with services.blobs.stage(io.BytesIO(b"orphan"), 100) as staged:
        services.blobs.put("local", staged)
    assert recover(services, file_seconds=3600).files == 0
    assert recover(services, file_seconds=0).files == 1
    assert [path.name for path in files(services)] == [kept.blob.split("/")[1]]
