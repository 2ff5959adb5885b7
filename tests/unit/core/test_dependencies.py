"""Jobs that wait for others: every way in which a parent may end, and nobody waits for ever."""

from collections.abc import Iterator
from functools import partial

import pytest
from pydantic import BaseModel
from redis import Redis
from rq.job import Job
from rq.registry import DeferredJobRegistry
from rq.serializers import JSONSerializer

from config import QUEUES
from jobs.core import dependencies, spec
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.enqueue import OnDependencyFailure, UnknownDependency
from jobs.core.errors import NonRetryableError
from jobs.core.events import read_events
from jobs.core.runner import run_failure_hook
from jobs.services import Services
from tests.fakes import engine_services, make_due, run_jobs

TENANT = "acme"


class Name(BaseModel):
    name: str = ""


@pytest.fixture
def ran() -> list[str]:
    """The names of the jobs that ran, in order."""
    return []


@pytest.fixture
def told() -> list[str]:
    """The names of the jobs whose capability was told that they were canceled."""
    return []


@pytest.fixture(autouse=True)
def types(ran: list[str], told: list[str]) -> Iterator[None]:
    """Two job types: one that works, one that fails."""
    before = dict(spec._registry)

    def tell(ctx: JobContext, args: Name, failure: spec.Failure) -> None:
        told.append(f"{args.name} {failure.code}")

    @spec.job("test.work", on_failure=tell)
    def work(ctx: JobContext, args: Name) -> None:
        ran.append(args.name)

    @spec.job("test.fail", retries=0)
    def fail(ctx: JobContext, args: Name) -> None:
        raise NonRetryableError

    yield
    spec._registry.clear()
    spec._registry.update(before)


@pytest.fixture
def services(fake_redis: Redis) -> Services:
    return engine_services(fake_redis)


@pytest.fixture
def client(services: Services) -> JobClient:
    tell = partial(run_failure_hook, failure=spec.CANCELED, services=services)
    return JobClient(services.redis, result_ttl=3600, on_canceled=tell)


def start(
    client: JobClient,
    name: str,
    parents: list[str],
    on_failure: OnDependencyFailure = "cancel",
    kind: str = "test.work",
) -> str:
    return client.start(kind, {"name": name}, tenant=TENANT, depends_on=parents, on_dependency_failure=on_failure)


def sweep(services: Services) -> None:
    """Do what the worker's maintenance does."""
    for queue in QUEUES:
        dependencies.sweep(services.redis, queue)


def state(client: JobClient, job_id: str) -> str:
    return client.get(TENANT, job_id).state


def test_a_job_waits_until_all_its_parents_have_completed(
    services: Services, client: JobClient, ran: list[str]
) -> None:
    """In RQ's own registry and sets, and its view says for whom; then it starts by itself."""
    one, two = start(client, "one", []), start(client, "two", [])
    child = start(client, "child", [one, two, one])
    view = client.get(TENANT, child)
    assert (view.state, view.depends_on) == ("waiting", [one, two])
    assert view.waits_for
    assert (view.waits_for.reason, view.waits_for.ids) == ("jobs", [one, two])
    assert DeferredJobRegistry("default", connection=services.redis).get_job_ids() == [child]
    job = Job.fetch(child, connection=services.redis, serializer=JSONSerializer)
    assert (set(job.dependency_ids), job.enqueued_at) == ({one, two}, None)
    run_jobs(services)
    assert ran == ["one", "two", "child"]
    assert client.get(TENANT, child).waits_for is None


def test_parents_that_have_completed_do_not_count(services: Services, client: JobClient) -> None:
    """The child is queued at once."""
    parent = start(client, "parent", [])
    run_jobs(services)
    assert state(client, start(client, "child", [parent])) == "queued"


def test_a_job_for_later_waits_for_its_parents_and_its_time(services: Services, client: JobClient) -> None:
    """Whichever comes last."""
    parent = start(client, "parent", [])
    child = client.start("test.work", {}, tenant=TENANT, depends_on=[parent], due=4e9)
    assert state(client, child) == "waiting"
    services.redis.hset(f"rq:job:{parent}", "status", "finished")
    dependencies.settle(services.redis, parent)
    view = client.get(TENANT, child)
    assert view.state == "scheduled"
    assert view.next_attempt_at
    assert view.next_attempt_at.timestamp() == 4e9
    make_due(services)
    assert state(client, child) == "queued"


@pytest.mark.parametrize("foreign", [True, False])
def test_an_unknown_parent_is_refused(client: JobClient, services: Services, foreign: bool) -> None:
    """Another tenant's as one that never was; nothing is started."""
    parent = client.start("test.work", {}, tenant="other") if foreign else "0" * 32
    with pytest.raises(UnknownDependency, match=parent):
        start(client, "child", [parent])
    assert client.list(TENANT).jobs == []


@pytest.mark.parametrize("on_failure", ["cancel", "run"])
@pytest.mark.parametrize("late", [True, False])
def test_a_failed_parent_cancels_its_child_or_lets_it_run(
    services: Services, client: JobClient, ran: list[str], told: list[str], on_failure: OnDependencyFailure, late: bool
) -> None:
    """As asked, whether it failed before or after the child came; the child says which parent it was."""
    parent = start(client, "parent", [], kind="test.fail")
    child = "" if late else start(client, "child", [parent], on_failure)
    run_jobs(services)
    sweep(services)
    child = child or start(client, "child", [parent], on_failure)
    run_jobs(services)
    view = client.get(TENANT, child)
    if on_failure == "run":
        assert (view.state, ran) == ("completed", ["child"])
        return
    assert (view.state, ran) == ("canceled", [])
    assert view.error
    assert view.error.code == "dependency_failed"
    assert view.error.message == f"The job {parent}, on which this one depends, has failed."
    assert 0 < services.redis.ttl(f"rq:job:{child}") <= 3600
    assert read_events(services.redis, TENANT, child) == []
    dependencies.tell_canceled(services.redis, partial(run_failure_hook, failure=spec.CANCELED, services=services))
    assert told == ["child canceled"]
    [end] = read_events(services.redis, TENANT, child)  # who hears of it finds settled what the capability does
    assert (end.kind, end.data) == ("end", {"state": "canceled", "error": view.error.model_dump()})


