"""The engine: a job type is declared, started, run, and looked at."""

from datetime import timedelta
from typing import Any

import pytest
from rq.job import Job
from rq.serializers import JSONSerializer

from jobs.core import keys, spec
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import InvalidArguments, Postponed, UnknownJobType
from jobs.core.events import add_event, end_event, is_event_id, read_events
from jobs.core.runner import run_with
from jobs.core.view import JobNotFound
from jobs.services import Services
from tests.fakes import run_jobs
from tests.unit.core.conftest import TENANT, WordArgs


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
    assert (progress.percent, progress.message) == (100.0, "一半")
    events = read_events(services.redis, TENANT, job_id)
    assert [(event.kind, event.data) for event in events] == [
        ("progress", {"percent": 50, "message": "一半"}),
        ("output", {"text": "你好"}),
    ]
    assert [event.kind for event in read_events(services.redis, TENANT, job_id, events[0].id)] == ["output"]
    assert read_events(services.redis, "other", job_id) == []


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
        add_event(pipeline, services.config, TENANT, "j", "message", {"text": "a"})
        pipeline.execute()
    failure = spec.Failure("X", "timeout", "Too long.", True)
    fields: dict[Any, Any] = end_event("failed", failure)
    services.redis.xadd(keys.events(TENANT, "j"), fields)
    last = read_events(services.redis, TENANT, "j")[-1]
    assert (last.kind, last.data) == ("end", {"state": "failed", "error": {"code": "timeout", "message": "Too long."}})


def test_a_job_of_a_type_that_only_a_newer_worker_knows_waits_for_one(services: Services, client: JobClient) -> None:
    """As while a new version is rolled out; after an hour nobody will come."""

    @spec.job("words.new")
    def new(ctx: JobContext, args: WordArgs) -> str:
        return args.word

    job_id = client.start("words.new", {"word": "x"}, tenant=TENANT)
    del spec._registry["words.new"]
    job = Job.fetch(job_id, connection=services.redis, serializer=JSONSerializer)
    with pytest.raises(Postponed):
        run_with(services, job, *job.args)
    job.created_at -= timedelta(hours=2)
    with pytest.raises(UnknownJobType):
        run_with(services, job, *job.args)
