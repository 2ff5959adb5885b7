"""What is answered about batches."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from jobs.core.batches import BatchView
from webapp.shapes.common import Cursor, Time


class BatchLinks(TypedDict):
    """Where a batch can be looked at and acted on; `callback` is the job that starts when all have ended."""

    self: str
    jobs: str
    cancel: str
    callback: NotRequired[str]


class BatchStarted(TypedDict):
    """A batch that was started."""

    batch_id: str
    total: int
    links: BatchLinks


class Batch(BatchView):
    """A batch with its counts. Times are UTC."""

    state: Literal["running", "completed", "failed", "canceled"]
    links: BatchLinks


class AcceptedBatch(TypedDict):
    """A batch as it was accepted."""

    id: str
    name: str
    total: int
    ended: bool
    created_at: Time
    links: BatchLinks


class Batches(TypedDict):
    """Batches, newest first."""

    batches: list[AcceptedBatch]
    next_cursor: Cursor
