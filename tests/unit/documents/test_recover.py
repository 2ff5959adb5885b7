"""What a kill -9 between two lines leaves, and `documents.recover` mends."""

import io

from jobs import documents
from jobs.core import keys
from jobs.services import Services
from tests import samples
from tests.fakes import job_client, run_jobs
from tests.unit.documents.steps import (
    CHINESE,
    context,
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


def test_a_file_without_a_row_is_deleted_and_others_stay(services: Services) -> None:
    kept = receive(services, CHINESE)
    with services.blobs.stage(io.BytesIO(b"orphan"), 100) as staged:
        services.blobs.put("local", staged)
    assert recover(services, file_seconds=3600).files == 0
    assert recover(services, file_seconds=0).files == 1
    assert [path.name for path in files(services)] == [kept.blob.split("/")[1]]
