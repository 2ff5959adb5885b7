"""Plain functions for RQ jobs of the worker's tests. Those that matter leave a trace in Redis: the ledger."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from redis import Redis
from rq import Retry, get_current_job
from rq.job import Job


def ledger_key(job_id: str) -> str:
    """List: what happened to a job, in order."""
    return f"ledger:{job_id}"


def current() -> Job:
    """The job that runs in this thread."""
    job = get_current_job()
    assert job is not None
    return job


def write(event: str) -> None:
    """Add a line to the current job's ledger."""
    job = current()
    job.connection.rpush(ledger_key(job.id), f"{event} {time.time():.6f} {os.getpid()}")


def add(a: int, b: int) -> int:
    """Return the sum."""
    return a + b


def nothing() -> None:
    """Return nothing."""


def trace(seconds: float = 0.0) -> str:
    """Write start and end around a wait."""
    write("start")
    time.sleep(seconds)
    write("end")
    return "done"


def nap(seconds: float, step: float = 0.02) -> str:
    """Wait in short steps, so that an exception from outside can come through."""
    write("start")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(step)
    write("end")
    return "rested"


def stubborn(seconds: float) -> str:
    """Wait, whatever exception comes."""
    write("start")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            time.sleep(0.05)
        except Exception:
            write("swallowed")
    return "at last"


def fail(message: str = "no") -> None:
    """Raise."""
    write("start")
    raise ValueError(message)


def fail_times(times: int) -> str:
    """Raise as long as this is not the last of so many runs and one."""
    write("start")
    if len(runs(current())) <= times:
        raise ValueError("not yet")
    return "now"


def runs(job: Job) -> list[bytes]:
    """The starts in a job's ledger."""
    return [line for line in job.connection.lrange(ledger_key(job.id), 0, -1) if line.startswith(b"start")]


def ask_again(most: int, wait: int = 0) -> Any:
    """Return a `Retry` until the retries are used up."""
    write("start")
    return Retry(max=most, interval=wait) if len(runs(current())) <= most else "enough"


def kill_self() -> None:
    """Kill the process that runs this."""
    write("start")
    os.kill(os.getpid(), signal.SIGKILL)


def opaque() -> Any:
    """Return what JSON cannot hold."""
    return object()


def on_success(job: Job, connection: "Redis", result: Any) -> None:
    """A success callback."""
    connection.rpush(ledger_key(job.id), f"success {result}")


def on_failure(job: Job, connection: "Redis", kind: Any, value: Any, traceback: Any) -> None:
    """A failure callback."""
    connection.rpush(ledger_key(job.id), f"failure {kind.__name__}")


def on_stopped(job: Job, connection: "Redis") -> None:
    """A callback for stopped jobs."""
    connection.rpush(ledger_key(job.id), "stopped")


def bad_callback(job: Job, connection: "Redis", result: Any) -> None:
    """A success callback that raises."""
    raise RuntimeError("callback")


def quiet(seconds: float) -> str:
    """Wait without Redis; leave an `x` in the file that the job's meta names."""
    with Path(current().meta["marker"]).open("a") as file:
        file.write("x")
    time.sleep(seconds)
    return "done"


def quiet_failure(seconds: float) -> None:
    """The same, and raise."""
    quiet(seconds)
    raise ValueError("no")
