"""Jobs that do not react: they end anyway, soon after their timeout, and nobody else does."""

import time
from contextlib import suppress

import pytest
from redis import Redis
from rq import Queue
from rq.command import send_stop_job_command
from rq.exceptions import InvalidJobOperation
from rq.serializers import JSONSerializer

from tests.integration.worker import tasks
from tests.integration.worker.fleet import Fleet, eventually
from tests.integration.worker.looks import ledger, running, status


@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_a_swallowed_timeout_ends_soon_after(redis: Redis, queue: Queue, fleet: Fleet, kind: str) -> None:
    """The job fails a second after its timeout (five by default); the worker goes on."""
    job = queue.enqueue(tasks.stubborn, 20, job_timeout=1)
    fleet.start(["default"], kind=kind)
    running(redis, job)
    began = time.monotonic()
    eventually(lambda: status(job) == "failed", 10)
    assert time.monotonic() - began < 5
    assert "JobTimeout" in str(job.latest_result().exc_string)  # type: ignore[union-attr]
    after = queue.enqueue(tasks.add, 1, 1)
    eventually(lambda: status(after) == "finished")
    assert "end" not in ledger(redis, job)


def test_in_threads_the_neighbours_of_a_stubborn_job_go_on(redis: Redis, queue: Queue, fleet: Fleet) -> None:
    """They run once, to their end, and as many jobs as before run at once."""
    worker = fleet.start(["default"], kind="threads", threads=2)
    neighbour = queue.enqueue(tasks.nap, 5)
    running(redis, neighbour)
    horse = worker.horse()
    stubborn = queue.enqueue(tasks.stubborn, 60, job_timeout=1)
    eventually(lambda: status(stubborn) == "failed", 10)
    beside = queue.enqueue(tasks.trace)
    eventually(lambda: status(beside) == "finished", 3)
    assert status(neighbour) == "started"
    eventually(lambda: status(neighbour) == "finished", 10)
    assert ledger(redis, neighbour) == ["start", "end"]
    assert worker.horse() == horse
    worker.terminate_parent()
    assert worker.process.wait(10) == 0


@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_stopping_one_of_many_reaches_that_one(redis: Redis, queue: Queue, fleet: Fleet, kind: str) -> None:
    """Also when the job is over at that moment: another one is never stopped in its place."""
    fleet.start(["default"], kind=kind)
    jobs = [queue.enqueue(tasks.nap, 0.05) for _ in range(60)]
    for job in jobs[::2]:
        running(redis, job)
        send_stop_job_command(redis, job.id, serializer=JSONSerializer)
    eventually(lambda: all(status(job) in ("finished", "stopped") for job in jobs), 30)
    assert {status(job) for job in jobs[1::2]} == {"finished"}
    assert all(ledger(redis, job) == ["start", "end"] for job in jobs[1::2])


@pytest.mark.parametrize("kind", ["ours", "threads"])
def test_stopping_again_and_again_gives_no_more_time(redis: Redis, queue: Queue, fleet: Fleet, kind: str) -> None:
    """A second after the first word, a job that does not react is over."""
    job = queue.enqueue(tasks.trace, 60, job_timeout=120)
    fleet.start(["default"], kind=kind)
    running(redis, job)

    def stopped() -> bool:
        with suppress(InvalidJobOperation):  # it is over
            send_stop_job_command(redis, job.id, serializer=JSONSerializer)
        return status(job) == "stopped"

    eventually(stopped, 20)
