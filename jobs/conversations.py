"""Conversations: log and count what was said, many in one transaction, and start what follows from it.

An answer is committed as a row; a job on `low` logs all that wait of a tenant. Chats of the same quarter of a second
share that job, which is due at the end of it: whatever was accepted before is there when it runs.
"""

import time
from uuid import NAMESPACE_OID, uuid5

from pydantic import BaseModel, Field

from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.spec import job
from jobs.services import Services
from jobs.stores.conversations import ROUND

LOG, ANALYZE, MEMORIZE = "conversations.log", "conversations.analyze", "conversations.memorize"
LIMIT_EVENT = "conversation_limit"
_BUCKET = 0.25  # seconds of chats that share a job


class LogResult(BaseModel):
    """How many conversations were logged, in how many transactions; how many users were told of their soft limit, and
    how many sessions were left to be summed up."""

    logged: int = 0
    rounds: int = 0
    told: int = 0
    memories: int = 0


class LogArgs(BaseModel):
    """Of all that waits of the tenant: no text stands in a job."""


class RecoverArgs(BaseModel):
    """After how many seconds a conversation that waits is taken for left behind."""

    older_than: float = Field(default=30, ge=0)


class RecoverResult(BaseModel):
    """How many jobs were started: that log, that analyze, that sum up."""

    logs: int = 0
    analyses: int = 0
    memories: int = 0


def start_logging(services: Services, client: JobClient, tenant: str) -> str:
    """Have what a tenant's chats have left logged soon; return the job that does so.

    If this process dies before it has started the job that others of its chats rely on, `recover` starts one.
    """
    bucket = int(time.time() / _BUCKET) + 1
    job_id = uuid5(NAMESPACE_OID, f"{LOG}/{tenant}/{bucket}").hex
    if services.conversations.is_first(tenant, bucket):
        client.start(LOG, LogArgs(), tenant=tenant, job_id=job_id, due=bucket * _BUCKET)
    return job_id


@job(LOG, queue="low", timeout=300, retries=10)
def log_conversations(ctx: JobContext, args: LogArgs) -> LogResult:
    """Log and count the conversations that wait, start what follows, and tell who has reached the soft limit."""
    result = LogResult()
    while logged := _log_some(ctx, result):
        ctx.progress(50, f"{result.logged} logged")
        if logged < ROUND:
            break
    if result.logged and ctx.services.config.chat_analysis != "off":
        job_id, due = _analysis_slot(ctx.services, ctx.tenant)
        ctx.start(ANALYZE, {}, job_id=job_id, due=due)
    _tell_of_the_limit(ctx, result)
    return result


def _log_some(ctx: JobContext, result: LogResult) -> int:
    logged = ctx.services.conversations.log(ctx.tenant)
    result.logged += logged.conversations
    result.rounds += 1 if logged.conversations else 0
    result.memories += len(logged.memories)
    for pending_id in logged.memories:
        ctx.start(MEMORIZE, {"id": pending_id}, job_id=pending_id)
    return logged.conversations


def _tell_of_the_limit(ctx: JobContext, result: LogResult) -> None:
    limit = ctx.services.config.chat_soft_limit
    for user_id in ctx.services.user_stats.to_be_told(ctx.tenant):
        args = {"user_id": user_id, "event_type": LIMIT_EVENT, "context": {"limit": limit}}
        first = ctx.services.conversations.first_number(ctx.tenant, user_id)  # another one after the user's deletion
        job_id = uuid5(NAMESPACE_OID, f"{LIMIT_EVENT}/{ctx.tenant}/{user_id}/{first}").hex
        ctx.start("notifications.event", args, job_id=job_id)
        ctx.services.user_stats.told(ctx.tenant, user_id)
        result.told += 1


def _analysis_slot(services: Services, tenant: str) -> tuple[str, float]:
    """Return id and time of the job that analyzes what a tenant's chats of these seconds have left."""
    seconds = services.config.chat_analysis_seconds
    bucket = int(time.time() / seconds) + 1
    return uuid5(NAMESPACE_OID, f"{ANALYZE}/{tenant}/{bucket}").hex, bucket * seconds


@job("conversations.recover", queue="low", timeout=60, every=30)
def recover(ctx: JobContext, args: RecoverArgs) -> RecoverResult:
    """Have done what was left when a process died: conversations not logged, not analyzed, not summed up."""
    services, result = ctx.services, RecoverResult()
    client = JobClient(services.redis, result_ttl=services.config.result_ttl, work=services.work)
    for tenant in services.conversations.tenants_waiting(time.time() - args.older_than):
        start_logging(services, client, tenant)
        result.logs += 1
    for tenant in services.sessions.tenants_grown():
        job_id, due = _analysis_slot(services, tenant)
        client.start(ANALYZE, {}, tenant=tenant, job_id=job_id, due=due)
        result.analyses += 1
    for tenant, pending_id in services.memories.without_job(args.older_than):
        client.start(MEMORIZE, {"id": pending_id}, tenant=tenant, job_id=pending_id)
        result.memories += 1
    services.memories.purge(time.time() - services.config.result_ttl)
    return result
