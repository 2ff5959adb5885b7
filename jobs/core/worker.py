"""The RQ worker: jobs are never between queue and start, one round trip to Redis a job, a horse that lives on.

The parent registers, beats, listens to commands, cleans up and takes over from dead workers; its horse runs the jobs.
"""

import signal
import time
from threading import Thread
from typing import Any, ClassVar

from redis.client import Pipeline
from rq import Queue, Worker
from rq.command import handle_command, parse_payload
from rq.defaults import (
    DEFAULT_LOGGING_DATE_FORMAT,
    DEFAULT_LOGGING_FORMAT,
    DEFAULT_MAINTENANCE_TASK_INTERVAL,
    DEFAULT_WORKER_TTL,
)
from rq.executions import Execution
from rq.job import Job
from rq.job_lifecycle import call_exception_handlers
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty
from rq.utils import now
from rq.worker import DequeueStrategy

from config import Config
from jobs.core.job import OffstageJob
from jobs.core.schedule import Scheduler
from jobs.core.worker_parts import outcome, recovery
from jobs.core.worker_parts.board import Board
from jobs.core.worker_parts.heart import Heart
from jobs.core.worker_parts.outage import AWAY, waits
from jobs.core.worker_parts.supervisor import Supervisor
from jobs.core.worker_parts.timers import Penalty

LAST_SECONDS = 3.0  # after the grace of a stop, to tell Redis what became of the last jobs


