"""Notifications: tell users of something, see what became of it, ask what they want to be told."""

from typing import Annotated, Any, Literal

from flask import g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from jobs import notifications
from jobs.domain.notifications import CHANNELS, MAX_SUBJECT_CHARS, Channel, Language, Preferences, Text, check_length
from jobs.domain.recipients import email_address, phone_number
from jobs.notifications import channel_states, known_recipient, notify, notify_event
from jobs.stores.notifications import SKIPPED, Delivery, Notification
from jobs.stores.users import User, UserNotFound
from webapp.api.jobs import ListQuery
from webapp.api.users import UserId, as_given, printable
from webapp.extension import offstage
from webapp.idempotency import stable_id
from webapp.requests import StoredId
from webapp.responses import MAX_PAGE, Accepted, Answer, decode_cursor, encode_cursor, new_id, row_id
from webapp.shapes import notifications as shapes

bp = APIBlueprint("notifications", __name__, abp_tags=[Tag(name="notifications", description="Mail, SMS, push")])


def _no_controls(text: str) -> str:
    if any((ord(char) < 32 and char not in "\r\n\t") or ord(char) == 127 for char in text):
        raise ValueError("control characters are not allowed here")
    return text


Line = Annotated[str, AfterValidator(printable)]
Email = Annotated[Line, Field(max_length=254), AfterValidator(email_address)]
Phone = Annotated[Line, Field(max_length=40), AfterValidator(phone_number)]


class NotifyBody(BaseModel):
    """A message of the caller's own words, by the channels named."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    email: Email | None = None
    phone: Phone | None = None
    notification_types: list[Channel] = Field(min_length=1, max_length=3)
    subject: Line = Field(min_length=1, max_length=MAX_SUBJECT_CHARS)
    message: Annotated[str, AfterValidator(_no_controls)] = Field(min_length=1, max_length=100_000)


class EventBody(BaseModel):
    """Something that has happened; `GET /events` says which events there are and what their context holds."""

    model_config = ConfigDict(extra="forbid")

    user_id: UserId
    email: Email | None = None
    phone: Phone | None = None
    event_type: str = Field(max_length=100)
    context: dict[str, Any] = Field(default_factory=dict, max_length=50)


class RegisterBody(BaseModel):
    """A new user, who is sent a welcome."""

    model_config = ConfigDict(extra="forbid")

    email: Email
    user_id: UserId | None = None
    phone: Phone | None = None
    name: Line | None = Field(default=None, max_length=100)
    language: Language = "zh"


class NotificationsQuery(ListQuery):
    """Which notifications to list: a user's, of an event, those of which a delivery is in a state."""

    user_id: StoredId | None = Field(default=None, max_length=100)
    event: StoredId | None = Field(default=None, max_length=100)
    state: Literal["queued", "sent", "failed", "unknown", "skipped"] | None = None


class NotificationPath(BaseModel):
    """A notification's id."""

    notification_id: StoredId


class UserPath(BaseModel):
    """A user's id."""

    user_id: StoredId = Field(max_length=100)


class ChannelPath(BaseModel):
    """A channel."""

    channel: Channel


class PreferencesBody(Preferences):
    """What a user wants to be told; what is not named is on. `language` is that of the texts."""

    language: Language | None = None


@bp.post("/notify")
def send_notification(body: NotifyBody) -> Accepted[shapes.MessageAccepted]:
    """Send a message by mail, SMS and push, each on its own."""
    app = offstage()
    to = known_recipient(app.services, g.tenant, body.user_id, body.email, body.phone)
    texts = {each: Text(body.subject, check_length(each, body.message)) for each in body.notification_types}
    sent = notify(app.services, app.client, g.tenant, new_id(stable_id()), to, texts)
    said = {"user_id": as_given(body.user_id), "notification_types": body.notification_types}
    return _accepted(sent, message="通知任务已提交", **said)


@bp.post("/notify/event")
def send_event(body: EventBody) -> Accepted[shapes.EventAccepted]:
    """Tell a user of an event, in the words of its templates."""
    app = offstage()
    to = known_recipient(app.services, g.tenant, body.user_id, body.email, body.phone)
    sent = notify_event(app.services, app.client, g.tenant, new_id(stable_id()), to, body.event_type, body.context)
    return _accepted(sent, message="事件通知已提交", event_type=body.event_type)


@bp.post("/register")
def register(body: RegisterBody) -> Answer[shapes.User] | Accepted[shapes.Registered]:
    """Register a user and send a welcome; registering again changes and sends nothing."""
    app = offstage()
    user, sent = notifications.register(
        app.services,
        app.client,
        g.tenant,
        body.email,
        user_id=body.user_id,
        phone=body.phone,
        name=body.name,
        language=body.language,
    )
    return _accepted(sent, **user_json(user)) if sent else Answer(user_json(user))


