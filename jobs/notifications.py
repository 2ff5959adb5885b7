"""Notifications: mail, SMS and push, each channel a job of its own, so that none waits for or repeats another.

What is to be sent is kept in the database, with the texts; the jobs carry ids. So no address and no text of a message
stands in Redis, in a log or in a dashboard.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import NAMESPACE_OID, uuid5

from pydantic import BaseModel, Field
from redis import Redis

from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import RetryableError
from jobs.core.spec import Backoff, Failure, job
from jobs.core.view import JobNotFound
from jobs.domain.notifications import CHANNELS, Channel, Event, Language, Recipient, Text, digest, plan
from jobs.providers.channels import ChannelMisconfigured, Outgoing, Sender
from jobs.services import Services
from jobs.stores.notifications import FAILED, QUEUED, SENT, UNKNOWN, Delivery, Notification
from jobs.stores.users import User

log = logging.getLogger(__name__)

SEND = "notifications.send"
WELCOME = "user_registered"
OUTBOX = "outbox"  # the provider of a channel that is not set up: the message stays here
STOP_SECONDS = 300  # that a channel whose server refuses us is left alone
UserId = Annotated[str, Field(min_length=1, max_length=100)]


class ChannelStopped(RetryableError):
    """The channel is stopped: its server refuses our login."""

    code = "channel_stopped"


class SendArgs(BaseModel):
    delivery_id: str = Field(pattern="^[0-9a-f]{32}$")


class SendResult(BaseModel):
    """What became of a delivery."""

    state: str
    provider: str | None = None


class EventArgs(BaseModel):
    """A registered user, and what has happened."""

    user_id: UserId
    event_type: str = Field(max_length=100)
    context: dict[str, str | int | float] = Field(default_factory=dict)


class EventResult(BaseModel):
    notification_id: str


class RecoverArgs(BaseModel):
    """After how many seconds a delivery without a job is taken for left behind."""

    older_than: float = Field(default=60, ge=0)


class RecoverResult(BaseModel):
    """How many deliveries were started, how many were given up with their jobs, how many notifications forgotten."""

    started: int = 0
    failed: int = 0
    forgotten: int = 0


def notify(
    services: Services,
    client: JobClient,
    tenant: str,
    notification_id: str,
    to: Recipient,
    texts: Mapping[Channel, Text],
    event: Event | None = None,
) -> Notification:
    """Keep a notification and start a job for each channel that it goes by. One whose id is there is the same one."""
    plans = plan(to, event, list(texts), texts, datetime.now(UTC))
    named = [(uuid5(NAMESPACE_OID, f"{tenant}/{notification_id}/{each.channel}").hex, each) for each in plans]
    notification = services.notifications.add(
        tenant,
        notification_id,
        to.user_id,
        event.name if event else None,
        to.language,
        named,
        hourly_limit=0 if event and event.urgent else services.config.notification_hourly_limit,
    )
    for delivery in notification.deliveries:
        _start(client, delivery)
    return notification


def notify_event(
    services: Services,
    client: JobClient,
    tenant: str,
    notification_id: str,
    to: Recipient,
    event_type: str,
    context: Mapping[str, Any],
) -> Notification:
    """Tell somebody of an event, in the words of its templates.

    Raises:
        UnknownEvent, BadContext, TextTooLong: nothing is sent.
    """
    event = services.event_texts.event(event_type)
    texts = services.event_texts.render(event, to.language, context)
    return notify(services, client, tenant, notification_id, to, texts, event)


def register(
    services: Services,
    client: JobClient,
    tenant: str,
    email: str,
    *,
    user_id: str | None,
    phone: str | None,
    name: str | None,
    language: Language,
) -> tuple[User, Notification | None]:
    """Register a user and send a welcome. Who is registered already, with the same address, is sent nothing again.

    Raises:
        UserExists: another user has this id or this address.
    """
    known = services.users.find_by_email(tenant, email)
    chosen = user_id or (known.user_id if known else uuid5(NAMESPACE_OID, f"{tenant}/{email}").hex)
    user, new = services.users.register(tenant, chosen, email, phone=phone, name=name, language=language)
    if not new and known is not None:
        return user, None
    welcome = uuid5(NAMESPACE_OID, f"{tenant}/{user.number}/{WELCOME}").hex  # who was deleted is welcome again
    return user, notify_event(services, client, tenant, welcome, recipient(user), WELCOME, {})


def recipient(user: User) -> Recipient:
    """Return where a registered user is reached."""
    return Recipient(user.user_id, user.email, user.phone, user.language, user.preferences)


def known_recipient(services: Services, tenant: str, user_id: str, email: str | None, phone: str | None) -> Recipient:
    """Return whom a request means: the addresses that it gives, the language and the wishes that we know."""
    user = services.users.find(tenant, user_id)
    if user is None:
        return Recipient(user_id, email, phone)
    return replace(recipient(user), email=email or user.email, phone=phone or user.phone)


def channel_states(services: Services) -> dict[Channel, dict[str, Any]]:
    """Return how each channel stands: `outbox` without a provider, `ready`, or `stopped`, until when and why."""
    return {channel: _channel_state(services, channel) for channel in CHANNELS}


def resume_channel(services: Services, channel: Channel) -> None:
    """Let a stopped channel try again now."""
    services.redis.delete(_stop_key(channel))


def _channel_state(services: Services, channel: Channel) -> dict[str, Any]:
    sender = services.channels.get(channel)
    if sender is None:
        return {"state": OUTBOX}
    why: Any = services.redis.get(_stop_key(channel))
    if why is None:
        return {"state": "ready", "provider": sender.provider}
    seconds = max(0, services.redis.ttl(_stop_key(channel)))
    return {"state": "stopped", "provider": sender.provider, "reason": why.decode(), "seconds": seconds}


def _start(client: JobClient, delivery: Delivery) -> None:
    if delivery.state == QUEUED and delivery.digest_id is None:
        args = SendArgs(delivery_id=delivery.id)
        client.start(SEND, args, tenant=delivery.tenant, job_id=delivery.id, due=delivery.due_at)


def _mark_failed(ctx: JobContext, args: SendArgs, failure: Failure) -> None:
    state = UNKNOWN if failure.code == "outcome_unknown" else FAILED
    ctx.services.notifications.settle(args.delivery_id, state, reason=failure.code, message=failure.message)


@job(SEND, queue="high", timeout=120, retries=8, backoff=Backoff(base=2, cap=300), on_failure=_mark_failed)
def send(ctx: JobContext, args: SendArgs) -> SendResult:
    """Send a notification by one channel, once."""
    store = ctx.services.notifications
    delivery = store.delivery(ctx.tenant, args.delivery_id)
    if delivery is None or delivery.state == SENT:
        return SendResult(state=delivery.state if delivery else "gone")
    channel: Channel = delivery.channel  # type: ignore[assignment]
    sender = ctx.services.channels.get(channel)
    if sender is None:
        store.settle(delivery.id, SENT, provider=OUTBOX, reason="outbox")
        return SendResult(state=SENT, provider=OUTBOX)
    provider_id = _send(ctx, delivery, channel, sender)
    store.settle(delivery.id, SENT, provider=sender.provider, provider_id=provider_id[:200], reason=None)
    return SendResult(state=SENT, provider=sender.provider)


def _send(ctx: JobContext, delivery: Delivery, channel: Channel, sender: Sender) -> str:
    _refuse_while_stopped(ctx.services.redis, channel)
    key = f"{channel}/{delivery.id}"
    message = _message(ctx, delivery)
    cut_off = "again" if sender.takes_key else "unknown"
    try:
        return ctx.effect(key, lambda: sender.send(message, delivery.id), channel=channel, cut_off=cut_off)  # type: ignore[arg-type]
    except ChannelMisconfigured as error:
        log.error("the channel %s is stopped for %d s: %s", channel, STOP_SECONDS, error)
        ctx.services.redis.set(_stop_key(channel), str(error), ex=STOP_SECONDS)
        raise ChannelStopped(str(error), retry_after=STOP_SECONDS) from error


def _message(ctx: JobContext, delivery: Delivery) -> Outgoing:
    whole = ctx.services.notifications.digest(delivery.id) if delivery.digest else [delivery]
    text = digest([Text(each.subject, each.text, each.html) for each in whole])
    return Outgoing(delivery.recipient, text.subject, text.text, text.html)


def _refuse_while_stopped(redis: Redis, channel: Channel) -> None:
    why: Any = redis.get(_stop_key(channel))
    if why is not None:
        raise ChannelStopped(why.decode(), retry_after=max(1, redis.ttl(_stop_key(channel))))


def _stop_key(channel: Channel) -> str:
    return f"offstage:channel-stop:{channel}"


@job("notifications.event", queue="high", timeout=60, describe=("event_type",))
def event(ctx: JobContext, args: EventArgs) -> EventResult | None:
    """Tell a registered user of an event; one who is not registered is told nothing."""
    user = ctx.services.users.find(ctx.tenant, args.user_id)
    if user is None:
        return None
    client = JobClient(ctx.services.redis, result_ttl=ctx.services.config.result_ttl, work=ctx.services.work)
    told = notify_event(ctx.services, client, ctx.tenant, ctx.job_id, recipient(user), args.event_type, args.context)
    return EventResult(notification_id=told.id)


@job("notifications.recover", queue="low", timeout=300, every=60)
def recover(ctx: JobContext, args: RecoverArgs) -> RecoverResult:
    """Start deliveries whose job was never accepted, give up those whose job has ended, forget old notifications."""
    services, result = ctx.services, RecoverResult()
    client = JobClient(services.redis, result_ttl=services.config.result_ttl, work=services.work)
    for delivery in services.notifications.waiting(args.older_than):
        try:
            view = client.get(delivery.tenant, delivery.id)
        except JobNotFound:
            _start(client, delivery)
            result.started += 1
            continue
        if view.ended and view.state != "completed":
            code = view.error.code if view.error else "canceled"
            services.notifications.settle(delivery.id, FAILED, reason=code)
            result.failed += 1
    result.forgotten = services.notifications.purge(services.config.notification_days * 86_400)
    return result
