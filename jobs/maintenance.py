"""Maintenance: what the service does for itself."""

import time
from contextlib import suppress
from dataclasses import asdict

from pydantic import BaseModel
from redis.exceptions import LockError

from jobs.core.context import JobContext
from jobs.core.reconcile import reconcile
from jobs.core.spec import job
from jobs.core.sweep import sweep

KEEP_EFFECTS = 4  # times as long as ended jobs: one that is requeued must find what it has done
LOCK_SECONDS = 30  # kept alive while a round goes on: one whose worker was killed holds the next up no longer
KEEP_REQUESTS_SECONDS = 24 * 3600  # answers of requests with an `Idempotency-Key`


class Nothing(BaseModel):
    """No arguments."""


class SweepResult(BaseModel):
    """How many entries of jobs that are gone were taken out of Redis, and how many rows of old work deleted."""

    gone: int
    forgotten: int


@job("maintenance.sweep", queue="low", timeout=600, every=600)
def sweep_redis(ctx: JobContext, args: Nothing) -> SweepResult:
    """Take out what belongs to jobs that are gone, and keep what belongs to those that live."""
    now = time.time()
    services = ctx.services
    forgotten = services.work.purge(now) + services.requests.purge(now - KEEP_REQUESTS_SECONDS)
    forgotten += services.effects.purge(now - KEEP_EFFECTS * services.config.result_ttl)
    forgotten += services.canvases.purge(now - services.config.deleted_canvas_days * 86_400)
    return SweepResult(gone=sweep(services.redis, now), forgotten=forgotten)


@job("maintenance.reconcile", queue="high", timeout=300, retries=0, every=15)
def reconcile_work(ctx: JobContext, args: Nothing) -> dict[str, int]:
    """Start again what was accepted and what Redis has lost."""
    lock = ctx.services.redis.lock("offstage:reconcile", timeout=LOCK_SECONDS, blocking=False)
    if not lock.acquire():  # an earlier round is still at it
        return {}
    with suppress(LockError):  # Redis was wiped meanwhile: the lock may be another round's by now
        try:
            return asdict(reconcile(ctx.services.redis, ctx.services.work, beat=lock.reacquire))
        finally:
            lock.release()
    return {}
