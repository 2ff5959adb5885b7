"""One place in the horse where jobs run, one after the other."""

import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING, Any, cast

from redis.exceptions import ResponseError
from rq import Queue
from rq.callbacks import execute_failure_callback, execute_success_callback
from rq.defaults import RQ_KEY_PREFIX
from rq.executions import Execution
from rq.job import JobStatus, Retry
from rq.job_lifecycle import format_exc_info
from rq.worker import DequeueStrategy

from jobs.core.errors import Interrupted, JobCanceled
from jobs.core.job import OffstageJob
from jobs.core.worker_parts import isolated, outcome, record
from jobs.core.worker_parts.outage import AWAY, until_back
from jobs.core.worker_parts.quarantine import quarantine
from jobs.core.worker_parts.scripts import Link
from jobs.core.worker_parts.timers import JobStopped, Timer, set_timer

if TYPE_CHECKING:
    from jobs.core.worker_parts.horse import Horse


@dataclass
class Started:
    """A job that Redis knows to run here. `began` is in seconds since 1970; `superfluous` fields go
    with its end."""

    job: OffstageJob
    queue: Queue
    execution: Execution
    began: float
    superfluous: list[bytes]


class Slot:
    """Takes jobs, runs them, records them."""

    def __init__(self, horse: "Horse", number: int, timer: Timer) -> None:
        self.horse = horse
        self.number = number
        self.timer = timer
        self.worker = horse.worker
        self.link = Link(horse.worker.connection)
        self.current: Started | None = None
        self.child_pid = 0
        self.stop_asked = False
        self.stop_deadline = 0.0
        self._template = self.worker.job_class(
            "template", connection=self.worker.connection, serializer=self.worker.serializer
        )
        self._counts = record.Counts()
        self.abandoned = False
        self.thread: Thread | None = None
        set_timer(timer)

    def loop(self) -> None:
        """Run jobs until the horse stops, is used up, or finds no more in burst mode."""
        started: Started | None = None
        while not self.abandoned:
            if started is None:
                started = self.horse.next_job(self)
                if started is None:
                    return
            started = self.run(started)
            if started is not None and not self.horse.wants_more():
                self.put_back(started)
                return

    def start(self) -> "Started | None":
        """Start the next job, if there is one. Retries while Redis is away, unless the horse is to stop."""
        args = self._start_args()
        while True:
            try:
                return self._receive(self.link.call("start", self.horse.queue_keys(), args), args)
            except AWAY:
                self.link.close()
                args[-1] = "1"
                if self.horse.pause(0.5):
                    return None

    def run(self, started: Started) -> "Started | None":
        """Run a job to its end. Returns the next one, if it was started in the same round trip."""
        job = started.job
        self.current, self.stop_asked = started, False
        if self.worker.threads == 1:
            os.environ["RQ_JOB_ID"] = job.id
        try:
            value = self._perform(started)
        except JobStopped:
            self._record(outcome.stop, started)
        except Interrupted as left:
            self._leave(started, left)
        except BaseException as error:
            self._failed(started, error)
        else:
            if self.abandoned:
                return None
            if not self._is_plain(job, value):
                self._returned(started, value)
                return None
            try:
                return self._finish(started, value)
            except ResponseError:
                self._give_up(started)
        finally:
            if not self.abandoned:
                self.current = None
                self.horse.count_one()
                self.horse.board.write(self.number, "idle", "")
        return None

    def put_back(self, started: Started, left: Interrupted | None = None) -> None:
        """Return a job to the head of its queue, or to where it wants to wait; the start does not count."""
        args = record.put_back_args(started.queue.name, started.job.id, started.execution.id, left)
        until_back(lambda: self.link.call("putback", [], [RQ_KEY_PREFIX, self.worker.name, *args]), self.link.close)

    def _leave(self, started: Started, left: Interrupted) -> None:
        try:
            self.put_back(started, left)
        except ResponseError:
            self._give_up(started)

    def note(self, seconds: float) -> None:
        """Note for the parent that the current job has so many seconds from now; none or less: no limit."""
        if self.current:
            deadline = time.monotonic() + seconds + self.worker.kill_after if seconds > 0 else 0.0
            self.horse.board.write(self.number, "running", self.current.execution.id, deadline)

    def _perform(self, started: Started) -> Any:
        job = started.job
        timeout = float(job.timeout or self.worker.queue_class.DEFAULT_TIMEOUT)
        self.note(timeout)
        if self.horse.runs_alone(job):
            return isolated.perform(self, job, timeout)
        self.timer.arm(timeout)
        try:
            return job.perform()
        finally:
            self.timer.disarm()

    def _is_plain(self, job: OffstageJob, value: Any) -> bool:
        """Whether the finish script says all that there is to say."""
        return not (
            isinstance(value, Retry)
            or job._success_callback_name
            or job.webhooks
            or job.repeats_left
            or job.rate_limit_key
            or job.result_ttl == 0
            or self.worker.default_result_ttl == 0
        )

    def _finish(self, started: Started, value: Any) -> "Started | None":
        job, ended = started.job, time.time()
        start_args = self._start_args()
        ttl = job.get_result_ttl(self.worker.default_result_ttl)
        self._counts.add(ended - started.began)
        count_now = self._counts.due(ended)
        args = [
            job.id,
            started.execution.id,
            started.queue.name,
            record.iso(ended),
            repr(ended),
            ttl,
            record.dump(self.worker, value),
            repr(started.began),
            self.worker.name,
            RQ_KEY_PREFIX,
            "1" if self.horse.wants_more(ahead=1) else "0",
            *record.end_of(job, ttl),
            "1" if job._dependency_ids else "0",
            "1" if count_now else "0",
            self._counts.jobs,
            f"{self._counts.seconds:.6f}",
            *start_args,
            *started.superfluous,
        ]
        reply = self._send_finish(args, retry_flag=len(args) - len(started.superfluous) - 1)
        if reply == [b"dependents"]:
            self._counts.take_back(ended - started.began)
            self._returned(started, value)
            return None
        if count_now or len(reply) < 3:
            self._counts.written(ended)
        return self._receive(reply, start_args)

    def _send_finish(self, args: list[Any], retry_flag: int) -> list[Any]:
        queue_keys = self.horse.queue_keys()

        def failed() -> None:
            self.link.close()
            args[retry_flag] = "1"

        return cast(list[Any], until_back(lambda: self.link.call("finish", queue_keys, args), failed))

    def _returned(self, started: Started, value: Any) -> None:
        """Record a job that returned, by the long way: callbacks, dependents, repeats, retries."""
        job, worker = started.job, self.worker
        job.ended_at = datetime.now(UTC)
        job._result = value
        if isinstance(value, Retry):
            self._record(outcome.retry, started, value)
            return
        job._status = JobStatus.FINISHED
        try:
            self.note(job.success_callback_timeout)
            execute_success_callback(job, worker.death_penalty_class, value)
        except BaseException as error:
            self._failed(started, error)
            return
        self._record(outcome.succeed, started)
        job.send_webhooks(JobStatus.FINISHED)

    def _failed(self, started: Started, error: BaseException) -> None:
        """Record a job that raised."""
        if self.abandoned:
            return
        job, worker = started.job, self.worker
        job.ended_at = datetime.now(UTC)
        if isinstance(error, isolated.ChildDied):
            self._record(outcome.end_without_result, started, error.cause)
            return
        if isinstance(error, JobCanceled) and job.is_ours:
            self._record(outcome.stop, started)
            return
        exc_info = sys.exc_info()
        job._status = JobStatus.FAILED
        try:
            self.note(job.failure_callback_timeout)
            execute_failure_callback(job, worker.death_penalty_class, *exc_info)
        except BaseException:
            exc_info = sys.exc_info()  # a failing callback replaces the job's own error, as in RQ
        worker.handle_exception(job, *exc_info)
        text = error.text if isinstance(error, isolated.ChildRaised) else format_exc_info(exc_info)
        self._record(outcome.fail, started, text, failure=self.horse.failure_of(job, error))

    def _record(self, how: Any, started: Started, *args: Any, **options: Any) -> None:
        job = started.job
        job.ended_at = job.ended_at or datetime.now(UTC)
        self.note(0)
        try:
            how(self.worker, job, started.queue, started.execution, *args, **options)
        except Exception:
            self._give_up(started)

    def _give_up(self, started: Started) -> None:
        """Set a job aside whose end Redis refuses to record: a key of its is not what it should be."""
        job_id = started.job.id
        self.worker.log.exception("Worker %s: the end of job %s cannot be recorded", self.worker.name, job_id)
        until_back(lambda: quarantine(self.worker, started.queue, job_id, started.execution))

    def _start_args(self) -> list[Any]:
        execution = os.urandom(16).hex()
        if self.current is None:
            self.horse.board.write(self.number, "asked", execution)
        now = time.time()
        return [RQ_KEY_PREFIX, self.worker.name, record.iso(now), repr(now), execution, self.worker.lease, "0"]

    def _receive(self, reply: list[Any], args: list[Any]) -> "Started | None":
        if len(reply) < 3:
            self.horse.suspended = bool(reply) and reply[0] == b"suspended"
            return None
        queue, job_id, fields = self.horse.queue_of(reply[0].decode()), reply[1].decode(), reply[2]
        execution = Execution(args[4], job_id, self.worker.connection, worker_name=self.worker.name)
        try:
            pairs = dict(zip(fields[::2], fields[1::2], strict=True))
            job = self.worker.job_class.from_fields(self._template, job_id, pairs)
        except Exception:
            self.worker.log.exception("Worker %s: job %s cannot be read", self.worker.name, job_id)
            until_back(lambda: quarantine(self.worker, queue, job_id, execution))
            return self.start()
        job.started_at = execution.created_at
        job.ended_at = None
        job._status, job.worker_name = JobStatus.STARTED, self.worker.name
        execution._job = job
        if self.worker._dequeue_strategy is not DequeueStrategy.DEFAULT:
            self.worker.reorder_queues(reference_queue=queue)
        return Started(job, queue, execution, float(args[3]), record.superfluous(pairs))
