"""Ends of accepted work that a webhook may not have been told of, since Redis lost the delivery: told again.

An end starts its deliveries in Redis, in one step with itself. Its row remembers, by the generation that ended, whether
they were seen to come to something; until then the reconciler looks after them.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from redis import Redis
from rq.job import Job
from rq.utils import utcformat

from jobs.core import keys
from jobs.core.acceptance import new_job
from jobs.core.apart import apart
from jobs.core.enqueue import Options, enqueue, prepare
from jobs.core.webhooks import DELIVER, Webhook, add_webhook, newest_deliveries, record_delivery
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import Work

_PAGE = 200
_CONCLUDED = (b"finished", b"failed", b"stopped", b"canceled")  # of itself, or given up after many attempts


def tell_ends(redis: Redis, store: WorkStore, before: datetime, beat: Callable[[], object]) -> int:
    """Start each delivery that nobody has, of ends before a time; return how many."""
    after = started = 0
    while page := store.untold(after=after, before=before, limit=_PAGE):
        beat()
        after = page[-1].number
        for work in page:
            with apart(f"work {work.id}"):
                started += _tell(redis, store, work)
    return started


def _tell(redis: Redis, store: WorkStore, work: Work) -> int:
    _, webhooks = new_job(work)
    known: Any = redis.hgetall(keys.webhooks(work.tenant, work.id))
    states = [_state(redis, newest_deliveries(known), webhook) for webhook in webhooks]
    if all(state in _CONCLUDED for state in states):
        store.mark_told(work.id, work.generation)
    lost = [webhook for webhook, state in zip(webhooks, states, strict=True) if state is None]
    for webhook in lost:
        _start(redis, work, webhook)
    return len(lost)


def _state(redis: Redis, newest: Mapping[str, str], webhook: Webhook) -> bytes | None:
    """Return the RQ status of a webhook's last delivery; None if there is no such job."""
    delivery_id = newest.get(webhook.id)
    state: Any = redis.hget(Job.key_for(delivery_id), "status") if delivery_id else None
    return None if state is None else bytes(state)


def _start(redis: Redis, work: Work, webhook: Webhook) -> None:
    """Start a delivery; its id follows from the end, so twice is once."""
    delivery_id = uuid5(NAMESPACE_OID, f"webhook/{work.id}/{webhook.id}/{work.generation}").hex
    args = {
        "job_id": work.id,
        "hook": webhook.id,
        "host": webhook.host,
        "event": f"job.{work.state}",
        "occurred_at": utcformat(work.ended_at or work.created_at),
        "message_id": f"msg_{delivery_id}",
    }
    add_webhook(redis, work.tenant, work.id, webhook, ttl=work.keep)
    enqueue(redis, prepare(DELIVER, args, work.tenant, work.keep, Options(), delivery_id))
    record_delivery(redis, work.tenant, work.id, webhook.id, delivery_id)
