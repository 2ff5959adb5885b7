"""The engine: a job type is declared, started, run, retried, and looked at."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from redis import Redis
from rq.job import Job
from rq.registry import DeferredJobRegistry
from rq.serializers import JSONSerializer

from jobs.core import keys, spec
from jobs.core.client import JobClient, JobFilter, WrongState
from jobs.core.context import JobContext
from jobs.core.errors import InvalidArguments, NonRetryableError, RetryableError, UnknownJobType
from jobs.core.events import add_event, end_event, is_event_id, read_events
from jobs.core.view import JobNotFound
from jobs.services import Services
from tests.fakes import engine_services, job_client, make_due, run_jobs

TENANT = "acme"


class WordArgs(BaseModel):
    word: str
    times: int = 1


class Counted(BaseModel):
    count: int


@pytest.fixture
def services(fake_redis: Redis) -> Services:
    return engine_services(fake_redis)


@pytest.fixture
def client(services: Services) -> JobClient:
    return job_client(services)


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Each test declares its own job types."""
    before = dict(spec._registry)
    yield
    spec._registry.clear()
    spec._registry.update(before)


def test_a_job_is_declared_started_run_and_read(services: Services, client: JobClient) -> None:
    """The whole way: the result that the function returned is what its owner reads, Chinese included."""

    @spec.job("words.repeat", describe=("times",))
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        """Repeat a word."""
        return args.word * args.times

    job_id = client.start("words.repeat", {"word": "好", "times": 2}, tenant=TENANT)
    queued = client.get(TENANT, job_id)
    assert (queued.state, queued.queue, queued.position) == ("queued", "default", 0)
    run_jobs(services)
    done = client.get(TENANT, job_id)
    assert (done.state, done.result, done.attempt, done.attempts) == ("completed", "好好", 1, [])
    assert done.started_at
    assert done.ended_at


def test_jobs_are_json_and_their_description_names_only_chosen_arguments(services: Services, client: JobClient) -> None:
    """Nothing is pickled, and what stands in dashboards is `type(key arguments)`."""

    @spec.job("words.repeat", describe=("times",))
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    job_id = client.start("words.repeat", WordArgs(word="secret", times=3), tenant=TENANT)
    job = Job.fetch(job_id, connection=services.redis, serializer=JSONSerializer)
    assert job.func_name == "jobs.core.runner.run"
    assert job.args == ["words.repeat", {"word": "secret", "times": 3}]
    assert job.description == "words.repeat(times=3)"


def test_unknown_types_and_wrong_arguments_start_nothing(services: Services, client: JobClient) -> None:
    """The error names the field and not its value."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    with pytest.raises(UnknownJobType):
        client.start("no.such", {}, tenant=TENANT)
    with pytest.raises(InvalidArguments, match="times") as caught:
        client.start("words.repeat", {"word": "x", "times": "hunter2"}, tenant=TENANT)
    assert "hunter2" not in str(caught.value)
    assert client.list(TENANT).jobs == []


def test_another_tenants_job_is_not_found(services: Services, client: JobClient) -> None:
    """A known id of another tenant answers as a missing one does, for looking and for acting."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    job_id = client.start("words.repeat", {"word": "x"}, tenant=TENANT)
    for act in (client.get, client.cancel, client.requeue):
        with pytest.raises(JobNotFound):
            act("other", job_id)
    assert client.list("other").jobs == []


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


def test_progress_and_events_are_kept_in_order(services: Services, client: JobClient) -> None:
    """`GET /jobs/{id}` shows the last progress; the stream has every word of the job, under its tenant."""

    @spec.job("words.talk")
    def talk(ctx: JobContext, args: WordArgs) -> None:
        ctx.progress(50, "一半")
        ctx.emit("output", {"text": args.word})

    job_id = client.start("words.talk", {"word": "你好"}, tenant=TENANT)
    run_jobs(services)
    progress = client.get(TENANT, job_id).progress
    assert progress
    assert (progress.percent, progress.message) == (50.0, "一半")
    events = read_events(services.redis, TENANT, job_id)
    assert [(event.kind, event.data) for event in events] == [
        ("progress", {"percent": 50, "message": "一半"}),
        ("output", {"text": "你好"}),
    ]
    assert [event.kind for event in read_events(services.redis, TENANT, job_id, events[0].id)] == ["output"]
    assert read_events(services.redis, "other", job_id) == []


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


def test_jobs_are_listed_newest_first_in_pages(services: Services, client: JobClient) -> None:
    """A page goes on exactly after the one before; jobs that Redis dropped leave the list."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    ids = [client.start("words.repeat", {"word": str(n)}, tenant=TENANT) for n in range(5)]
    first = client.list(TENANT, limit=2)
    second = client.list(TENANT, before=first.last, limit=2)
    assert [view.id for view in first.jobs + second.jobs] == ids[:0:-1]
    services.redis.delete(Job.key_for(ids[0]))
    assert [view.id for view in client.list(TENANT, limit=10).jobs] == ids[:0:-1]
    assert services.redis.zcard(keys.jobs(TENANT)) == 4


def test_a_torn_job_hash_is_no_job(services: Services, client: JobClient) -> None:
    """A client gets 404 for it, and the list goes on without it."""

    @spec.job("words.repeat")
    def repeat(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    job_id = client.start("words.repeat", {"word": "x"}, tenant=TENANT)
    services.redis.hset(Job.key_for(job_id), "status", "nonsense")
    with pytest.raises(JobNotFound):
        client.get(TENANT, job_id)


@pytest.mark.parametrize(
    ("text", "valid"),
    [("0-0", True), ("1732242000000-3", True), ("abc", False), ("-1", False), ("9" * 20, False), ("1-", False)],
)
def test_event_ids_are_checked(text: str, valid: bool) -> None:
    """Anything that Redis would answer with an error is turned away before."""
    assert is_event_id(text) is valid


def test_end_events_say_the_state_and_the_error(services: Services) -> None:
    """What the worker writes with RQ's final state is what watchers read."""
    with services.redis.pipeline() as pipeline:
        add_event(pipeline, TENANT, "j", "message", {"text": "a"}, ttl=60)
        pipeline.execute()
    failure = spec.Failure("X", "timeout", "Too long.", True)
    fields: dict[Any, Any] = end_event("failed", failure)
    services.redis.xadd(keys.events(TENANT, "j"), fields)
    last = read_events(services.redis, TENANT, "j")[-1]
    assert (last.kind, last.data) == ("end", {"state": "failed", "error": {"code": "timeout", "message": "Too long."}})


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
        assert client.resume(TENANT, job_id).state == "queued"
        assert client.resume(TENANT, job_id).state == "queued"
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
    rest = client.list(TENANT, before=page.last, limit=2, only=JobFilter(queue="low"))
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
