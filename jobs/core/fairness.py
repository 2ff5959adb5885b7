"""Hints beside an RQ queue, so that one tenant's flood does not delay another tenant's first job."""

from redis.client import Pipeline

from jobs.core import keys


def fair_push(pipeline: Pipeline, queue_name: str, tenant: str, job_id: str) -> None:
    """Note that `job_id`, pushed to `queue_name` in the same pipeline, belongs to `tenant`."""
    pipeline.rpush(f"{keys.fair(queue_name)}:{tenant}", job_id)
    pipeline.zadd(keys.fair(queue_name), {tenant: 0}, nx=True)
