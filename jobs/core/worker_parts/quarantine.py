"""Jobs whose hash cannot be read: kept apart as they are, and shown as failed."""

from typing import TYPE_CHECKING

from rq import Queue
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.utils import now

if TYPE_CHECKING:
    from jobs.core.worker import OffstageWorker

_KEPT = 7 * 24 * 3600


def quarantine(worker: "OffstageWorker", queue: Queue, job_id: str, execution: Execution) -> None:
    """Move an unreadable hash to `offstage:quarantine:{id}`; a clean one in its place says that the job failed."""
    clean = worker.job_class(job_id, connection=worker.connection, serializer=worker.serializer)
    clean._func_name, clean._instance, clean._args, clean._kwargs = "", None, (), {}
    clean.origin, clean.description = queue.name, "(unreadable job)"
    clean.created_at = clean.enqueued_at = clean.ended_at = now()
    clean.failure_ttl = _KEPT
    aside = f"offstage:quarantine:{job_id}"
    with worker.connection.pipeline() as pipeline:
        if worker.connection.exists(Job.key_for(job_id)):
            pipeline.rename(Job.key_for(job_id), aside)
            pipeline.expire(aside, _KEPT)
        clean.set_status(JobStatus.FAILED, pipeline=pipeline)
        clean._handle_failure(
            "The job's data cannot be read.",
            pipeline,
            worker_name=worker.name,
            execution_id=execution.id,
            execution_started_at=execution.created_at,
            execution_ended_at=clean.ended_at,
        )
        worker.increment_failed_job_count(pipeline)
        execution.delete(job=clean, pipeline=pipeline)
        pipeline.execute(raise_on_error=False)  # also when one of the job's keys is of another type
