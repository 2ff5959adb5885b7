"""What is answered about notifications, users and channels."""

from typing import Annotated, Literal, NotRequired

from typing_extensions import TypedDict

from jobs.domain.notifications import Channel, Event, Language
from webapp.shapes.common import Cursor, SelfLink, Time, UserId, one_of


class Delivery(TypedDict):
    """A notification on one channel. `reason` says why it is in its state; `due_at` is in seconds since 1970."""

    channel: Annotated[str, one_of("email", "sms", "push")]
    state: Annotated[str, one_of("queued", "sent", "failed", "unknown", "skipped")]
    reason: str | None
    recipient: str
    subject: str
    text: str
    provider: str | None
    provider_id: str | None
    due_at: int | None
    error: str | None
    task_id: str | None
    ended_at: Time | None


class Notification(TypedDict):
    """A notification, with what became of it on each channel."""

    id: str
    user_id: str
    event_type: str | None
    created_at: Time
    deliveries: list[Delivery]
    links: SelfLink


class Notifications(TypedDict):
    """Notifications, newest first."""

    notifications: list[Notification]
    next_cursor: Cursor


class NotificationLink(TypedDict):
    """Where what becomes of it is told."""

    notification: str


class Notified(TypedDict):
    """A notification that was accepted; each delivery is a job of its own."""

    notification_id: str
    deliveries: list[Delivery]
    links: NotificationLink


class MessageAccepted(Notified):
    """A message that was accepted."""

    message: str
    user_id: UserId
    notification_types: list[Channel]


class EventAccepted(Notified):
    """An event that was accepted."""

    message: str
    event_type: str


class User(TypedDict):
    """A user as registered."""

    status: Literal["ok"]
    user_id: str
    email: str | None
    phone: str | None
    name: str | None
    language: Language
    created_at: Time


class Registered(User, Notified):
    """A new user, and the welcome that is being sent."""


class Events(TypedDict):
    """The events that users can be told of."""

    events: list[Event]


class ChannelState(TypedDict):
    """How a channel stands; of a stopped one `seconds` are left until it tries again."""

    state: Literal["outbox", "ready", "stopped"]
    provider: NotRequired[str]
    reason: NotRequired[str]
    seconds: NotRequired[int]


class NamedChannelState(ChannelState):
    """How a channel stands."""

    channel: Channel


class Channels(TypedDict):
    """How each channel stands."""

    channels: dict[Channel, ChannelState]


class QuietTime(TypedDict):
    """The time of day in which only what is urgent is sent, as `22:00` to `07:00` in a time zone."""

    start: str
    end: str
    timezone: str


class UserPreferences(TypedDict):
    """What a user wants to be told, and in which language; false for what is switched off."""

    user_id: str
    language: Language
    channels: dict[Channel, bool]
    events: dict[str, bool]
    quiet_hours: QuietTime | None
