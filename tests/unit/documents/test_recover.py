"""What a kill -9 between two lines leaves, and `documents.recover` mends."""

import io
from dataclasses import replace
from typing import cast

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jobs import documents
from jobs.core import keys
from jobs.core.client import JobClient
from jobs.core.reconcile import reconcile
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
    with pytest.raises(RedisConnectionError):  # as if killed before the job was accepted
        documents.receive(services, cast(JobClient, NoClient()), "local", io.BytesIO(CHINESE), "x.txt")
    [document] = services.documents.list("local")
    assert recover(services).started == 1
    run_jobs(services)
    assert now(services, document).status == "completed"


def test_what_redis_has_lost_is_started_again_by_the_reconciler(services: Services) -> None:
    """Reading, embedding and purging alike: each is work that was accepted."""
    document = receive(services, CHINESE)
    services.redis.flushall()
    assert recover(services) == documents.RecoverResult()
    assert reconcile(services.redis, services.work, young=0).restored == 1
    run_jobs(services)
    assert (now(services, document).status, now(services, document).vector_status) == ("completed", "completed")
    delete(services, document)
    services.redis.flushall()
    assert recover(services).purges == 0
    assert reconcile(services.redis, services.work, young=0).restored == 1
    run_jobs(services)
    assert (services.documents.hidden(0), files(services)) == ([], [])


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


def test_a_deleted_document_whose_purge_was_canceled_gets_another(services: Services) -> None:
    document = receive(services, CHINESE)
    run_jobs(services)
    delete(services, document)
    assert recover(services).purges == 0
    job_client(services).cancel("local", services.documents.hidden(0)[0].job_id)
    assert recover(services).purges == 1
    run_jobs(services)
    assert (services.documents.hidden(0), files(services)) == ([], [])


def test_a_document_is_deleted_while_redis_is_away(services: Services) -> None:
    document = receive(services, CHINESE)
    away = Redis(port=1, retry=Retry(NoBackoff(), 0))
    documents.remove(services, job_client(replace(services, redis=away)), "local", document.id)
    assert services.documents.list("local") == []
    assert recover(services).purges == 0  # it waits in the database
    assert reconcile(services.redis, services.work, young=0).restored == 1


def test_a_file_without_a_row_is_deleted_and_others_stay(services: Services) -> None:
    kept = receive(services, CHINESE)
    with services.blobs.stage(io.BytesIO(b"orphan"), 100) as staged:
        services.blobs.put("local", staged)
    assert recover(services, file_seconds=3600).files == 0
    assert recover(services, file_seconds=0).files == 1
    assert [path.name for path in files(services)] == [kept.blob.split("/")[1]]


def test_a_row_whose_file_is_gone_fails_and_says_so(services: Services) -> None:
    """It does not stay `processing`; the same content, sent again, is read."""
    document = receive(services, CHINESE)
    services.blobs.delete(document.blob)
    run_jobs(services)
    failed = now(services, document)
    assert (failed.status, failed.error_code) == ("failed", "blob_not_found")
    again = receive(services, CHINESE)
    run_jobs(services)
    assert (again.id, now(services, again).status) == (document.id, "completed")
