"""Attempts: what is tried again, after which wait, and what is not done twice."""

from dataclasses import replace
from typing import cast

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs.core import spec
from jobs.core.client import JobClient, WrongState
from jobs.core.context import JobContext
from jobs.core.errors import Interrupted, NonRetryableError, RetryableError
from jobs.core.runner import run_with
from jobs.services import Services
from jobs.stores.database import Database
from tests.fakes import make_due, run_jobs
from tests.unit.core.conftest import TENANT, Counted, WordArgs


def test_a_retryable_error_is_tried_again_after_a_wait_and_every_attempt_is_kept(
    services: Services, client: JobClient
) -> None:
    """Two failures, then a result: state `retrying` with its time in between, both attempts on record."""
    runs: list[int] = []

    @spec.job("words.flaky", retries=3)
    def flaky(ctx: JobContext, args: WordArgs) -> int:
        runs.append(ctx.attempt)
        if ctx.attempt < 3:
            raise RetryableError("The other side is busy.", retry_after=7)
        return ctx.attempt

    job_id = client.start("words.flaky", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    waiting = client.get(TENANT, job_id)
    assert waiting.state == "retrying"
    assert waiting.next_attempt_at
    assert 5 < (waiting.next_attempt_at - waiting.attempts[0].ended_at).total_seconds() < 9
    for _ in range(2):
        make_due(services)
        run_jobs(services)
    done = client.get(TENANT, job_id)
    assert (done.state, done.result, runs) == ("completed", 3, [1, 2, 3])
    assert [attempt.code for attempt in done.attempts] == ["temporarily_unavailable"] * 2


def test_an_error_that_cannot_get_better_is_not_tried_again(services: Services, client: JobClient) -> None:
    """NON_RETRYABLE ends the job at its first attempt, with the code and text for clients."""

    @spec.job("words.impossible")
    def impossible(ctx: JobContext, args: WordArgs) -> None:
        raise NonRetryableError("No such word.")

    job_id = client.start("words.impossible", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    view = client.get(TENANT, job_id)
    assert view.state == "failed"
    assert view.error
    assert (view.error.code, view.error.message) == ("not_possible", "No such word.")
    assert len(view.attempts) == 1


def test_an_unexpected_error_does_not_show_its_text(services: Services, client: JobClient) -> None:
    """The text of an exception that nobody classified may hold anything."""

    @spec.job("words.bug", retries=0)
    def bug(ctx: JobContext, args: WordArgs) -> None:
        raise KeyError("password=hunter2")

    job_id = client.start("words.bug", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    view = client.get(TENANT, job_id)
    assert view.error
    assert view.error.code == "internal_error"
    assert "hunter2" not in view.model_dump_json()


def test_a_requeued_job_has_all_its_attempts_again(services: Services, client: JobClient) -> None:
    """Failed after 1 + 1 attempts; requeued, it is tried twice more, and all four stand on record."""

    @spec.job("words.down", retries=1)
    def down(ctx: JobContext, args: WordArgs) -> None:
        raise RetryableError

    job_id = client.start("words.down", {"word": "x"}, tenant=TENANT)
    for _ in range(2):
        run_jobs(services)
        make_due(services)
    assert client.get(TENANT, job_id).state == "failed"
    assert client.requeue(TENANT, job_id).state == "queued"
    run_jobs(services)
    assert client.get(TENANT, job_id).state == "retrying"
    make_due(services)
    run_jobs(services)
    view = client.get(TENANT, job_id)
    assert view.state == "failed"
    assert [attempt.number for attempt in view.attempts] == [1, 2, 3, 4]
    with pytest.raises(WrongState):
        client.cancel(TENANT, job_id)


def test_the_failure_hook_runs_once_when_the_job_failed_for_good(services: Services, client: JobClient) -> None:
    """Not at an attempt that will be followed by another."""
    told: list[str] = []

    def tell(ctx: JobContext, args: WordArgs, failure: spec.Failure) -> None:
        told.append(f"{args.word}:{failure.code}")

    @spec.job("words.down", retries=1, on_failure=tell)
    def down(ctx: JobContext, args: WordArgs) -> None:
        raise RetryableError

    client.start("words.down", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    assert told == []
    make_due(services)
    run_jobs(services)
    assert told == ["x:temporarily_unavailable"]


def test_a_finished_step_is_not_done_again(services: Services, client: JobClient) -> None:
    """The second attempt gets the first one's result back as the model that it was."""
    done: list[str] = []

    def count(word: str) -> Counted:
        done.append(word)
        return Counted(count=len(word))

    @spec.job("words.steps", retries=1)
    def steps(ctx: JobContext, args: WordArgs) -> int:
        first = ctx.step("first", count, args.word)
        if ctx.attempt == 1:
            raise RetryableError
        return first.count + ctx.step("second", count, args.word * 2).count

    job_id = client.start("words.steps", {"word": "ab"}, tenant=TENANT)
    run_jobs(services)
    make_due(services)
    run_jobs(services)
    assert client.get(TENANT, job_id).result == 6
    assert done == ["ab", "abab"]


def test_a_child_job_is_started_once_over_all_attempts(services: Services, client: JobClient) -> None:
    """Its id follows from the parent and the arguments; its tenant is the parent's."""

    @spec.job("words.child", queue="low")
    def child(ctx: JobContext, args: WordArgs) -> str:
        return ctx.tenant

    @spec.job("words.parent", retries=1)
    def parent(ctx: JobContext, args: WordArgs) -> str:
        started = ctx.start("words.child", WordArgs(word=args.word))
        if ctx.attempt == 1:
            raise RetryableError
        return started

    job_id = client.start("words.parent", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    make_due(services)
    run_jobs(services)
    child_id = client.get(TENANT, job_id).result
    assert client.get(TENANT, child_id).result == TENANT
    assert len(client.list(TENANT).jobs) == 2


def test_a_redis_that_is_away_uses_up_no_attempt(services: Services, client: JobClient) -> None:
    """The job begins again when Redis is back: it has no retries, and needs none."""
    runs: list[int] = []

    @spec.job("words.cut", retries=0)
    def cut(ctx: JobContext, args: WordArgs) -> str:
        runs.append(ctx.attempt)
        if len(runs) == 1:
            raise RedisConnectionError
        return "done"

    job = Job.fetch(client.start("words.cut", {"word": "x"}, tenant=TENANT), services.redis, JSONSerializer)
    services = replace(services, database=cast(Database, Answering()))
    with pytest.raises(Interrupted):
        run_with(services, job, *job.args)
    assert run_with(services, job, *job.args) == "done"
    assert (runs, client.get(TENANT, job.id).attempts) == ([1, 1], [])


class Answering:
    """A database that is there."""

    def answers(self) -> bool:
        return True
