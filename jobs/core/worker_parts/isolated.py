"""Run a job in a process of its own, with limits on memory, CPU and time; only JSON comes back."""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rq.defaults import UNSERIALIZABLE_RETURN_VALUE_PAYLOAD
from rq.job import Retry

from jobs.core import shutdown
from jobs.core.errors import Awaiting, Interrupted, JobError, JobTimeout, Postponed, ResourceLimitExceeded, WorkerDied
from jobs.core.job import OffstageJob
from jobs.core.spec import Failure
from jobs.core.worker_parts.timers import AlarmTimer, JobStopped, set_timer

if TYPE_CHECKING:
    from jobs.core.worker_parts.slot import Slot

_PR_SET_PDEATHSIG = 1
_MAX_REPLY = 64 * 2**20
_NO_MEMORY = 77  # exit code: not even the reply could be made


class ChildDied(Exception):
    """The process ended without a reply. `cause` says why."""

    def __init__(self, cause: JobError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class ChildRaised(Exception):
    """The job raised for good. `text` is the traceback, `failure` what it means to clients."""

    def __init__(self, reply: dict[str, Any]) -> None:
        super().__init__(reply["summary"])
        self.text: str = reply["text"]
        self.failure = Failure(**reply["failure"]) if reply.get("failure") else None


def perform(slot: "Slot", job: OffstageJob, timeout: float) -> Any:
    """Run the job in a child process and return its result.

    Raises:
        ChildRaised, ChildDied, Interrupted, JobStopped: how else it ended.
    """
    limits = slot.horse.limits_of(job)
    reader, writer = os.pipe()
    slot.note(timeout + slot.worker.kill_after)
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(slot, job, timeout, limits, writer)
    os.close(writer)
    slot.child_pid = pid
    try:
        deadline = time.monotonic() + timeout + slot.worker.kill_after if timeout > 0 else float("inf")
        reply, late = _read(reader, pid, deadline)
    finally:
        os.close(reader)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        slot.child_pid = 0
    if slot.stop_asked:
        raise JobStopped
    return _outcome(reply, late, status, limited=limits is not None)


def _read(reader: int, pid: int, deadline: float) -> tuple[bytes, bool]:
    """Return what the child wrote until it closed the pipe, and whether time was up before."""
    reply = bytearray()
    while True:
        wait = min(1.0, deadline - time.monotonic())
        if wait <= 0:
            return bytes(reply), True
        ready, _, _ = select.select([reader], [], [], wait)
        if ready:
            chunk = os.read(reader, 2**16)
            reply += chunk
            if not chunk or len(reply) > _MAX_REPLY:
                return bytes(reply), False


def _outcome(reply: bytes, late: bool, status: int, *, limited: bool) -> Any:
    try:
        message = json.loads(reply)
    except ValueError:
        raise ChildDied(_cause(status, late, limited)) from None
    if "result" in message:
        return message["result"]
    if "retry" in message:
        return Retry(max=message["retry"]["max"], interval=message["retry"]["interval"])
    if "left" in message:
        raise _left(**message["left"])
    raise ChildRaised(message)


def _left(seconds: float | None = None, job_ids: Sequence[str] = ()) -> Interrupted:
    """Return why a job left its worker, as its process has said."""
    if job_ids:
        return Awaiting(job_ids)
    return Interrupted() if seconds is None else Postponed(seconds)


def _cause(status: int, late: bool, limited: bool) -> JobError:
    if late:
        return JobTimeout()
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if limited and (number == signal.SIGXCPU or status == _NO_MEMORY << 8):
        return ResourceLimitExceeded()
    name = signal.Signals(number).name if number else f"exit code {os.waitstatus_to_exitcode(status)}"
    return WorkerDied(f"The process that ran the job ended ({name}).")


def _child(slot: "Slot", job: OffstageJob, timeout: float, limits: tuple[int, int] | None, writer: int) -> None:
    code = 1
    try:
        die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: shutdown.ask_to_stop())
        slot.horse.reconnect(job)
        if limits:
            _set_limits(*limits)
        reply = _encode(_run(slot, job, timeout))
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(reply)
        code = 0
    except MemoryError:
        code = _NO_MEMORY
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(slot: "Slot", job: OffstageJob, timeout: float) -> dict[str, Any]:
    timer = AlarmTimer()
    set_timer(timer)
    try:
        timer.arm(timeout)
        try:
            result = job.perform()
        finally:
            timer.disarm()
        if isinstance(result, Retry):
            return {"retry": {"max": result.max, "interval": result.intervals}}
        return {"result": result}
    except Interrupted as left:
        return {"left": vars(left)}
    except MemoryError:
        return _raised(slot, job, ResourceLimitExceeded())
    except BaseException as error:
        return _raised(slot, job, error)


def _encode(message: dict[str, Any]) -> bytes:
    try:
        return json.dumps(message).encode()
    except (TypeError, ValueError):
        return json.dumps({"result": UNSERIALIZABLE_RETURN_VALUE_PAYLOAD}).encode()


def _raised(slot: "Slot", job: OffstageJob, error: BaseException) -> dict[str, Any]:
    failure = slot.horse.failure_of(job, error)
    return {
        "summary": f"{type(error).__name__}: {error}",
        "text": "".join(traceback.format_exception(error)) if error.__traceback__ else repr(error),
        "failure": vars(failure) if failure else None,
    }


def _set_limits(memory_mb: int, cpu_seconds: int) -> None:
    """Limit this process; memory counts on top of what it maps already, which its parent's libraries decide."""
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    most = mapped + memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 2))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with_parent(number: int) -> None:
    """Ask the kernel for this signal when the process that forked us ends; elsewhere than on Linux, nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
