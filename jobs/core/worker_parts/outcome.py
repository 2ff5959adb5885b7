"""How an attempt's end is written to Redis: once, in one transaction, and also when Redis was away meanwhile.

`execution.key` is the token: the transaction that deletes it is the one that counts.
"""

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from redis.exceptions import WatchError
from rq import Queue
from rq.callbacks import execute_stopped_callback
from rq.executions import Execution
from rq.job import JobStatus, Retry
from rq.rate_limit import release_slot
from rq.registry import ReadyJobRegistry
from rq.repeat import Repeat
from rq.results import Result

from jobs.core import dependencies, keys, statistics
from jobs.core.errors import JobError
from jobs.core.events import end_event
from jobs.core.job import OffstageJob
from jobs.core.spec import CANCELED, Failure
from jobs.core.webhooks import add_deliveries
from jobs.core.worker_parts.outage import until_back

if TYPE_CHECKING:
    from redis.client import Pipeline

    from jobs.core.worker import OffstageWorker

_READY_TRIES = 25
Build = Callable[["Pipeline"], None]


def commit(worker: "OffstageWorker", job: OffstageJob, execution: Execution, build: Build) -> bool:
    """Run `build` on a watching pipeline and execute it, if the execution has not ended yet. Say whether it counted.

    `build` is called again when something watched has changed, with the job as it was at first.
    """
    saved, sent = dict(job.__dict__), False

    def attempt() -> bool:
        nonlocal sent
        while True:
            job.__dict__.update(saved)
            with worker.connection.pipeline() as pipeline:
                try:
                    pipeline.watch(execution.key)
                    if not pipeline.exists(execution.key):
                        return sent  # the reply to our own transaction was lost, or another worker has ended it
                    build(pipeline)
                    sent = True
                    pipeline.execute()
                    return True
                except WatchError:
                    sent = False

    return until_back(attempt)


def succeed(worker: "OffstageWorker", job: OffstageJob, queue: Queue, execution: Execution) -> None:
    """Record a job that returned, by RQ's own rules: result, repeats, dependents, rate limit."""
    ready: dict[str, list[str]] = {}
    ttl = job.get_result_ttl(worker.default_result_ttl)

    def build(pipeline: "Pipeline") -> None:
        nonlocal ready
        pipeline.watch(job.dependents_key)
        ready = {} if job.is_ours else queue.move_dependents_to_ready(job, pipeline=pipeline)
        if not pipeline.explicit_transaction:
            pipeline.multi()
        worker.increment_successful_job_count(pipeline)
        if ttl != 0:
            job._handle_success(ttl, pipeline=pipeline, **_ended(worker, job, execution))
        if job.repeats_left:
            Repeat.schedule(job, queue, pipeline=pipeline)
        else:
            job.cleanup(ttl, pipeline=pipeline, remove_from_queue=False)
            job._status = JobStatus.FINISHED
            _add_end(pipeline, job, "completed")
        _leave(worker, job, execution, pipeline)

    if commit(worker, job, execution, build):
        enqueue_ready(queue, ready)
        release_slot(job)


def retry(worker: "OffstageWorker", job: OffstageJob, queue: Queue, execution: Execution, returned: Retry) -> None:
    """Schedule the next attempt of a job that returned a `Retry`, or fail it when that was the last one."""
    if (job.number_of_retries or 0) >= returned.max:
        _fail_after_retries(worker, job, queue, execution, returned)
        return

    def build(pipeline: "Pipeline") -> None:
        pipeline.multi()
        worker.increment_failed_job_count(pipeline)
        job._handle_retry_result(queue, pipeline, returned, **_ended(worker, job, execution))
        _leave(worker, job, execution, pipeline)

    if commit(worker, job, execution, build):
        release_slot(job)


def fail(
    worker: "OffstageWorker",
    job: OffstageJob,
    queue: Queue,
    execution: Execution,
    exc_string: str,
    *,
    failure: Failure | None = None,
    stopped: bool = False,
) -> None:
    """Record an attempt that raised: retried by RQ's own count if that has any left, else failed, or stopped."""
    again = job.should_retry and not stopped

    def build(pipeline: "Pipeline") -> None:
        pipeline.multi()
        if again:
            job.retry(queue, pipeline)
        else:
            if job.is_ours:
                job.number_of_retries = 0  # so that `rq requeue` gives a full set of attempts
            job.set_status(JobStatus.STOPPED if stopped else JobStatus.FAILED, pipeline=pipeline)
            if not worker.disable_default_exception_handler:
                job._handle_failure(exc_string, pipeline=pipeline, **_ended(worker, job, execution))
            _add_end(pipeline, job, "canceled" if stopped else "failed", failure)
        worker.increment_failed_job_count(pipeline)
        _leave(worker, job, execution, pipeline)

    if not again:
        _tell_capability(worker, job, execution, failure)
    if not commit(worker, job, execution, build) or again:
        return
    if not stopped:
        job.send_webhooks(JobStatus.FAILED, exc_string=exc_string)
    _after_failure(worker, job, queue)


def stop(worker: "OffstageWorker", job: OffstageJob, queue: Queue, execution: Execution) -> None:
    """Record a job that was stopped on command."""
    try:
        execute_stopped_callback(job, worker.death_penalty_class)
    except Exception:
        worker.log.exception("Worker %s: stopped callback for job %s raised", worker.name, job.id)
    exc_string = "Job stopped by user, work-horse terminated."
    fail(worker, job, queue, execution, exc_string, failure=CANCELED, stopped=True)


