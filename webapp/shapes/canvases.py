"""What is answered about canvases."""

from typing import Literal, NotRequired

from pydantic import ConfigDict
from typing_extensions import TypedDict

from jobs.domain.canvas.model import Edge, Node
from webapp.shapes.common import Cursor, Started, Time


class CanvasFile(TypedDict):
    """A JSON Canvas file; its other members are kept as they are."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    nodes: NotRequired[list[Node]]
    edges: NotRequired[list[Edge]]


class CanvasLinks(TypedDict):
    """The file of a canvas, or of this version of it; and its versions."""

    self: str
    versions: str


class CanvasWritten(TypedDict):
    """A canvas that was written, as its newest version."""

    name: str
    version: int
    links: CanvasLinks


class Canvas(TypedDict):
    """A canvas, or one of its versions. `size` is in bytes."""

    name: str
    version: int
    etag: str
    size: int
    nodes: int
    edges: int
    created_at: Time
    updated_at: Time
    deleted_at: Time | None
    links: CanvasLinks


class Canvases(TypedDict):
    """Canvases, newest first."""

    canvases: list[Canvas]
    next_cursor: Cursor


class CanvasVersions(TypedDict):
    """What is kept of a canvas, newest first."""

    versions: list[Canvas]
    next_cursor: Cursor


class ReviewStarted(Started):
    """A review that is being made; `paused` if it is one that was joined, and waits to be resumed."""

    status: Literal["scheduled", "paused"]
    message: str