def test_cancel_goes_down_the_line(services: Services, client: JobClient, ran: list[str], told: list[str]) -> None:
    """Children and theirs are canceled in the same step, except those that run anyway; each capability is told."""
    parent = start(client, "parent", [])
    child = start(client, "child", [parent])
    grandchild, heir = start(client, "grandchild", [child]), start(client, "heir", [child], "run")
    client.cancel(TENANT, parent)
    assert [state(client, job_id) for job_id in (parent, child, grandchild, heir)] == [
        "canceled", "canceled", "canceled", "queued",
    ]  # fmt: skip
    assert sorted(told) == ["child canceled", "grandchild canceled", "parent canceled"]
    run_jobs(services)
    assert ran == ["heir"]
    assert DeferredJobRegistry("default", connection=services.redis).get_job_ids() == []


def test_a_child_canceled_by_itself_leaves_its_parent_alone(
    services: Services, client: JobClient, ran: list[str]
) -> None:
    """And the parent's end does not bring it back."""
    parent = start(client, "parent", [])
    child = start(client, "child", [parent])
    assert client.cancel(TENANT, child).state == "canceled"
    run_jobs(services)
    assert (ran, state(client, child)) == (["parent"], "canceled")


@pytest.mark.parametrize("on_failure", ["cancel", "run"])
def test_a_deleted_parent_is_found_by_the_sweep(
    services: Services, client: JobClient, on_failure: OnDependencyFailure
) -> None:
    """Deleted by RQ's own tools, which tell nobody."""
    parent = start(client, "parent", [])
    child = start(client, "child", [parent], on_failure)
    grandchild = start(client, "grandchild", [child])
    Job.fetch(parent, connection=services.redis, serializer=JSONSerializer).delete()
    sweep(services)
    view = client.get(TENANT, child)
    if on_failure == "run":
        assert (view.state, state(client, grandchild)) == ("queued", "waiting")
    else:
        assert (view.state, state(client, grandchild)) == ("canceled", "canceled")
        assert view.error
        assert view.error.message.endswith("was deleted.")


def test_an_end_that_nobody_told_is_found_by_the_sweep(services: Services, client: JobClient) -> None:
    """A process died between the parent's end and its telling; a pause is none of the sweep's business."""
    parent = start(client, "parent", [])
    child, paused = start(client, "child", [parent]), start(client, "paused", [])
    client.pause(TENANT, paused)
    sweep(services)
    assert (state(client, child), state(client, paused)) == ("waiting", "paused")
    services.redis.hset(f"rq:job:{parent}", "status", "finished")
    sweep(services)
    sweep(services)
    assert (state(client, child), state(client, paused)) == ("queued", "paused")
    assert services.redis.lrange("rq:queue:default", 0, -1).count(child.encode()) == 1


def test_a_requeued_parent_does_not_run_its_children_twice(
    services: Services, client: JobClient, ran: list[str]
) -> None:
    """The child that ran in spite of the failure stays as it is when the parent succeeds later."""
    parent, other = start(client, "parent", []), start(client, "other", [])
    child = start(client, "child", [parent, other], "run")
    services.redis.hset(f"rq:job:{parent}", "status", "failed")
    dependencies.settle(services.redis, parent)
    run_jobs(services)
    services.redis.hset(f"rq:job:{parent}", "status", "finished")
    dependencies.settle(services.redis, parent)
    run_jobs(services)
    assert ran.count("child") == 1
    assert state(client, child) == "completed"


def test_a_job_that_waits_for_others_is_paused_and_resumed(
    services: Services, client: JobClient, ran: list[str]
) -> None:
    """Ends that come meanwhile are not told it; resumed, it waits for those that are still to come, or runs."""
    first, second = start(client, "first", []), start(client, "second", [])
    child = start(client, "child", [first, second])
    client.pause(TENANT, second)
    assert client.pause(TENANT, child).state == "paused"
    run_jobs(services)
    sweep(services)
    assert (ran, state(client, child)) == (["first"], "paused")
    view = client.resume(TENANT, child)
    assert (view.state, view.waits_for and view.waits_for.ids) == ("waiting", [second])
    client.pause(TENANT, child)
    client.resume(TENANT, second)
    run_jobs(services)
    assert state(client, child) == "paused"
    assert client.resume(TENANT, child).state == "queued"
    run_jobs(services)
    assert ran == ["first", "second", "child"]


def test_a_parent_that_fails_meanwhile_cancels_a_paused_job_when_it_is_resumed(
    services: Services, client: JobClient, told: list[str]
) -> None:
    parent = start(client, "parent", [], kind="test.fail")
    child = start(client, "child", [parent])
    client.pause(TENANT, child)
    run_jobs(services)
    assert state(client, child) == "paused"
    view = client.resume(TENANT, child)
    assert (view.state, view.error and view.error.code) == ("canceled", "dependency_failed")
