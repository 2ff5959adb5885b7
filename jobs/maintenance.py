"""Maintenance: what the service does for itself."""

import time

from pydantic import BaseModel

from jobs.core.context import JobContext
from jobs.core.spec import job
from jobs.core.sweep import sweep


class Nothing(BaseModel):
    """No arguments."""


class SweepResult(BaseModel):
    """How many entries of jobs that are gone were taken out of Redis."""

    gone: int


@job("maintenance.sweep", queue="low", timeout=600, every=600)
def sweep_redis(ctx: JobContext, args: Nothing) -> SweepResult:
    """Take out of Redis what belongs to jobs that are gone, and keep what belongs to those that live."""
    return SweepResult(gone=sweep(ctx.services.redis, time.time()))
