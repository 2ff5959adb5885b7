"""Looking at jobs as the conformance tests do."""

from typing import Any

from redis import Redis
from rq.job import Job

from tests.integration.worker import tasks
from tests.integration.worker.fleet import eventually


def ledger(redis: Redis, job: Job) -> list[str]:
    """The words of a job's ledger; callbacks with what they were given."""
    lines = [line.decode().split() for line in redis.lrange(tasks.ledger_key(job.id), 0, -1)]
    return [" ".join(words[: 2 if words[0] in ("success", "failure") else 1]) for words in lines]


def ids(registry: Any) -> list[str]:
    """A registry's job ids, without cleaning it."""
    return list(registry.get_job_ids(cleanup=False))


def status(job: Job) -> str:
    """A job's status in Redis."""
    return str(job.get_status().value)


def running(redis: Redis, job: Job) -> None:
    """Wait until the job's function has begun."""
    eventually(lambda: redis.exists(tasks.ledger_key(job.id)))
