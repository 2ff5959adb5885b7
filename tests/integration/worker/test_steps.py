"""Steps over kills: a finished one is never taken again, whoever dies."""

import random
import signal
import time

from redis import Redis

from jobs.core.client import JobClient
from jobs.core.schedule import Scheduler
from tests.integration.worker import kinds
from tests.integration.worker.fleet import Fleet, WorkerProcess, eventually, send

assert kinds
TENANT = "local"
QUEUES = ["high", "default", "low"]
JOBS, STEPS = 8, 30


def test_a_finished_step_is_never_taken_again(redis: Redis, fleet: Fleet) -> None:
    """Horses and workers die at random moments. Every step is taken, in order, with its own result; twice only if it
    was under way when its process died, so there are no more repeats than kills."""
    client, scheduler = JobClient(redis, result_ttl=3600), Scheduler(redis)
    ids = [client.start("probe.steps", {"count": STEPS}, tenant=TENANT) for _ in range(JOBS)]
    kills, next_kill, until = 0, 5, time.monotonic() + 120
    while not all(client.get(TENANT, job_id).ended for job_id in ids):
        assert time.monotonic() < until
        scheduler.promote()
        fleet.replace_dead(QUEUES, 2, types=True, set={"dead_after": 2.0})
        taken = sum(redis.llen(f"taken:{job_id}") for job_id in ids)
        if kills < 10 and taken >= next_kill:
            random.choice([WorkerProcess.kill_both, WorkerProcess.kill_horse])(random.choice(fleet.workers))
            kills, next_kill = kills + 1, taken + random.randint(5, 20)
    assert kills >= 3  # on a busy machine the jobs may end before the last ones
    assert redis.lrange("again", 0, -1) == []
    repeats = 0
    for job_id in ids:
        view = client.get(TENANT, job_id)
        assert (view.state, view.result) == ("completed", sum(range(STEPS)))
        order = [int(number) for number in redis.lrange(f"taken:{job_id}", 0, -1)]
        assert sorted(set(order)) == list(range(STEPS))
        assert order == sorted(order)
        repeats += len(order) - STEPS
    assert repeats <= kills


def test_a_worker_that_was_silent_does_not_go_on_with_what_another_does(redis: Redis, fleet: Fleet) -> None:
    """Stopped until it is taken for dead, and let go on: the job's steps are taken by the other one alone."""
    client, scheduler = JobClient(redis, result_ttl=3600), Scheduler(redis)
    job_id = client.start("probe.steps", {"count": 60}, tenant=TENANT)
    silent = fleet.start(QUEUES, types=True, set={"dead_after": 2.0})
    eventually(lambda: redis.llen(f"taken:{job_id}") > 5)
    for each in (stopped := silent.everyone()):
        send(each, signal.SIGSTOP)
    before = redis.llen(f"taken:{job_id}")
    fleet.start(QUEUES, types=True, set={"dead_after": 2.0})

    def is_taken_over() -> bool:
        scheduler.promote()
        return redis.llen(f"taken:{job_id}") > before + 5

    eventually(is_taken_over, 30)
    for each in stopped:
        send(each, signal.SIGCONT)
    eventually(lambda: client.get(TENANT, job_id).ended, 30)
    assert client.get(TENANT, job_id).result == sum(range(60))
    under_way = f"{job_id}/{before}".encode()  # when it fell silent: if it was about to be taken, it is taken late
    assert redis.lrange("again", 0, -1) in ([], [under_way])
    assert redis.llen(f"taken:{job_id}") <= 62  # one step was under way at each change of hands
