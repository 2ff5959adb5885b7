"""Rules of notifications: who is told what, by which channel, when, and why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator

Channel = Literal["email", "sms", "push"]
Language = Literal["zh", "en"]
CHANNELS: tuple[Channel, ...] = ("email", "sms", "push")
MAX_SUBJECT_CHARS = 200
MAX_TEXT_CHARS = {"email": 100_000, "sms": 1_000, "push": 4_000}


class UnknownEvent(Exception):
    """No event is called that."""

    code: ClassVar[str] = "unknown_event"
    field: ClassVar[str] = "event_type"

    def __init__(self, name: str) -> None:
        super().__init__(f"No event is called {name!r}.")


class BadContext(Exception):
    """The context does not fit what the event declares."""

    code: ClassVar[str] = "bad_context"

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.field = f"context.{key}"


class TextTooLong(Exception):
    """A text is longer than its channel takes."""

    code: ClassVar[str] = "text_too_long"

    def __init__(self, channel: str) -> None:
        super().__init__(f"The {channel} has more than {MAX_TEXT_CHARS[channel]} characters.")
        self.field = "message"


class QuietHours(BaseModel):
    """The time of day in which only what is urgent is sent, as `22:00` to `07:00` in a time zone."""

    model_config = ConfigDict(extra="forbid")

    start: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    end: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    timezone: str = Field(default="UTC", max_length=64)

    @field_validator("timezone")
    @classmethod
    def _known(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, OSError, ValueError):  # none, a folder, a path
            raise ValueError("no time zone is called that") from None
        return name

    def end_after(self, now: datetime) -> datetime | None:
        """Return when the quiet time ends that `now` falls into; None if it falls into none."""
        local = now.astimezone(ZoneInfo(self.timezone))
        start, end = _at(local, self.start), _at(local, self.end)
        if start <= end:
            return end.astimezone(UTC) if start <= local < end else None
        if local >= start:
            return (end + timedelta(days=1)).astimezone(UTC)
        return end.astimezone(UTC) if local < end else None


class Preferences(BaseModel):
    """What a user wants to be told: `False` for a channel or an event that is switched off."""

    model_config = ConfigDict(extra="forbid")

    channels: dict[Channel, bool] = Field(default_factory=dict)
    events: dict[str, bool] = Field(default_factory=dict, max_length=200)
    quiet_hours: QuietHours | None = None


@dataclass(frozen=True)
class Event:
    """Something that users are told of. `context` says which keys its texts need, and of which kind.

    What is `urgent` is sent in quiet hours and not counted. With `digest_seconds`, those of one user within so long go
    out as one.
    """

    name: str
    channels: tuple[Channel, ...]
    context: Mapping[str, Literal["text", "number"]] = field(default_factory=dict)
    urgent: bool = False
    digest_seconds: int = 0

    def check(self, context: Mapping[str, Any]) -> None:
        """Look whether a context has what is declared, and nothing else.

        Raises:
            BadContext: a key is missing, not declared, or of another kind.
        """
        for key, kind in self.context.items():
            if key not in context:
                raise BadContext(key, f"The event {self.name} needs `{key}`.")
            value = context[key]
            if kind == "number" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise BadContext(key, f"`{key}` is to be a number.")
            if kind == "text" and (isinstance(value, bool) or not isinstance(value, str | int | float)):
                raise BadContext(key, f"`{key}` is to be a text.")
            if isinstance(value, str) and (len(value) > 1000 or _has_control(value)):
                raise BadContext(key, f"`{key}` has control characters, or more than 1,000 characters.")
        for key in context:
            if key not in self.context:
                raise BadContext(key, f"The event {self.name} has no `{key}`.")


@dataclass(frozen=True)
class Recipient:
    """Whom it is for. Push goes to the user's id."""

    user_id: str
    email: str | None
    phone: str | None
    language: Language = "zh"
    preferences: Preferences = field(default_factory=Preferences)

    def address(self, channel: Channel) -> str | None:
        """Return where a channel reaches the user, if anywhere."""
        return {"email": self.email, "sms": self.phone, "push": self.user_id}[channel]


@dataclass(frozen=True)
class Text:
    """What one channel is to say."""

    subject: str
    text: str
    html: str | None = None


@dataclass(frozen=True)
class Plan:
    """What becomes of a notification on one channel: `skip` says why it is not sent, `due` when it is, if not now."""

    channel: Channel
    recipient: str
    text: Text
    skip: str | None = None
    due: datetime | None = None
    reason: str | None = None
    digest_seconds: int = 0


def plan(
    to: Recipient, event: Event | None, channels: Sequence[Channel], texts: Mapping[Channel, Text], now: datetime
) -> list[Plan]:
    """Return what becomes of a notification, channel by channel, in the order of `CHANNELS`."""
    return [_plan_one(to, event, channel, texts[channel], now) for channel in CHANNELS if channel in channels]


def _plan_one(to: Recipient, event: Event | None, channel: Channel, text: Text, now: datetime) -> Plan:
    address, wants = to.address(channel), to.preferences
    skip = None
    if not address:
        skip = "no_address"
    elif not wants.channels.get(channel, True):
        skip = "channel_off"
    elif event and not wants.events.get(event.name, True):
        skip = "event_off"
    quiet = wants.quiet_hours.end_after(now) if wants.quiet_hours and not (event and event.urgent) else None
    return Plan(
        channel=channel,
        recipient=address or "",
        text=text,
        skip=skip,
        due=quiet,
        reason="quiet_hours" if quiet and not skip else skip,
        digest_seconds=event.digest_seconds if event else 0,
    )


def one_line(text: str) -> str:
    """Return a text for a header: on one line, cut to what a subject may have."""
    return " ".join(text.split())[:MAX_SUBJECT_CHARS]


def check_length(channel: str, text: str) -> str:
    """Return the text. Raises TextTooLong if the channel does not take so much."""
    if len(text) > MAX_TEXT_CHARS[channel]:
        raise TextTooLong(channel)
    return text


def digest(texts: Sequence[Text]) -> Text:
    """Return several messages of one kind as one."""
    if len(texts) == 1:
        return texts[0]
    subject = one_line(f"{texts[0].subject} ({len(texts)})")
    return Text(subject, "\n\n".join(f"{number}. {each.text}" for number, each in enumerate(texts, 1)))


def _at(day: datetime, clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return day.replace(hour=hour, minute=minute, second=0, microsecond=0)


def _has_control(text: str) -> bool:
    return any((ord(char) < 32 and char not in "\n\t") or ord(char) == 127 for char in text)
