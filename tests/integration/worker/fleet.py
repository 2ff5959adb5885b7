"""Worker processes to start, watch and kill."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.processes import descendants

ROOT = Path(__file__).resolve().parents[3]


class WorkerProcess:
    """One worker in a process group of its own, as a service manager would start it."""

    def __init__(self, url: str, queues: list[str], log: Any, **options: Any) -> None:
        settings = {"url": url, "queues": queues, "kind": "ours", **options}
        environment = {**os.environ, "REDIS_URL": url, "DATA_DIR": str(Path(log.name).parent)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.worker.process", json.dumps(settings)],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The parent's process id."""
        return self.process.pid

    def horse(self) -> int:
        """The horse's process id, or 0."""
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in children.read_text().split():
                    return int(child)
        return 0

    def everyone(self) -> list[int]:
        """The parent and all that descend from it."""
        return [self.pid, *descendants(self.pid)]

    def kill_horse(self) -> None:
        """SIGKILL to the horse."""
        send(self.horse(), signal.SIGKILL)

    def kill_parent(self) -> None:
        """SIGKILL to the parent."""
        send(self.pid, signal.SIGKILL)

    def kill_both(self) -> None:
        """SIGKILL to all, as when a machine goes down."""
        for pid in self.everyone():
            send(pid, signal.SIGKILL)

    def terminate_parent(self) -> None:
        """SIGTERM to the parent."""
        send(self.pid, signal.SIGTERM)

    def terminate_group(self) -> None:
        """SIGTERM to every process, as Heroku does."""
        for pid in self.everyone():
            send(pid, signal.SIGTERM)

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.terminate_parent()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        self.kill_both()
        self.process.wait(5)


class Fleet:
    """The workers of one test. Usable as a context manager, which ends them all."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.log = (folder / "workers.log").open("ab")
        self.workers: list[WorkerProcess] = []

    def start(self, queues: list[str], **options: Any) -> WorkerProcess:
        """Start a worker."""
        worker = WorkerProcess(self.url, queues, self.log, **options)
        self.workers.append(worker)
        return worker

    def replace_dead(self, queues: list[str], wanted: int, **options: Any) -> None:
        """Start workers until there are as many as wanted."""
        self.workers = [worker for worker in self.workers if worker.process.poll() is None]
        while len(self.workers) < wanted:
            self.start(queues, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.stop()
        self.log.close()


def send(pid: int, number: int) -> None:
    """Send a signal to a process that may be gone."""
    if pid > 0:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def eventually(condition: Callable[[], Any], seconds: float = 10.0, what: str = "") -> Any:
    """Return what the condition returns once that is true.

    Raises:
        AssertionError: it did not come true in time.
    """
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, f"not within {seconds} s: {what or condition}"
        time.sleep(0.01)
    return value