@bp.get("/notifications")
def list_notifications(query: NotificationsQuery) -> Answer[shapes.Notifications]:
    """List notifications, newest first, with what became of each on each channel."""
    limit = min(query.limit, MAX_PAGE)
    page = offstage().services.notifications.page(
        g.tenant,
        user_id=query.user_id,
        state=query.state,
        event_type=query.event,
        before=decode_cursor(query.cursor, row_id),
        limit=limit,
    )
    cursor = encode_cursor(page[-1].number) if len(page) == limit else None
    return Answer(shapes.Notifications(notifications=[notification_json(each) for each in page], next_cursor=cursor))


@bp.get("/notifications/<string:notification_id>")
def get_notification(path: NotificationPath) -> Answer[shapes.Notification]:
    """Return a notification, with what became of it on each channel."""
    return Answer(notification_json(offstage().services.notifications.get(g.tenant, path.notification_id)))


@bp.get("/events")
def list_events() -> Answer[shapes.Events]:
    """List the events that users can be told of, with the context that each needs."""
    return Answer(shapes.Events(events=list(offstage().services.event_texts.events.values())))


@bp.get("/channels")
def list_channels() -> Answer[shapes.Channels]:
    """Say how each channel stands: `outbox` (nothing leaves this machine), `ready`, or `stopped` and why."""
    states: Any = channel_states(offstage().services)
    return Answer(shapes.Channels(channels=states))


@bp.post("/channels/<string:channel>/resume")
def resume_channel(path: ChannelPath) -> Answer[shapes.NamedChannelState]:
    """Let a stopped channel try again at once: its settings were mended."""
    notifications.resume_channel(offstage().services, path.channel)
    state: Any = {"channel": path.channel, **channel_states(offstage().services)[path.channel]}
    return Answer(state)


@bp.get("/users/<string:user_id>/preferences")
def get_preferences(path: UserPath) -> Answer[shapes.UserPreferences]:
    """Return what a user wants to be told."""
    user = offstage().services.users.find(g.tenant, path.user_id)
    if user is None:
        raise UserNotFound
    return Answer(preferences_json(user))


@bp.put("/users/<string:user_id>/preferences")
def set_preferences(path: UserPath, body: PreferencesBody) -> Answer[shapes.UserPreferences]:
    """Say what a user wants to be told; it takes the place of what was said before."""
    wanted = Preferences.model_validate(body.model_dump(exclude={"language"}))
    user = offstage().services.users.set_preferences(g.tenant, path.user_id, wanted, body.language)
    return Answer(preferences_json(user))


def preferences_json(user: User) -> Any:
    """Return what a user wants to be told: `UserPreferences`."""
    return {"user_id": user.user_id, "language": user.language, **user.preferences.model_dump(mode="json")}


def user_json(user: User) -> shapes.User:
    """Return a user as the tenant sees them."""
    return {
        "status": "ok",
        "user_id": user.user_id,
        "email": user.email,
        "phone": user.phone,
        "name": user.name,
        "language": user.language,
        "created_at": user.created_at.isoformat(),
    }


def notification_json(notification: Notification) -> shapes.Notification:
    """Return a notification as its owner sees it."""
    return {
        "id": notification.id,
        "user_id": notification.user_id,
        "event_type": notification.event_type,
        "created_at": notification.created_at.isoformat(),
        "deliveries": [
            delivery_json(each) for each in sorted(notification.deliveries, key=lambda one: CHANNELS.index(one.channel))
        ],
        "links": {"self": f"/notifications/{notification.id}"},
    }


def delivery_json(delivery: Delivery) -> shapes.Delivery:
    """Return a delivery as its owner sees it, with what was said to whom."""
    return {
        "channel": delivery.channel,
        "state": delivery.state,
        "reason": delivery.reason,
        "recipient": delivery.recipient,
        "subject": delivery.subject,
        "text": delivery.text,
        "provider": delivery.provider,
        "provider_id": delivery.provider_id,
        "due_at": delivery.due_at,
        "error": delivery.message,
        "task_id": None if delivery.state == SKIPPED else delivery.digest_id or delivery.id,
        "ended_at": delivery.ended_at.isoformat() if delivery.ended_at else None,
    }


def _accepted(sent: Notification, **fields: Any) -> Accepted[Any]:
    shown = notification_json(sent)
    link = shown["links"]["self"]
    body = {**fields, "notification_id": sent.id, "deliveries": shown["deliveries"], "links": {"notification": link}}
    return Accepted(body, link, next(filter(None, (each["task_id"] for each in shown["deliveries"])), None))
