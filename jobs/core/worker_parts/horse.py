"""The work horse: a long-lived process that runs one job after the other, or several at once in threads."""

import os
import random
import select
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

from rq import Queue

from jobs.core import shutdown
from jobs.core.errors import JobTimeout, UnknownJobType
from jobs.core.job import OffstageJob
from jobs.core.spec import Failure, discover, get_job_type
from jobs.core.worker_parts import isolated, outcome
from jobs.core.worker_parts.outage import AWAY
from jobs.core.worker_parts.slot import Slot, Started
from jobs.core.worker_parts.timers import AlarmTimer, JobStopped, ThreadTimer
from jobs.core.worker_parts.waiter import QueueWaiter

if TYPE_CHECKING:
    from jobs.core.worker import OffstageWorker

EMPTY, RECYCLED, STOPPED = 0, 3, 4  # exit codes
_WATCH = 0.05  # seconds between two looks at the threads


class Horse:
    """Everything that lives in the horse's process. Made in the child, just after the fork."""

    def __init__(self, worker: "OffstageWorker", *, burst: bool, limit: int, max_idle: float, commands: int) -> None:
        self.worker = worker
        self.board = worker.board
        self.suspended = False
        self.stopping = False
        self._burst, self._limit, self._max_idle = burst, limit, max_idle
        self._parent = os.getppid()
        self._commands = commands
        self._count_lock = threading.Lock()
        self._done = 0
        self._picks = 0
        self._discovered = False
        self._idle_since = time.monotonic()
        self._wake_reader, self._wake_writer = os.pipe()
        self._queues: dict[str, Queue] = {queue.key: queue for queue in worker.queues}
        self._wait_lock = threading.Lock()
        self._waiter: QueueWaiter | None = None
        self.slots: list[Slot] = []

    def main(self) -> int:
        """Run jobs; return the exit code."""
        random.seed()
        isolated.die_with_parent(signal.SIGKILL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._asked_to_stop)
        self.reconnect()
        self.board.done += 0  # says that the horse is up
        self._waiter = QueueWaiter(self.worker.connection, list(self._queues), self._wake_reader)
        if self.worker.threads == 1:
            self.slots = [Slot(self, 0, AlarmTimer())]
            self.slots[0].loop()
        else:
            self._run_threads()
        if self.stopping:
            return STOPPED
        return RECYCLED if self._done >= self._limit else EMPTY

    def reconnect(self, job: OffstageJob | None = None) -> None:
        """Use connections of this process's own from now on."""
        pool = self.worker.connection.connection_pool
        redis = type(self.worker.connection)(
            connection_pool=type(pool)(connection_class=pool.connection_class, **pool.connection_kwargs)
        )
        self.worker.connection = redis
        for queue in self._queues.values():
            queue.connection = redis
        if job is not None:
            job.connection = redis

    # What the slots ask

    def next_job(self, slot: Slot) -> Started | None:
        """Return the next job, waiting for one; None when this slot has no more to do."""
        while self.wants_more():
            started = slot.start()
            if started is not None:
                self._idle_since = time.monotonic()
                if self.wants_more():
                    return started
                slot.put_back(started)
                return None
            if self._burst or self._idle_too_long():
                return None
            self._wait()
        return None

    def wants_more(self, ahead: int = 0) -> bool:
        """Whether another job may be started here. `ahead` counts jobs that are about to end."""
        if self.stopping or os.getppid() != self._parent:
            return False
        running = sum(1 for slot in self.slots if slot.current) - ahead
        return self._done + ahead + max(0, running) < self._limit

    def pause(self, seconds: float) -> bool:
        """Wait; return True, perhaps earlier, if the horse is to stop."""
        select.select([self._wake_reader], [], [], seconds)
        return self.stopping

    def count_one(self) -> None:
        """Count a job that has been run."""
        with self._count_lock:
            self._done += 1
            self.board.done += 1

    def queue_keys(self) -> list[str]:
        """Return the queues in the order to look at them: now and then a lower one comes first."""
        keys = [queue.key for queue in self.worker._ordered_queues]
        share = self.worker.lower_queue_share
        self._picks += 1
        if share and len(keys) > 1 and self._picks % share == 0:
            first = 1 + (self._picks // share) % (len(keys) - 1)
            keys.insert(0, keys.pop(first))
        return keys

    def queue_of(self, key: str) -> Queue:
        """Return the queue with that Redis key."""
        return self._queues[key]

    def runs_alone(self, job: OffstageJob) -> bool:
        """Whether the job gets a process of its own."""
        return job.must_run_alone or self.limits_of(job) is not None

    def limits_of(self, job: OffstageJob) -> tuple[int, int] | None:
        """Return the limits of an isolated job: MiB on top of what the process has, and seconds of CPU time."""
        if not job.is_ours:
            return None
        try:
            if not self._discovered:
                discover()
                self._discovered = True
            if not get_job_type(job.args[0]).isolated:
                return None
        except (UnknownJobType, LookupError):
            return None
        return self.worker.isolated_memory_mb, self.worker.isolated_cpu_seconds

    def failure_of(self, job: OffstageJob, error: BaseException) -> Failure | None:
        """Say what an error of one of our jobs means to clients."""
        if not job.is_ours:
            return None
        if isinstance(error, isolated.ChildRaised):
            return error.failure
        from jobs.core.runner import failure_of

        return failure_of(error)

    # Stopping, waiting

    def _asked_to_stop(self, *_: Any) -> None:
        self.stopping = True
        shutdown.ask_to_stop()
        os.write(self._wake_writer, b"x")
        for slot in self.slots:
            if slot.child_pid:
                os.kill(slot.child_pid, signal.SIGTERM)

    def _idle_too_long(self) -> bool:
        return bool(self._max_idle) and time.monotonic() - self._idle_since >= self._max_idle

    def _wait(self) -> None:
        if self.suspended:
            self.pause(0.5)
            return
        seconds = max(1, min(self.worker.idle_wait, int(self._max_idle or self.worker.idle_wait)))
        if not self._wait_lock.acquire(timeout=seconds):
            return
        try:
            if not self.stopping and self._waiter:
                self._waiter.wait(seconds)
        except AWAY:
            self.pause(0.2)
        finally:
            self._wait_lock.release()

    # Threads

    def _run_threads(self) -> None:
        threads = [self._start_thread(number) for number in range(self.worker.threads)]
        while any(thread.is_alive() for thread in threads if thread not in self._lost(threads)):
            ready, _, _ = select.select([self._commands], [], [], _WATCH)
            if ready:
                self._obey(os.read(self._commands, 4096).decode().split())
            now = time.monotonic()
            for slot in list(self.slots):
                slot.timer.check(now)  # type: ignore[attr-defined]
                threads += self._give_up_on(slot, now)

    def _lost(self, threads: list[threading.Thread]) -> set[threading.Thread]:
        return {thread for thread in threads if thread.name == "abandoned"}

    def _start_thread(self, number: int) -> threading.Thread:
        def run() -> None:
            slot = Slot(self, number, ThreadTimer())
            slot.thread = threading.current_thread()
            self.slots.append(slot)
            try:
                slot.loop()
            except BaseException:
                self.worker.log.exception("Worker %s: a thread of the horse crashed", self.worker.name)
                os._exit(1)

        thread = threading.Thread(target=run, daemon=True, name=f"slot-{number}")
        thread.start()
        return thread

    def _obey(self, executions: list[str]) -> None:
        """Stop the jobs of these executions."""
        for slot in self.slots:
            if slot.current and slot.current.execution.id in executions:
                if not slot.stop_asked:  # a second word gives it no more time
                    slot.stop_asked, slot.stop_deadline = True, time.monotonic() + self.worker.kill_after
                if slot.child_pid:
                    os.kill(slot.child_pid, signal.SIGKILL)
                else:
                    slot.timer.interrupt(JobStopped)  # type: ignore[attr-defined]

    def _give_up_on(self, slot: Slot, now: float) -> list[threading.Thread]:
        """Leave a thread behind whose job does not end; its neighbours go on, and another thread takes its place."""
        note, current = self.board.read(slot.number), slot.current
        late = note.state == "running" and 0 < note.deadline <= now
        ignored = slot.stop_asked and now >= slot.stop_deadline
        if current is None or slot.abandoned or not (late or ignored):
            return []
        slot.abandoned = True
        if slot.thread:
            slot.thread.name = "abandoned"
        self.slots.remove(slot)
        if ignored:
            outcome.stop(self.worker, current.job, current.queue, current.execution)
        else:
            outcome.end_without_result(self.worker, current.job, current.queue, current.execution, JobTimeout())
        return [self._start_thread(slot.number)]
