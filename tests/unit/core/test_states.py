"""The state diagram of docs/jobs.md, walked through: what it allows is allowed, and nothing else."""

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from rq.job import Job

from jobs.core import spec
from jobs.core.client import JobClient, WrongState
from jobs.core.context import JobContext
from jobs.core.errors import NonRetryableError, RetryableError
from jobs.services import Services
from tests.fakes import engine_services, job_client, run_jobs
from tests.unit.core.conftest import WordArgs

DIAGRAM = (Path(__file__).parents[3] / "docs" / "jobs.md").read_text(encoding="utf-8")
EDGES = re.findall(r"^    (\S+) --> (\S+): (.+)$", DIAGRAM, re.MULTILINE)
ACTIONS = ("cancel", "pause", "resume", "requeue")
# An action that is said again changes nothing; a resume takes back a pause that has not happened yet.
SAID_AGAIN = {("canceled", "cancel"), ("paused", "pause")}
SAID_AGAIN |= {(state, "resume") for state in ("queued", "scheduled", "retrying", "running")}
TENANT = "acme"


@pytest.fixture
def services(fake_redis: Redis) -> Iterator[Services]:
    """An engine with a job type for every end."""

    @spec.job("state.ends", retries=1)
    def ends(ctx: JobContext, args: WordArgs) -> str:
        if args.word == "fail":
            raise NonRetryableError
        if args.word == "retry":
            raise RetryableError
        return args.word

    yield engine_services(fake_redis)
    del spec._registry["state.ends"]


def job_in(services: Services, state: str) -> str:
    """Return a job that has come to a state as jobs do; of a running one only the start is made up."""
    client = job_client(services)
    word = {"failed": "fail", "retrying": "retry"}.get(state, "x")
    due = time.time() + 3600 if state == "scheduled" else None
    job_id = client.start("state.ends", {"word": word}, tenant=TENANT, due=due)
    if state in ("completed", "failed", "retrying"):
        run_jobs(services)
    elif state == "paused":
        client.pause(TENANT, job_id)
    elif state == "canceled":
        client.cancel(TENANT, job_id)
    elif state == "running":
        services.redis.lrem("rq:queue:default", 1, job_id)
        services.redis.hset(Job.key_for(job_id), mapping={"status": "started", "worker_name": "w"})
    assert client.get(TENANT, job_id).state == state
    return job_id


STATES = ("queued", "scheduled", "retrying", "paused", "running", "completed", "failed", "canceled")


def test_the_diagram_names_the_states_that_there_are() -> None:
    """And the two more that need other jobs or a delay."""
    drawn = {state for edge in EDGES for state in edge[:2]} - {"[*]"}
    assert drawn - {"waiting"} == set(STATES)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_taken_where_the_diagram_has_an_edge(services: Services, state: str, action: str) -> None:
    """It leads to the state at the edge's other end; elsewhere it is refused, names the state and changes nothing."""
    client = job_client(services)
    job_id = job_in(services, state)
    targets = {target for source, target, label in EDGES if source == state and label.split(",")[0] == action}
    act: Callable[[str, str], object] = getattr(JobClient, action).__get__(client)
    if targets or (state, action) in SAID_AGAIN:
        act(TENANT, job_id)
        # A running job follows at its next checkpoint, which needs a worker.
        expected = {state} if state == "running" or not targets else targets
        assert client.get(TENANT, job_id).state in expected
    else:
        with pytest.raises(WrongState) as refused:
            act(TENANT, job_id)
        assert refused.value.view.state == state
        assert client.get(TENANT, job_id).state == state
