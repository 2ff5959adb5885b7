"""Webhooks: tell a URL that a job has ended, signed, again and again until it takes it."""

import json
import time
from typing import Any

from pydantic import BaseModel, Field
from rq.job import Job
from rq.serializers import JSONSerializer

from config import Config
from jobs.core import keys
from jobs.core.client import JobClient, WrongState
from jobs.core.context import JobContext
from jobs.core.errors import FatalError, NonRetryableError, RetryableError
from jobs.core.spec import Backoff, job
from jobs.core.view import JobNotFound, JobView
from jobs.core.webhooks import DELIVER, Webhook, last_deliveries, record_delivery, url_of
from jobs.domain.signatures import read_secret, signed_headers, tenant_key, write_secret
from jobs.providers.errors import ProviderError
from jobs.providers.safe_http import Answer, SafeClient
from jobs.services import Services

MAX_BODY_BYTES = 256 * 1024  # with a longer result, the result is left out
RETRY_STATUSES = (408, 409, 425, 429)  # of 4xx; the others will be the same the next time
_HEADERS = {"Content-Type": "application/json", "User-Agent": "Offstage"}


class WebhookUrlRefused(Exception):
    """No webhook can be sent to this URL."""

    code = "webhook_url_refused"
    field = "webhook_url"


class NoWebhook(Exception):
    """The job has no webhook."""

    code = "no_webhook"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class WebhookFailed(RetryableError):
    """The webhook's receiver did not take the message."""

    code = "webhook_failed"


class WebhookRejected(NonRetryableError):
    """The webhook's receiver refuses this message."""

    code = "webhook_rejected"


class NoWebhookSecret(FatalError):
    """This service has no WEBHOOK_SECRET, so it sends no webhooks."""

    code = "no_webhook_secret"


class DeliverArgs(BaseModel):
    """The end of a job, and to which of its webhooks it is told. `message_id` is the same at every attempt."""

    job_id: str
    hook: str
    host: str
    event: str
    occurred_at: str
    message_id: str
    again: bool = Field(default=False, description="A client asked for it: it is told, though it was before.")


class DeliverResult(BaseModel):
    """The receiver's answer. `superseded`: nothing was sent, since the job was started again; its next end is told."""

    status: int | None = None
    superseded: bool = False


def check(config: Config, url: str | None) -> Webhook | None:
    """Return a request's webhook if it can be told; None if it has none. Looks the host up, connects nothing.

    Raises:
        WebhookUrlRefused: it leads where webhooks may not, or there is no secret to sign with.
    """
    if not url:
        return None
    try:
        host = _client(config).check(url)
    except ProviderError as error:
        raise WebhookUrlRefused(str(error)) from None
    if not config.webhook_secret:
        raise WebhookUrlRefused(str(NoWebhookSecret()))
    return Webhook(url, host)


def secrets_of(config: Config, tenant: str) -> list[str]:
    """Return the secrets that a tenant's messages are signed with, as `whsec_...`, the newest first."""
    return [write_secret(key) for key in _keys(config, tenant)]


def redeliver(services: Services, client: JobClient, tenant: str, job_id: str) -> list[JobView]:
    """Tell an ended job's webhooks again, each under the id of its last message. One under way is left to it.

    Raises:
        JobNotFound: the tenant has none of that id.
        WrongState: it has not ended.
        NoWebhook: it has none.
    """
    view = client.get(tenant, job_id)
    if not view.ended:
        raise WrongState(view)
    fields: Any = services.redis.hgetall(keys.webhooks(tenant, job_id))
    again = [_again(services, client, tenant, delivery_id) for delivery_id in last_deliveries(fields)]
    if not again:
        raise NoWebhook
    return again


@job(DELIVER, queue="low", timeout=60, retries=11, backoff=Backoff(base=5, cap=3600), describe=("event", "host"))
def deliver(ctx: JobContext, args: DeliverArgs) -> DeliverResult:
    """Tell a webhook of a job's end."""
    config = ctx.services.config
    url = url_of(ctx.services.redis, ctx.tenant, args.job_id, args.hook)
    if url is None:
        raise WebhookRejected("The job was deleted.")
    body = _body(ctx, args)
    if body is None:
        return DeliverResult(superseded=True)

    def send() -> int:
        headers = signed_headers(_keys(config, ctx.tenant), args.message_id, int(time.time()), body)
        answer = _client(config).post(url, body, _HEADERS | headers)
        _judge(answer)
        return answer.status

    # The receiver is given the message's id as well: cut off in the middle, it is told again.
    return DeliverResult(status=ctx.effect(_key(ctx, args), send, channel="webhook", cut_off="again"))


def _key(ctx: JobContext, args: DeliverArgs) -> str:
    """Return under which key the ledger has this: an end is told once, whichever job does so."""
    work = None if args.again else ctx.services.work.get(ctx.tenant, args.job_id)
    return f"webhook/{args.job_id}/{args.hook}/{work.generation}" if work else f"webhook/{ctx.job_id}"


def _again(services: Services, client: JobClient, tenant: str, delivery_id: str) -> JobView:
    view = client.get(tenant, delivery_id)
    if view.state == "failed":
        return client.requeue(tenant, delivery_id)
    if not view.ended:
        return view
    last = Job.fetch(delivery_id, connection=services.redis, serializer=JSONSerializer)
    args = DeliverArgs.model_validate(last.args[1]).model_copy(update={"again": True})
    started = client.start(DELIVER, args, tenant=tenant)
    record_delivery(services.redis, tenant, args.job_id, args.hook, started)
    return client.get(tenant, started)


def _body(ctx: JobContext, args: DeliverArgs) -> bytes | None:
    """Return the message; None if the job has been started again since."""
    state = args.event.removeprefix("job.")
    data: dict[str, Any] = {"id": args.job_id, "state": state}
    services = ctx.services
    client = JobClient(services.redis, result_ttl=services.config.result_ttl, work=services.work)
    try:
        view = client.get(ctx.tenant, args.job_id)
    except JobNotFound:  # it was kept for less time than this delivery took
        return _message(args, data)
    if view.state != state:
        return None
    data = view.model_dump(mode="json", exclude={"webhooks"})
    body = _message(args, data)
    if len(body) > MAX_BODY_BYTES:
        body = _message(args, {**data, "result": None, "result_left_out": True})
    return body


def _message(args: DeliverArgs, data: dict[str, Any]) -> bytes:
    message = {"type": args.event, "timestamp": args.occurred_at, "data": data}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def _judge(answer: Answer) -> None:
    status = answer.status
    if 200 <= status < 300:
        return
    said = f"The receiver answered {status}."
    if status in RETRY_STATUSES or status >= 500:
        raise WebhookFailed(said, retry_after=answer.retry_after)
    raise WebhookRejected(said)


def _client(config: Config) -> SafeClient:
    return SafeClient(timeout=config.webhook_timeout, allow_private=config.webhook_allow_private)


def _keys(config: Config, tenant: str) -> list[bytes]:
    """Return the tenant's keys. Where there is one tenant only, the service's are its own."""
    if not config.webhook_secret:
        raise NoWebhookSecret
    roots = map(read_secret, config.webhook_secret.get_secret_value().replace(",", " ").split())
    return [tenant_key(key, tenant) if config.api_keys else key for key in roots]
