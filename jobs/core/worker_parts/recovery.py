"""What a dead process was running goes back to its queue, once, as an attempt that failed."""

from typing import TYPE_CHECKING, cast

from redis import Redis
from rq import Queue
from rq.callbacks import execute_failure_callback
from rq.defaults import RQ_KEY_PREFIX
from rq.exceptions import AbandonedJobError, NoSuchJobError
from rq.executions import Execution
from rq.job import JobStatus
from rq.job_lifecycle import call_exception_handlers
from rq.rate_limit import RateLimitRegistry
from rq.registry import FailedJobRegistry, FinishedJobRegistry, ReadyJobRegistry
from rq.utils import as_text, now, parse_composite_key

from jobs.core import batches, dependencies
from jobs.core.errors import JobError, WorkerDied
from jobs.core.job import OffstageJob
from jobs.core.worker_parts import outcome, record
from jobs.core.worker_parts.quarantine import quarantine
from jobs.core.worker_parts.scripts import call

if TYPE_CHECKING:
    from jobs.core.worker import OffstageWorker


def recover_worker(worker: "OffstageWorker", dead: str) -> None:
    """Take over what a dead worker was running."""
    members = call(worker.connection, "claim", [], [RQ_KEY_PREFIX, dead, worker.name, worker.dead_after])
    for member in members:
        worker.log.warning("Worker %s: takes over %s from dead worker %s", worker.name, member.decode(), dead)
        abandoned(worker, member.decode())


def abandoned(worker: "OffstageWorker", member: str) -> None:
    """End an execution, as `job:execution`, whose worker is dead."""
    found = load(worker, member)
    if found is None:
        return
    job, queue, execution = found
    if not job.is_ours:
        _tell_abandoned(worker, job)
    outcome.end_without_result(worker, job, queue, execution, WorkerDied())


def load(worker: "OffstageWorker", member: str) -> tuple[OffstageJob, Queue, Execution] | None:
    """Return what is needed to end an execution; None if it has ended, with its traces removed."""
    job_id, execution_id = parse_composite_key(member)
    execution = Execution(execution_id, job_id, worker.connection, worker_name=worker.name)
    try:
        if data := worker.connection.hgetall(execution.key):
            execution.restore(data)
            execution.worker_name = worker.name
        job = worker.job_class.fetch(job_id, worker.connection, worker.serializer)
    except NoSuchJobError:
        _forget(worker, execution, None)
        return None
    except Exception:
        worker.log.exception("Worker %s: job %s cannot be read", worker.name, job_id)
        quarantine(worker, worker.queues[0], job_id, execution)
        return None
    if not data or job.get_status(refresh=False) != JobStatus.STARTED:
        _forget(worker, execution, cast(OffstageJob, job))
        return None
    job.ended_at = now()
    return cast(OffstageJob, job), worker.queue_named(job.origin), execution


def sweep(worker: "OffstageWorker", queue: Queue) -> None:
    """End executions of a queue whose worker nobody knows any more."""
    wip = f"{RQ_KEY_PREFIX}:wip:{queue.name}"
    for raw in worker.connection.zrange(wip, 0, -1):
        member = as_text(cast(bytes, raw))
        key = f"{RQ_KEY_PREFIX}:execution:{member}"
        owner = as_text(worker.connection.hget(key, "worker_name") or b"")
        if _is_alive(worker.connection, owner) or worker.connection.zscore(wip, member) is None:
            continue  # a missing execution with no entry left has just ended
        if worker.connection.set(f"offstage:claim:{member}", worker.name, nx=True, ex=60):
            worker.log.warning("Worker %s: takes over %s, whose worker is gone", worker.name, member)
            moment = now().timestamp()
            job_id, execution_id = parse_composite_key(member)
            execution = Execution(execution_id, job_id, worker.connection, worker_name=worker.name)
            if not owner:
                worker.connection.hset(key, mapping={**execution.serialize(), "created_at": moment})
            worker.connection.sadd(worker.executions_key, member)
            abandoned(worker, member)


def clean(worker: "OffstageWorker", queue: Queue) -> None:
    """Clean a queue's registries. RQ's own cleanup of started jobs is left out: `sweep` does it, atomically."""
    for registry in (FinishedJobRegistry, FailedJobRegistry, ReadyJobRegistry):
        registry(
            name=queue.name, connection=worker.connection, job_class=worker.job_class, serializer=worker.serializer
        ).cleanup()
    for limit in RateLimitRegistry.all(worker.connection):
        limit.cleanup()
    sweep(worker, queue)
    dependencies.sweep(worker.connection, queue.name)
    batches.tend(worker.connection)
    outcome.tell_canceled(worker)


def own_executions(redis: "Redis", worker: "OffstageWorker") -> list[str]:
    """Return what this worker runs according to Redis, as `job:execution`."""
    return [member.decode() for member in redis.smembers(worker.executions_key)]  # type: ignore[union-attr]


def after_horse(worker: "OffstageWorker", causes: dict[str, JobError], stopped: set[str], *, alone: set[str]) -> None:
    """End what a dead horse was running.

    `causes` says by execution id why those under way ended; those in `stopped` were stopped on command. Any other had
    not begun, or was an innocent neighbour, and goes back to the head of its queue; those in `alone` are to run in a
    process of their own, so that it shows who kills it.
    """
    for member in own_executions(worker.connection, worker):
        found = load(worker, member)
        if found is None:
            continue
        job, queue, execution = found
        if execution.id in stopped:
            outcome.stop(worker, job, queue, execution)
        elif execution.id in causes:
            outcome.end_without_result(worker, job, queue, execution, causes[execution.id])
        else:
            put_back(worker, job, queue, execution, alone=execution.id in alone)


def put_back(
    worker: "OffstageWorker", job: OffstageJob, queue: Queue, execution: Execution, *, alone: bool = False
) -> None:
    """Return a job to the head of its queue; the start does not count."""
    args = record.put_back_args(queue.name, job.id, execution.id, alone=alone)
    call(worker.connection, "putback", [], [RQ_KEY_PREFIX, worker.name, *args])


def _is_alive(redis: "Redis", name: str) -> bool:
    if not name:
        return False
    return redis.zscore("offstage:workers", name) is not None or bool(redis.exists(f"{RQ_KEY_PREFIX}:worker:{name}"))


def _tell_abandoned(worker: "OffstageWorker", job: OffstageJob) -> None:
    """Call what RQ calls for an abandoned job."""
    error = AbandonedJobError()
    try:
        execute_failure_callback(job, worker.death_penalty_class, AbandonedJobError, error, None)
    except Exception:
        worker.log.exception("Worker %s: failure callback for job %s raised", worker.name, job.id)
    call_exception_handlers(worker._exc_handlers, job, AbandonedJobError, error, None)


def _forget(worker: "OffstageWorker", execution: Execution, job: OffstageJob | None) -> None:
    job = job or worker.job_class(execution.job_id, connection=worker.connection, serializer=worker.serializer)
    with worker.connection.pipeline() as pipeline:
        for queue in {job.origin, *worker.queue_names()}:
            pipeline.zrem(f"{RQ_KEY_PREFIX}:wip:{queue}", execution.composite_key)
        pipeline.zrem(f"{RQ_KEY_PREFIX}:executions:{execution.job_id}", execution.id)
        pipeline.delete(execution.key)
        pipeline.srem(worker.executions_key, execution.composite_key)
        pipeline.execute()
