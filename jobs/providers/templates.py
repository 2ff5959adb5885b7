"""The texts of events: a folder for each, with `event.toml` and, by language, `subject.txt`, `body.txt`, `body.html`,
`sms.txt` and `push.txt`.

Texts are Jinja templates in a sandbox. They are checked when they are loaded: what they use must be declared.
"""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template, TemplateError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from config import ConfigError
from jobs.domain.notifications import CHANNELS, Channel, Event, Text, UnknownEvent, check_length, one_line

OWN = Path(__file__).parent / "events"
LANGUAGES = ("zh", "en")
MAX_OUTPUT_CHARS = 200_000
_FILES: dict[Channel, tuple[str, ...]] = {
    "email": ("subject.txt", "body.txt", "body.html"),
    "sms": ("sms.txt",),
    "push": ("subject.txt", "push.txt"),
}
_OPTIONAL = "body.html"


class EventTexts:
    """All events, with their texts."""

    def __init__(self, events: Mapping[str, Event], templates: Mapping[tuple[str, str, str], Template]) -> None:
        self.events = events
        self._templates = templates

    def event(self, name: str) -> Event:
        """Return an event. Raises UnknownEvent if there is none of that name."""
        try:
            return self.events[name]
        except KeyError:
            raise UnknownEvent(name) from None

    def render(self, event: Event, language: str, context: Mapping[str, Any]) -> dict[Channel, Text]:
        """Return what each of the event's channels says.

        Raises:
            BadContext: the context is not what the event declares.
            TextTooLong: a channel does not take so much.
        """
        event.check(context)
        return {channel: self._text(event, language, channel, context) for channel in event.channels}

    def _text(self, event: Event, language: str, channel: Channel, context: Mapping[str, Any]) -> Text:
        def written(name: str) -> str:
            return _write(self._templates[event.name, language, name], context)

        body = {"email": "body.txt", "sms": "sms.txt", "push": "push.txt"}[channel]
        has_html = channel == "email" and (event.name, language, _OPTIONAL) in self._templates
        return Text(
            subject=one_line(written("subject.txt")) if channel != "sms" else "",
            text=check_length(channel, written(body).strip()),
            html=check_length(channel, written(_OPTIONAL)) if has_html else None,
        )


def load_events(further: Path | None = None) -> EventTexts:
    """Read our own events, and those of a further folder; there, one of the same name takes the place of ours.

    Raises:
        ConfigError: an event cannot be read, or a text uses what its event does not declare.
    """
    plain = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    html = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=True)
    events: dict[str, Event] = {}
    templates: dict[tuple[str, str, str], Template] = {}
    for folder in _event_folders(further):
        event = _read_event(folder)
        events[event.name] = event
        for language in LANGUAGES:
            for name in _names(event):
                file = folder / language / name
                if name != _OPTIONAL or file.exists():
                    env = html if name.endswith(".html") else plain
                    templates[event.name, language, name] = _compile(env, file, event)
    return EventTexts(events, templates)


def _event_folders(further: Path | None) -> Sequence[Path]:
    if further is not None and not further.is_dir():
        raise ConfigError(f"EVENTS_DIR: {further} is no folder.")
    parents = [OWN, *([further] if further else [])]
    return [file.parent for parent in parents for file in sorted(parent.glob("*/event.toml"))]


def _read_event(folder: Path) -> Event:
    try:
        declared = tomllib.loads((folder / "event.toml").read_text(encoding="utf-8"))
        event = Event(
            name=folder.name,
            channels=tuple(declared.pop("channels")),
            context=declared.pop("context", {}),
            urgent=bool(declared.pop("urgent", False)),
            digest_seconds=int(declared.pop("digest_seconds", 0)),
        )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"The event {folder} cannot be read: {error}") from None
    wrong = [*declared, *(set(event.channels) - set(CHANNELS)), *(set(event.context.values()) - {"text", "number"})]
    if wrong or not event.channels:
        raise ConfigError(f"The event {folder} says what nobody understands: {wrong}")
    return event


def _names(event: Event) -> list[str]:
    return list(dict.fromkeys(name for channel in event.channels for name in _FILES[channel]))


def _compile(env: Environment, file: Path, event: Event) -> Template:
    try:
        source = file.read_text(encoding="utf-8")
        used = find_undeclared_variables(env.parse(source))
        template = env.from_string(source)
    except (OSError, UnicodeError, TemplateError) as error:
        raise ConfigError(f"The text {file} cannot be read: {error}") from None
    if unknown := used - set(event.context):
        raise ConfigError(f"The text {file} uses what {event.name} does not declare: {', '.join(sorted(unknown))}")
    return template


def _write(template: Template, context: Mapping[str, Any]) -> str:
    """Return what a template says, up to a length: a loop in it ends, whatever it is given."""
    parts, length = [], 0
    for part in template.generate(context):
        length += len(part)
        if length > MAX_OUTPUT_CHARS:
            break
        parts.append(part)
    return "".join(parts)
