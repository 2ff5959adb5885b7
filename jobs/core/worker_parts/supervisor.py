"""The parent's side of the horse: fork it, watch it, kill it, say what its death means."""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import JobError, JobTimeout, WorkerDied
from jobs.core.worker_parts import recovery
from jobs.core.worker_parts.board import Board
from jobs.core.worker_parts.horse import RECYCLED, STOPPED, Horse
from jobs.core.worker_parts.outage import AWAY, until_back
from jobs.providers.model_gate import forget_calls

if TYPE_CHECKING:
    from jobs.core.worker import OffstageWorker

_TICK = 0.25  # seconds between two looks at the board
_COME_UP = 30.0  # seconds for a new horse to come up: a fork copies locks, also those that a thread holds
_SWEEP_EVERY = 10.0  # seconds between two looks for executions that nobody runs
_CLEAN_EXITS = (0, RECYCLED, STOPPED)


class Supervisor:
    """Keeps one horse at a time."""

    def __init__(self, worker: "OffstageWorker") -> None:
        self._worker = worker
        self._pid = 0
        self._commands = -1
        self._causes: dict[str, JobError] = {}
        self._stopped: set[str] = set()
        self._put_back = False
        self._forked_at = self._swept_at = 0.0
        self._strays: set[str] = set()
        self._wake_reader, self._wake_writer = os.pipe()
        os.set_blocking(self._wake_writer, False)

    @property
    def board(self) -> Board:
        """What the horse is doing."""
        return self._worker.board

    def run_horse(self, *, burst: bool, limit: int, max_idle: float) -> int:
        """Run a horse to its end and settle what it leaves. Returns its exit code; below zero if a signal killed it."""
        self._fork(burst, limit, max_idle)
        try:
            status = self._watch()
        finally:
            os.close(self._commands)
            self._commands = -1
        code = os.waitstatus_to_exitcode(status)
        self._settle(code)
        return code

    def wake(self) -> None:
        """Make the parent look again, from a signal handler."""
        with suppress(BlockingIOError):
            os.write(self._wake_writer, b"x")

    def tell(self, number: int) -> None:
        """Send the horse a signal."""
        if pid := self._pid:  # read once: the horse may end meanwhile, and 0 would be ourselves
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop_execution(self, execution_id: str) -> bool:
        """Stop one execution, and no other. Says whether the horse is running it."""
        if self._worker.threads > 1:
            if not any(note.execution == execution_id for note in self.board.notes()):
                return False
            os.write(self._commands, f"{execution_id}\n".encode())
            return True
        self.tell(signal.SIGSTOP)  # so that it cannot go on to the next job while we look
        _until_stopped(self._pid)
        note = self.board.read(0)
        if note.state != "running" or note.execution != execution_id:
            self.tell(signal.SIGCONT)
            return False
        self._stopped.add(execution_id)
        self.kill()
        return True

    def kill(self) -> None:
        """Kill the horse and whatever it has started."""
        if pid := self._pid:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def put_back_and_kill(self) -> None:
        """Kill the horse; what it runs goes back to its queue, and the start does not count."""
        self._put_back = True
        self.kill()

    def _fork(self, burst: bool, limit: int, max_idle: float) -> None:
        worker = self._worker
        reader, self._commands = os.pipe()
        self.board.clear()
        self._causes, self._stopped, self._put_back = {}, set(), False
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.setpgrp()
                worker._is_horse = True
                os.close(self._commands)
                code = Horse(worker, burst=burst, limit=limit, max_idle=max_idle, commands=reader).main()
            except BaseException:
                worker.log.exception("Worker %s: the horse crashed", worker.name)
            finally:
                os._exit(code)
        os.close(reader)
        self._pid = worker._horse_pid = pid
        self._forked_at = time.monotonic()

    def _watch(self) -> int:
        """Wait for the horse's end; kill it if it hangs on a job that should have ended."""
        while True:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            if pid:
                break
            self._tick()
            self._wait(_TICK)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)  # what it has started ends with it
        self._pid = self._worker._horse_pid = 0
        return status

    def _wait(self, seconds: float) -> None:
        handle = -1
        with suppress(OSError, AttributeError):
            handle = os.pidfd_open(self._pid)
        try:
            watched = [self._wake_reader] + ([handle] if handle >= 0 else [])
            ready, _, _ = select.select(watched, [], [], seconds if handle >= 0 else min(seconds, 0.05))
            if self._wake_reader in ready:
                os.read(self._wake_reader, 4096)
        finally:
            if handle >= 0:
                os.close(handle)

    def _tick(self) -> None:
        self._kill_if_hung()
        try:
            self._worker.tick()
            self._sweep_strays()
        except AWAY as error:
            self._worker.log.error("Worker %s: Redis is away: %s", self._worker.name, error)

    def _kill_if_hung(self) -> None:
        # Threads are first given up on one by one, by the horse itself.
        grace = 0.0 if self._worker.threads == 1 else self._worker.kill_after
        now = time.monotonic()
        if not self.board.up and now > self._forked_at + _COME_UP:
            self._worker.log.warning("Worker %s: kills its horse, which did not come up", self._worker.name)
            self.kill()
        for note in self.board.notes():
            if note.state == "running" and 0 < note.deadline <= now - grace:
                self._worker.log.warning("Worker %s: kills its horse, hung on %s", self._worker.name, note.execution)
                self._causes[note.execution] = JobTimeout()
                self.kill()
                return

    def _sweep_strays(self) -> None:
        """Put back what Redis has as started here, and no slot knows: its start was answered to nobody."""
        if time.monotonic() < self._swept_at + _SWEEP_EVERY:
            return
        self._swept_at = time.monotonic()
        members = recovery.own_executions(self._worker.connection, self._worker)
        known = {note.execution for note in self.board.notes()}
        strays = {member for member in members if member.rpartition(":")[2] not in known}
        for member in strays & self._strays:  # seen twice: not just on its way
            self._worker.log.warning("Worker %s: puts back %s, which it does not run", self._worker.name, member)
            found = recovery.load(self._worker, member)
            if found:
                recovery.put_back(self._worker, *found)
        self._strays = strays

    def _settle(self, code: int) -> None:
        """End what the horse was running, once Redis answers."""
        if code in _CLEAN_EXITS and not self._stopped:
            return
        running = [note.execution for note in self.board.notes() if note.state == "running"]
        causes, alone = dict(self._causes), False
        if not causes and not self._put_back:
            if len(running) == 1:
                causes = {running[0]: WorkerDied(f"The process that ran the job ended ({_name_of(code)}).")}
            alone = len(running) > 1  # nobody knows which one did it: each runs in a process of its own now
        worker = self._worker
        worker.log.warning("Worker %s: the horse ended (%s)", worker.name, _name_of(code))
        solo = set(running) if alone else set()
        with suppress(*AWAY):  # then they run out by themselves
            forget_calls(worker.connection, worker.name)
        try:
            until_back(lambda: recovery.after_horse(worker, causes, self._stopped, alone=solo), unless=worker.must_go)
        except AWAY:
            worker.log.error("Worker %s: Redis is away; other workers will take over what ran here", worker.name)


def _name_of(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _until_stopped(pid: int) -> None:
    """Wait until a process that was sent SIGSTOP has stopped."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
        except OSError:
            return
        if state in "TtZX":
            return
        time.sleep(0.001)