def end_without_result(
    worker: "OffstageWorker", job: OffstageJob, queue: Queue, execution: Execution, error: JobError
) -> None:
    """Record an attempt that ended without a word from the job: its process died, or was stopped for a limit."""
    exc_string = f"{type(error).__name__}: {error}"
    if not job.is_ours:
        fail(worker, job, queue, execution, exc_string)
        return
    from jobs.core import runner

    wait = runner.attempt_ended(job, error)
    if wait is None:
        fail(worker, job, queue, execution, exc_string, failure=runner.failure_of(error))
    else:
        used = job.number_of_retries or 0
        retry(worker, job, queue, execution, Retry(max=used + 1, interval=[round(wait)]))


def enqueue_ready(queue: Queue, ready: dict[str, list[str]]) -> None:
    """Enqueue jobs whose dependencies are met, by queue.

    RQ passes over a job when another worker touches the same registry at that moment, and leaves it to a cleanup
    minutes later; here it is tried again at once.
    """
    for _ in range(_READY_TRIES):
        queue.enqueue_ready_jobs_by_queue(ready)
        left = {name: _still_ready(queue, name, job_ids) for name, job_ids in ready.items()}
        ready = {name: job_ids for name, job_ids in left.items() if job_ids}
        if not ready:
            return
        time.sleep(random.uniform(0.001, 0.02))  # noqa: S311 - spreads the tries, guards nothing


def tell_canceled(worker: "OffstageWorker") -> None:
    """Run the failure hooks of jobs that were canceled while they waited."""
    from jobs.core import runner

    dependencies.tell_canceled(worker.connection, lambda job: runner.run_failure_hook(job, CANCELED))


def _still_ready(queue: Queue, name: str, job_ids: list[str]) -> list[str]:
    waiting = ReadyJobRegistry(name, connection=queue.connection).get_job_ids(cleanup=False)
    return [job_id for job_id in job_ids if job_id in waiting]


def _fail_after_retries(
    worker: "OffstageWorker", job: OffstageJob, queue: Queue, execution: Execution, returned: Retry
) -> None:
    def build(pipeline: "Pipeline") -> None:
        pipeline.multi()
        job.set_status(JobStatus.FAILED, pipeline=pipeline)
        job.failed_job_registry.add(job, ttl=job.failure_ttl, exc_string="", pipeline=pipeline)
        Result.create_max_retries_exceeded(
            job, job.failure_ttl, return_value=returned, pipeline=pipeline, **_ended(worker, job, execution)
        )
        worker.increment_failed_job_count(pipeline)
        _add_end(pipeline, job, "failed")
        _leave(worker, job, execution, pipeline)

    if commit(worker, job, execution, build):
        job.send_webhooks(JobStatus.FAILED, exc_string="")
        _after_failure(worker, job, queue)


def _tell_capability(worker: "OffstageWorker", job: OffstageJob, execution: Execution, failure: Failure | None) -> None:
    """Run the type's failure hook, unless another worker has taken the job over.

    Before the end is recorded: a client that hears of the end finds the job's effects settled, and a worker that dies
    in between leaves a job that is run again and not one whose document is 'processing' for ever.
    """
    if failure and job.is_ours and until_back(lambda: worker.connection.exists(execution.key)):
        from jobs.core import runner

        runner.run_failure_hook(job, failure)


def _after_failure(worker: "OffstageWorker", job: OffstageJob, queue: Queue) -> None:
    try:
        if job.is_ours:
            tell_canceled(worker)
        else:
            enqueue_ready(queue, queue.move_dependents_to_ready(job))
    except Exception:
        worker.log.exception("Worker %s: dependents of job %s wait for the next cleanup", worker.name, job.id)
    worker._release_slot_safely(job)


def _ended(worker: "OffstageWorker", job: OffstageJob, execution: Execution) -> dict[str, Any]:
    return {
        "worker_name": worker.name,
        "execution_id": execution.id,
        "execution_started_at": execution.created_at,
        "execution_ended_at": job.ended_at,
    }


def _leave(worker: "OffstageWorker", job: OffstageJob, execution: Execution, pipeline: "Pipeline") -> None:
    if job.started_at and job.ended_at:
        worker.increment_total_working_time(job.ended_at - job.started_at, pipeline)
    execution.worker_name = worker.name
    execution.delete(job=job, pipeline=pipeline)


def _add_end(pipeline: "Pipeline", job: OffstageJob, state: str, failure: Failure | None = None) -> None:
    if job.is_ours:
        key = keys.events(job.meta["tenant"], job.id)
        pipeline.xadd(key, end_event(state, failure))  # type: ignore[arg-type]
        if (ttl := job.result_ttl or 0) > 0:
            pipeline.expire(key, ttl)
        dependencies.settle_with(pipeline, job.id)
        statistics.job_ended(pipeline, job.origin)
        if state == "completed" and job.started_at and job.ended_at:
            seconds = (job.ended_at - job.started_at).total_seconds()
            statistics.attempt_completed(pipeline, job.meta["tenant"], str(job.meta.get("type", "")), seconds)
        add_deliveries(pipeline, job.meta["tenant"], job.id, state, job.ended_at)
