"""The processes of a Procfile: started together, their lines marked with their names, ended together."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TextIO

from local import die_with_parent

STOP_SECONDS = 30.0  # what Heroku gives, too
_LINE = re.compile(r"^([A-Za-z0-9_-]+):\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """A process that has ended, with its exit code; negative for the signal that ended it."""

    name: str
    code: int


def read_procfile(path: Path) -> dict[str, str]:
    """Return the commands of a Procfile by name, in its order."""
    return dict(_LINE.findall(path.read_text(encoding="utf-8")))


class Processes:
    """Processes that run at the same time. Their output goes to `out`, line by line."""

    def __init__(self, out: TextIO, cwd: Path) -> None:
        self._out = out
        self._cwd = cwd
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._threads: list[threading.Thread] = []
        self._ended: SimpleQueue[Ended] = SimpleQueue()

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of those that run, by name."""
        return {name: process.pid for name, process in self._running.items()}

    def start(self, name: str, command: str, env: Mapping[str, str]) -> None:
        """Start a shell command in a process group of its own, so that the terminal's Ctrl-C reaches only us."""
        process = subprocess.Popen(
            die_with_parent.command("/bin/sh", "-c", f"exec {command}"),
            cwd=self._cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert process.stdout is not None  # noqa: S101 - a pipe, as asked for
        self._running[name] = process
        # Waited for apart from its output, which a child of its own may hold open after its end.
        for task, args in ((self._read, (name, process.stdout)), (self._wait, (name, process))):
            thread = threading.Thread(target=task, args=args, daemon=True)
            self._threads.append(thread)
            thread.start()

    def ended(self, seconds: float) -> Ended | None:
        """Wait for a process to end; return None when none did so in time."""
        try:
            ended = self._ended.get(timeout=seconds)
        except Empty:
            return None
        _kill_group(self._running.pop(ended.name).pid)  # what it left behind
        return ended

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask all to end, as Heroku does; kill those that have not ended in time."""
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + seconds
        while self._running and self.ended(max(0.0, deadline - time.monotonic())):
            pass
        self.kill()
        for thread in self._threads:
            thread.join()

    def kill(self) -> None:
        """End all at once, with the processes that they have started."""
        for process in self._running.values():
            _kill_group(process.pid)

    def _read(self, name: str, lines: IO[str]) -> None:
        with lines:
            for line in lines:
                print(f"{name:<9} | {line.rstrip()}", file=self._out, flush=True)

    def _wait(self, name: str, process: subprocess.Popen[str]) -> None:
        self._ended.put(Ended(name, process.wait()))


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
