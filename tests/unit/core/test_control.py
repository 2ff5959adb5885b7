"""Control: list, cancel, pause, resume, forget, override."""

import time
from typing import Any

import pytest
from rq.job import Job
from rq.registry import DeferredJobRegistry
from rq.serializers import JSONSerializer

from jobs.core import keys, spec
from jobs.core.client import JobClient, WrongState
from jobs.core.context import JobContext
from jobs.core.errors import Interrupted, JobCanceled, NonRetryableError
from jobs.core.events import read_events
from jobs.core.listing import JobFilter
from jobs.core.runner import run_with
from jobs.core.view import JobNotFound
from jobs.services import Services
from tests.fakes import make_due, run_jobs
from tests.unit.core.conftest import TENANT, WordArgs


def test_a_waiting_job_is_canceled_and_never_starts(services: Services, client: JobClient) -> None:
    """Canceling twice is canceling once; watchers are told."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        raise AssertionError("must not start")

    job_id = client.start("words.repeat", {"word": "x"}, tenant=TENANT)
    assert client.cancel(TENANT, job_id).state == "canceled"
    assert client.cancel(TENANT, job_id).state == "canceled"
    run_jobs(services)
    view = client.get(TENANT, job_id)
    assert view.state == "canceled"
    assert [event.kind for event in read_events(services.redis, TENANT, job_id)] == ["end"]
    with pytest.raises(WrongState):
        client.requeue(TENANT, job_id)


def test_jobs_are_listed_newest_first_in_pages(services: Services, client: JobClient) -> None:
    """A page goes on exactly after the one before; jobs that Redis dropped leave the list."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    ids = [client.start("words.repeat", {"word": str(n)}, tenant=TENANT) for n in range(5)]
    first = client.list(TENANT, limit=2)
    second = client.list(TENANT, after=first.last, limit=2)
    assert [view.id for view in first.jobs + second.jobs] == ids[:0:-1]
    services.redis.delete(Job.key_for(ids[0]))
    assert [view.id for view in client.list(TENANT, limit=10).jobs] == ids[:0:-1]
    assert services.redis.zcard(keys.jobs(TENANT)) == 4


def test_a_waiting_job_is_paused_and_resumed(services: Services, client: JobClient) -> None:
    """Parked, it does not start; RQ's tools see it as deferred; both words may be said twice."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    for due in (None, time.time() + 3600):
        job_id = client.start("words.repeat", {"word": "x"}, tenant=TENANT, due=due)
        assert client.pause(TENANT, job_id).state == "paused"
        assert client.pause(TENANT, job_id).state == "paused"
        run_jobs(services)
        make_due(services)
        assert client.get(TENANT, job_id).state == "paused"
        assert job_id in DeferredJobRegistry("default", connection=services.redis).get_job_ids(cleanup=False)
        resumed = "scheduled" if due else "queued"  # for its time, as before
        assert client.resume(TENANT, job_id).state == resumed
        assert client.resume(TENANT, job_id).state == resumed
        make_due(services)
        run_jobs(services)
        assert client.get(TENANT, job_id).state == "completed"
        for act in (client.pause, client.resume, client.cancel):
            with pytest.raises(WrongState):
                act(TENANT, job_id)


def test_a_paused_job_is_canceled(services: Services, client: JobClient) -> None:
    """It is not paused any more, and never starts."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        raise AssertionError("must not start")

    job_id = client.start("words.repeat", {"word": "x"}, tenant=TENANT)
    client.pause(TENANT, job_id)
    assert client.cancel(TENANT, job_id).state == "canceled"
    with pytest.raises(WrongState):
        client.resume(TENANT, job_id)
    run_jobs(services)
    assert client.get(TENANT, job_id).state == "canceled"


def test_an_ended_job_is_forgotten_with_everything_of_its_own(services: Services, client: JobClient) -> None:
    """Only an ended one; afterwards nothing of it is left in Redis."""

    @spec.job("words.talk")
    def talk(ctx: JobContext, args: WordArgs) -> str:
        ctx.progress(50)
        return ctx.step("say", str.upper, args.word)

    job_id = client.start("words.talk", {"word": "x"}, tenant=TENANT)
    with pytest.raises(WrongState):
        client.delete(TENANT, job_id)
    run_jobs(services)
    client.delete(TENANT, job_id)
    assert [key for key in services.redis.scan_iter() if job_id.encode() in key] == []
    assert client.list(TENANT).jobs == []
    with pytest.raises(JobNotFound):
        client.delete(TENANT, job_id)


