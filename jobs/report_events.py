"""The events of a report: its text live, the sources that it names, and how it goes."""

from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis

from jobs.core.events import PROGRESS, order, read_events
from jobs.core.live_text import pieces_of
from jobs.domain.research import Source

CITED = "source"  # event: a source that the text names from here on
MESSAGE = "message"  # event: how it goes, as progress tells it too
_SAID = (MESSAGE, PROGRESS)


@dataclass(frozen=True)
class Told:
    """What the watchers of a report have been told so far: its text, the sources that it cites, and how it goes."""

    text: str
    sources: list[Source]
    messages: list[str]
    at: datetime | None


def what_was_told(redis: Redis, tenant: str, job_id: str) -> Told:
    """Return what a report's watchers know."""
    events = read_events(redis, tenant, job_id)
    text = "".join(pieces_of(events))
    named = {e.data["number"]: Source.model_validate(e.data) for e in events if e.kind == CITED}
    sources = [named[number] for number in sorted(named) if f"[{number}]" in text]
    said = [event.data.get("text") or event.data.get("message") for event in events if event.kind in _SAID]
    at = datetime.fromtimestamp(order(events[-1].id)[0] / 1000, UTC) if events else None
    messages = [message for message in dict.fromkeys(said) if message]
    return Told(text, sources, messages, at)
