"""A job's webhooks: who is told of its end, and the deliveries that tell them.

A delivery is a job of the type `webhooks.deliver`. It is started in the transaction that records the end, so that no
crash comes between; under an id that follows from the end, so that it is started once.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, Field
from redis import Redis
from redis.client import Pipeline
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import utcformat

from jobs.core import keys
from jobs.core.worker_parts.scripts import call, source

DELIVER = "webhooks.deliver"
_MIN_TTL = 7200  # seconds, of what a job has that may never be enqueued; the upkeep lets it live as long as the job
MAX_WEBHOOKS = 10  # of one job: requests that joined it may each have their own


class TooManyWebhooks(Exception):
    """The job has as many webhooks as one job may have."""

    code = "too_many_webhooks"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class Webhook:
    """A checked URL. It may hold a secret: only `host` (with the port, if it names one) is shown."""

    url: str
    host: str

    @property
    def id(self) -> str:
        """Stands for the URL where that is not to be seen."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:16]


class WebhookView(BaseModel):
    """One of a job's webhooks, as the job's owner sees it."""

    host: str
    deliveries: list[str] = Field(description="The jobs that told it of an end, oldest first.")


def follow(redis: Redis, tenant: str, job_id: str, webhook: Webhook, *, ttl: int) -> bool:
    """Tell the webhook of the job's end; at once, if it has ended. Returns False if Redis has no such job any more.

    Raises:
        TooManyWebhooks: it has its share.
    """
    now = datetime.now(UTC)
    content = json.dumps({"url": webhook.url, "host": webhook.host})
    args = [webhook.id, content, webhook.host, ttl, MAX_WEBHOOKS, utcformat(now), now.timestamp()]
    done: int = call(redis, "follow", [], [RQ_KEY_PREFIX, tenant, job_id, *args])
    if done < 0:
        raise TooManyWebhooks
    return done == 1


def add_webhook(redis: Redis, tenant: str, job_id: str, webhook: Webhook, *, ttl: int) -> None:
    """Keep a webhook of a job that is about to be enqueued."""
    key = keys.webhooks(tenant, job_id)
    content = json.dumps({"url": webhook.url, "host": webhook.host})
    with redis.pipeline() as pipeline:
        pipeline.hset(key, mapping={f"hook:{webhook.id}": content, "ttl": str(ttl)})
        pipeline.expire(key, max(ttl, _MIN_TTL))
        pipeline.execute()


def add_deliveries(pipeline: Pipeline, tenant: str, job_id: str, state: str, ended_at: datetime | None) -> None:
    """Have the transaction that records a job's end start the deliveries. `state` is the client's word."""
    at = ended_at or datetime.now(UTC)
    args: list[Any] = [RQ_KEY_PREFIX, tenant, job_id, state, utcformat(at), at.timestamp()]
    pipeline.eval(source("deliver"), 0, *args)  # no EVALSHA: it could not be loaded in between


def url_of(redis: Redis, tenant: str, job_id: str, hook: str) -> str | None:
    """Return the URL of one of a job's webhooks; None when the job was deleted."""
    content: Any = redis.hget(keys.webhooks(tenant, job_id), f"hook:{hook}")
    return str(json.loads(content)["url"]) if content else None


def last_deliveries(fields: Mapping[bytes, bytes]) -> list[str]:
    """Return the newest delivery of each webhook, from the hash of a job's webhooks."""
    return [ids[-1] for _, ids in _deliveries(fields) if ids]


def newest_deliveries(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the newest delivery of each webhook by the webhook's id, from the hash of a job's webhooks."""
    newest: dict[str, tuple[str, str]] = {}
    for name, value in fields.items():
        kind, _, delivery_id = name.decode().partition(":")
        if kind == "delivery":
            hook, _, at = value.decode().partition(" ")
            newest[hook] = max(newest.get(hook, ("", "")), (at, delivery_id))
    return {hook: delivery_id for hook, (_at, delivery_id) in newest.items()}


def read_webhooks(fields: Mapping[bytes, bytes]) -> list[WebhookView]:
    """Return a job's webhooks from the hash that keeps them."""
    return [WebhookView(host=host, deliveries=ids) for host, ids in _deliveries(fields)]


def record_delivery(redis: Redis, tenant: str, job_id: str, hook: str, delivery_id: str) -> None:
    """Keep a further delivery among those of the job."""
    redis.hset(keys.webhooks(tenant, job_id), f"delivery:{delivery_id}", f"{hook} {utcformat(datetime.now(UTC))}")


def _deliveries(fields: Mapping[bytes, bytes]) -> list[tuple[str, list[str]]]:
    """Return host and delivery ids, oldest first, of each webhook."""
    of_hook: dict[str, list[tuple[str, str]]] = {}
    for name, value in fields.items():
        kind, _, delivery_id = name.decode().partition(":")
        if kind == "delivery":
            hook, _, at = value.decode().partition(" ")
            of_hook.setdefault(hook, []).append((at, delivery_id))
    return [
        (json.loads(value)["host"], [delivery_id for _, delivery_id in sorted(of_hook.get(name[5:].decode(), []))])
        for name, value in sorted(fields.items())
        if name.startswith(b"hook:")
    ]