def test_lists_are_filtered(services: Services, client: JobClient) -> None:
    """By type, state, queue and time; a page goes on after the last job that was looked at."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    done = client.start("words.repeat", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    waiting = [client.start("words.repeat", {"word": "x"}, tenant=TENANT, queue="low") for _ in range(3)]

    def ids(**only: Any) -> list[str]:
        return [view.id for view in client.list(TENANT, only=JobFilter(**only)).jobs]

    assert ids(state="completed") == [done]
    assert ids(queue="low") == waiting[::-1]
    assert ids(type="other") == []
    assert ids(until=client.get(TENANT, waiting[0]).created_at) == [done]
    assert ids(since=client.get(TENANT, waiting[2]).created_at) == [waiting[2]]
    page = client.list(TENANT, limit=2, only=JobFilter(queue="low"))
    rest = client.list(TENANT, after=page.last, limit=2, only=JobFilter(queue="low"))
    assert [view.id for view in page.jobs + rest.jobs] == waiting[::-1]


def test_a_request_may_override_what_the_type_says(services: Services, client: JobClient) -> None:
    """Queue, timeout, retries and time."""

    @spec.job("words.repeat", queue="default", timeout=60, retries=3)
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    due = time.time() + 60
    options: dict[str, Any] = {"queue": "high", "timeout": 5, "retries": 1, "due": due}
    job_id = client.start("words.repeat", {"word": "x"}, tenant=TENANT, **options)
    view = client.get(TENANT, job_id)
    assert (view.state, view.queue, view.retries_left) == ("scheduled", "high", 1)
    assert view.next_attempt_at
    assert abs(view.next_attempt_at.timestamp() - due) < 0.01
    assert Job.fetch(job_id, connection=services.redis, serializer=JSONSerializer).timeout == 5


def test_jobs_of_the_same_moment_are_all_listed(services: Services, client: JobClient) -> None:
    """A batch comes in one instant; a page goes on within it, also when its last job is gone meanwhile."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    ids = {client.start("words.repeat", {"word": "x"}, tenant=TENANT) for _ in range(7)}
    services.redis.zadd(keys.jobs(TENANT), dict.fromkeys(ids, 1e9), xx=True)
    seen: list[str] = []
    after = None
    while True:
        page = client.list(TENANT, after=after, limit=2)
        seen += [view.id for view in page.jobs]
        if page.last is None:
            break
        after = page.last
    assert len(seen) == 7
    assert set(seen) == ids
    first = client.list(TENANT, limit=2)
    services.redis.zrem(keys.jobs(TENANT), first.jobs[-1].id)
    rest = {view.id for view in client.list(TENANT, after=first.last).jobs}
    assert rest >= ids - {view.id for view in first.jobs}


def test_a_requeued_job_is_not_stopped_by_an_old_word(services: Services, client: JobClient) -> None:
    """It failed before it heard that it should pause; started again, it runs to its end."""

    @spec.job("words.steps", retries=0)
    def steps(ctx: JobContext, args: WordArgs) -> str:
        if not services.redis.exists("again"):
            services.redis.hset(keys.state(TENANT, ctx.job_id), "pause", "1")
            raise NonRetryableError
        ctx.checkpoint()
        return args.word

    job_id = client.start("words.steps", {"word": "x"}, tenant=TENANT)
    run_jobs(services)
    services.redis.set("again", "1")
    client.requeue(TENANT, job_id)
    run_jobs(services)
    assert client.get(TENANT, job_id).state == "completed"


def context(services: Services, client: JobClient, job_id: str) -> JobContext:
    return JobContext(job_id=job_id, tenant=TENANT, attempt=1, services=services, client=client)


def test_a_run_that_was_taken_for_dead_leaves_when_another_has_begun(services: Services, client: JobClient) -> None:
    """At its next checkpoint: what it was to do is done by the other one."""
    silent, other = (context(services, client, "j") for _ in range(2))
    silent.step("one", str.upper, "x")
    other.checkpoint()
    with pytest.raises(Interrupted):
        silent.step("two", str.upper, "y")
    assert other.step("one", str.lower, "x") == "X"
    other.checkpoint()


def test_steps_that_redis_has_lost_are_given_back_by_the_run_that_has_taken_them(
    services: Services, client: JobClient
) -> None:
    """So that the run that is started anew does not take them again."""
    first = context(services, client, "j")
    first.step("one", str.upper, "x")
    services.redis.flushall()
    first.checkpoint()
    second = context(services, client, "j")
    assert second.step("one", str.lower, "never") == "X"
    with pytest.raises(Interrupted):
        first.checkpoint()


def test_a_child_does_not_begin_when_its_parent_is_paused_or_canceled(services: Services, client: JobClient) -> None:
    """Also if the word to the parent came before it had told of the child."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    def attempt(job_id: str) -> None:
        job = Job.fetch(job_id, connection=services.redis, serializer=JSONSerializer)
        run_with(services, job, *job.args)

    parent = client.start("words.repeat", {"word": "p"}, tenant=TENANT)
    child = client.start("words.repeat", {"word": "c"}, tenant=TENANT, parent=parent)
    attempt(child)
    client.pause(TENANT, parent)
    with pytest.raises(Interrupted):
        attempt(child)
    client.resume(TENANT, parent)
    client.cancel(TENANT, parent)
    with pytest.raises(JobCanceled):
        attempt(child)


def test_children_that_are_paused_can_be_resumed_by_their_parent_that_has_ended(
    services: Services, client: JobClient
) -> None:
    @spec.job("words.start")
    def start(ctx: JobContext, args: WordArgs) -> str:
        return ctx.start("words.repeat", {"word": "c"}, child=True, queue="low", due=time.time() + 3600)

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    parent = client.start("words.start", {"word": "p"}, tenant=TENANT)
    run_jobs(services)
    child = client.get(TENANT, parent).result
    client.pause(TENANT, child)
    assert client.resume(TENANT, parent).state == "completed"
    assert client.get(TENANT, child).state == "scheduled"
    make_due(services)
    run_jobs(services)
    with pytest.raises(WrongState):
        client.resume(TENANT, parent)
