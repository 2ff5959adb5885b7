"""Redis stays as small as what it holds: 200,000 jobs through our worker, each kept for a few seconds only.

Keys and memory before, at their largest, and after all have expired and the upkeep has run. A tenth of the jobs says
something (events, state), a tenth runs in a step, some wait for a time, some are canceled, some are of the same
fingerprint, and some fail twice. Starts a Redis and a worker of its own: `python -m bench.memory [JOBS]`.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from pydantic import BaseModel
from redis import Redis

from bench.report import print_report
from config import load_config
from jobs.core.client import JobClient, WrongState
from jobs.core.context import JobContext
from jobs.core.errors import RetryableError
from jobs.core.schedule import Scheduler
from jobs.core.spec import Backoff, job
from jobs.core.sweep import sweep
from jobs.core.view import JobNotFound
from jobs.core.worker import OffstageWorker
from local import die_with_parent
from local.redis_server import RedisServer

JOBS = 200_000
ROUND = 5_000
KEEP = 2  # seconds; clients may ask for 60 and more
TENANTS = ("acme", "other")
ROOT = Path(__file__).parents[1]


class MemoryArgs(BaseModel):
    number: int


@job("bench.memory", retries=1, backoff=Backoff(base=1, cap=1))
def work(ctx: JobContext, args: MemoryArgs) -> None:
    """Do next to nothing."""
    if args.number % 10 == 1:
        ctx.progress(50)
    elif args.number % 10 == 2:
        ctx.step("only", int)
    elif args.number % 100 == 3:
        raise RetryableError


@job("bench.same", reuse=1)
def same(ctx: JobContext, args: MemoryArgs) -> None:
    """Do nothing; equal requests share it."""


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with tempfile.TemporaryDirectory() as name, RedisServer(Path(name)) as server:
        redis = Redis.from_url(server.url)
        rows = [{"when": when, **figures} for when, figures in measure(redis, server.url, Path(name), jobs)]
    print_report("memory", rows, jobs=jobs, kept_seconds=KEEP)


def measure(redis: Redis, url: str, folder: Path, jobs: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield keys and memory: with all kinds of jobs done once, at the largest, and at the end."""
    largest = {"keys": 0, "MB": 0.0}
    with worker(url, folder):
        run(redis, min(jobs, ROUND))  # the scripts are loaded, the windows of the statistics are full
        settle(redis)
        yield "before", look(redis)
        for done in range(0, jobs, ROUND):
            run(redis, min(ROUND, jobs - done))
            seen = look(redis)
            largest = {name: max(largest[name], seen[name]) for name in largest}
            sweep(redis, time.time())
        yield "largest", largest
        settle(redis)
        yield "after", look(redis)


def run(redis: Redis, jobs: int) -> None:
    """Start so many jobs and wait until all have ended."""
    client, scheduler = JobClient(redis, result_ttl=KEEP), Scheduler(redis)
    for number in range(jobs):
        kind = "bench.same" if number % 50 == 4 else "bench.memory"
        tenant, due = TENANTS[number % len(TENANTS)], time.time() + 0.2 if number % 50 == 5 else None
        args = {"number": number % 1000}
        job_id = client.start(kind, args, tenant=tenant, due=due, job_id=uuid4().hex)
        if number % 50 == 6:
            cancel(client, tenant, job_id)
    until(lambda: scheduler.promote() == 0 and is_idle(redis))


def cancel(client: JobClient, tenant: str, job_id: str) -> None:
    """Cancel a job that has most likely not started yet."""
    with suppress(WrongState, JobNotFound):  # it was quicker
        client.cancel(tenant, job_id)


def is_idle(redis: Redis) -> bool:
    """Say whether nothing waits, is scheduled or runs."""
    keys = [f"rq:{kind}:{queue}" for kind in ("queue", "scheduled", "wip") for queue in ("high", "default", "low")]
    return not redis.exists(*keys)


def settle(redis: Redis) -> None:
    """Wait until what has ended has expired, with the upkeep running as it does in the service."""
    until(lambda: not list(redis.scan_iter(match="rq:job:*", count=1000)))
    sweep(redis, time.time() + KEEP)


def look(redis: Redis) -> dict[str, Any]:
    """Return how many keys there are and how much memory they take."""
    info: Any = redis.info("memory")
    return {"keys": int(redis.dbsize()), "MB": round(info["used_memory_dataset"] / 2**20, 2)}


@contextmanager
def worker(url: str, folder: Path) -> Iterator[None]:
    """Run a worker that knows these job types."""
    command = die_with_parent.command(sys.executable, "-m", "bench.memory", "--work", url)
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment(url, folder))
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def environment(url: str, folder: Path) -> dict[str, str]:
    """Return the worker's settings, and nothing else of this machine's but its PATH."""
    return {"PATH": os.environ.get("PATH", os.defpath), "REDIS_URL": url, "DATA_DIR": str(folder / "var")}


def work_on(url: str) -> None:
    """Be the worker."""
    ours = OffstageWorker(["high", "default", "low"], connection=Redis.from_url(url))
    ours.configure(load_config())
    ours.work(logging_level="ERROR")


def until(ready: Callable[[], bool], seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit("it took too long")
        time.sleep(0.05)


if __name__ == "__main__":
    from bench import memory  # so that the job types are declared once, under the module's own name

    memory.work_on(sys.argv[2]) if sys.argv[1:2] == ["--work"] else memory.main()