class OffstageWorker(Worker):
    """An RQ worker; `rq worker -w jobs.core.worker.OffstageWorker` works too. Times are in seconds."""

    job_class: type[OffstageJob] = OffstageJob
    serializer_class: ClassVar[Any] = JSONSerializer  # None: what the caller asks for
    death_penalty_class: type[BaseDeathPenalty] = Penalty
    log_result_lifespan = False
    log_job_description = False

    threads = 1  # jobs at once
    jobs_per_horse = 20_000  # then a fresh horse, so that leaks stay small
    dead_after = 20.0  # a worker silent for so long is dead
    lease = 6 * 3600  # RQ's own tools take a job for abandoned after so long without a beat; we know earlier
    kill_after = 5.0  # beyond its timeout, for a job that does not react to it
    shutdown_grace = 0.0  # after SIGTERM, before what still runs is put back; 0: wait for its end
    lower_queue_share = 10  # every so many picks a lower queue comes first; 0: never
    clean_every = 60  # between two cleanups of the registries
    idle_wait = 5
    isolated_memory_mb = 1024
    isolated_cpu_seconds = 120

    def __init__(self, queues: Any, *args: Any, **kwargs: Any) -> None:
        if not issubclass(_class_of(kwargs.get("job_class")), OffstageJob):
            kwargs["job_class"] = type(self).job_class
        if self.serializer_class is not None:
            kwargs["serializer"] = self.serializer_class
        ttl = kwargs.get("worker_ttl")
        if ttl in (None, DEFAULT_WORKER_TTL):  # RQ's default would notice a dead worker after minutes
            ttl = self.dead_after
        kwargs["worker_ttl"] = int(ttl)
        kwargs.pop("default_worker_ttl", None)
        if kwargs.get("maintenance_interval") in (None, DEFAULT_MAINTENANCE_TASK_INTERVAL):
            kwargs["maintenance_interval"] = self.clean_every
        super().__init__(queues, *args, **kwargs)
        self.dead_after = float(ttl)
        self.queues = [self.queue_named(queue.name) for queue in self.queues]
        self._ordered_queues = self.queues[:]
        self._stop_date_saved = False

    def configure(self, config: Config, *, threads: int = 1) -> None:
        """Take over the settings; run `threads` jobs at once."""
        self.threads = threads
        self.default_result_ttl = config.result_ttl
        self.lower_queue_share = config.lower_queue_share
        self.shutdown_grace = float(config.shutdown_seconds)
        self.isolated_memory_mb = config.isolated_memory_mb
        self.isolated_cpu_seconds = config.isolated_cpu_seconds

    def serialize(self) -> dict[Any, Any]:
        """Return what Redis knows of this worker; `threads` is ours, for estimates."""
        return {**super().serialize(), "threads": self.threads}

    # The loop of the parent

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Run jobs until asked to stop, or as in RQ until the queues are empty. Returns whether any job was run."""
        self._dequeue_strategy = dequeue_strategy
        self.board = Board(self.threads)
        self.supervisor = Supervisor(self)
        self.heart = Heart(self)
        self.bootstrap(logging_level, date_format, log_format)
        self.heart.start()
        if with_scheduler:
            self._start_scheduler(burst, logging_level, date_format, log_format)
        self._install_signal_handlers()  # type: ignore[no-untyped-call]
        try:
            self._run_horses(burst, max_jobs, max_idle_time or 0)
        finally:
            self.teardown()
        return self.board.done > 0

    def _run_horses(self, burst: bool, max_jobs: int | None, max_idle: float) -> None:
        pauses = waits()
        while not self._stop_requested:
            limit = self.jobs_per_horse if max_jobs is None else max_jobs - self.board.done
            if limit <= 0:
                return
            self._tick_safely()
            code = self.supervisor.run_horse(burst=burst, limit=limit, max_idle=max_idle)
            if code == 0 and (burst or max_idle):
                return
            if code == 1:  # it crashed outside of a job
                time.sleep(next(pauses))
            else:
                pauses = waits()

    def tick(self) -> None:
        """Do what falls to the parent while its horse works."""
        if self._stop_requested:
            self._press_on()
        for name in self.heart.take_dead():
            recovery.recover_worker(self, name)
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def clean_registries(self) -> None:
        """Clean the registries of this worker's queues, one worker at a time."""
        for queue in self.queues:
            if queue.acquire_maintenance_lock():
                recovery.clean(self, queue)
                queue.release_maintenance_lock()
        self.last_cleaned_at = now()  # type: ignore[assignment]

    def queue_named(self, name: str) -> Queue:
        """Return a queue with this worker's connection, job class and serializer."""
        return self.queue_class(
            name,
            connection=self.connection,
            job_class=self.job_class,
            serializer=self.serializer,
            death_penalty_class=self.death_penalty_class,
        )

    # Stopping

    def handle_warm_shutdown_request(self) -> None:
        """Let the horse end its jobs."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self._stop_requested = True
        self._stop_from = time.monotonic()
        self.supervisor.tell(signal.SIGTERM)

    def _shutdown(self) -> None:
        self.supervisor.wake()

    def request_force_stop(self, signum: int, frame: Any) -> None:
        """Stop now: what runs goes back to its queue. A second signal within a second of the first is ignored."""
        if self._shutdown_requested_date and (now() - self._shutdown_requested_date).total_seconds() < 1:
            return
        self.log.warning("Worker %s: cold shut down", self.name)
        self.supervisor.put_back_and_kill()

    def _press_on(self) -> None:
        """Remember when the stop was asked for, and put back what does not end in time."""
        self.supervisor.tell(signal.SIGTERM)  # again: the first may have come before the horse could take it
        if not self._stop_date_saved:
            self._stop_date_saved = True
            self.set_shutdown_requested_date()  # type: ignore[no-untyped-call]
        if self.shutdown_grace and time.monotonic() - self._stop_from > self.shutdown_grace:
            self.supervisor.put_back_and_kill()

    def must_go(self) -> bool:
        """Say whether the time to stop in is over; what Redis has not been told by then, other workers recover."""
        return self._stop_requested and time.monotonic() - self._stop_from > self.shutdown_grace + LAST_SECONDS

    def teardown(self) -> None:
        """Say goodbye."""
        self.heart.stop()
        try:
            super().teardown()  # type: ignore[no-untyped-call]
            self.connection.zrem("offstage:workers", self.name)
        except AWAY as error:
            self.log.error("Worker %s: Redis is away at the end: %s", self.name, error)

    # Commands

    def _pubsub_exception_handler(self, exc: Exception, pubsub: Any, pubsub_thread: Any) -> None:
        """Go on listening after an outage. RQ's own gives up after a timeout."""
        if not isinstance(exc, AWAY):
            super()._pubsub_exception_handler(exc, pubsub, pubsub_thread)
        self.log.error("Worker %s: cannot listen to commands: %s", self.name, exc)
        time.sleep(1)

    def handle_payload(self, message: Any) -> None:
        """Obey a command from outside; stopping reaches the named execution only."""
        payload = parse_payload(message)
        if payload["command"] == "stop-job":
            self._stop_where(lambda execution: execution.job_id == payload.get("job_id"))
        elif payload["command"] == "stop-execution":
            self._stop_where(lambda execution: execution.id == payload.get("execution_id"))
        else:
            handle_command(self, payload)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """Kill the horse; what it runs has failed an attempt."""
        self.supervisor.kill()

    def _stop_where(self, chosen: Any) -> None:
        for execution in self.get_current_executions(refresh=True):
            if chosen(execution) and self.supervisor.stop_execution(execution.id):
                return
        self.log.warning("Worker %s: not running that job, command ignored", self.name)

    # What RQ's other parts call

    def handle_job_failure(
        self,
        job: Job,
        queue: Queue,
        started_job_registry: Any = None,
        exc_string: str = "",
        execution: Execution | None = None,
    ) -> None:
        """Record a failure; with an execution, only if that has not ended yet."""
        if execution is None or not isinstance(job, OffstageJob):
            super().handle_job_failure(job, queue, started_job_registry, exc_string, execution)
            return
        outcome.fail(self, job, queue, execution, exc_string)

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """Call the exception handlers. What our own jobs raised, the runner has logged."""
        if isinstance(job, OffstageJob) and job.is_ours:
            call_exception_handlers(self._exc_handlers, job, *exc_info)
        else:
            super().handle_exception(job, *exc_info)

    def _start_scheduler(self, burst: bool = False, *args: Any, **kwargs: Any) -> None:
        """Move due jobs from this process too (`rq worker --with-scheduler`)."""
        scheduler = Scheduler(self.connection)
        if burst:
            scheduler.promote()
        else:
            Thread(target=scheduler.run, daemon=True, name="scheduler").start()

    def heartbeat(self, timeout: int | None = None, pipeline: "Pipeline | None" = None) -> None:
        """Nothing: the heart beats by itself."""

    def _tick_safely(self) -> None:
        try:
            self.tick()
        except AWAY as error:
            self.log.error("Worker %s: Redis is away: %s", self.name, error)


def _class_of(given: Any) -> type:
    return given if isinstance(given, type) else object
