"""What is answered about research."""

from typing import Annotated

from typing_extensions import TypedDict

from jobs.domain.research import Note, Source
from webapp.shapes.common import Cursor, Started, Time, one_of

ResearchStatus = Annotated[str, one_of("queued", "running", "paused", "completed", "failed", "canceled")]


class ResearchLinks(TypedDict):
    """Where research can be looked at, followed, taken home and acted on."""

    self: str
    events: str
    job: str
    markdown: str
    pdf: str
    cancel: str
    pause: str
    resume: str
    requeue: str


class ResearchStarted(Started):
    """Research that was started, or joined: then it is older than the request, and may have ended."""

    id: str
    query: str
    model: str
    status: ResearchStatus
    created_at: Time
    research: ResearchLinks


class ListedResearch(TypedDict):
    """Research, as a list shows it."""

    id: str
    query: str
    title: str | None
    status: ResearchStatus
    model: str
    tokens: int
    created_at: Time
    ended_at: Time | None
    links: ResearchLinks


class ResearchList(TypedDict):
    """Research, newest first."""

    research: list[ListedResearch]
    next_cursor: Cursor


class NumberedSource(Source):
    """A source, as `[number]` in the report names it."""

    number: int


class Report(TypedDict):
    """What research has come to."""

    title: str
    report: str
    model: str
    tokens: int


class Research(ListedResearch):
    """Research: how far it is, and its report as far as it is written; `result` is null until it has completed."""

    step: str
    percentage: float
    messages: list[str]
    result: Report | None
    error: str | None
    timestamp: Time
    report: str
    sources: list[NumberedSource]
    notes: list[Note]
