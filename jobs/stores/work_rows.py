"""The rows of accepted work and of batches: what they hold, and how they are read and written."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from jobs.stores.database import utc

OPEN, COMPLETED, FAILED, CANCELED = "open", "completed", "failed", "canceled"


@dataclass(frozen=True)
class NewWork:
    """Work to be accepted. `content` is JSON: all that is needed to enqueue the job; `keep` is in seconds.

    With a `fingerprint`, an equal one of the tenant that is open, or completed at most `reuse_seconds` ago, is the same
    work, unless a `fresh` one is asked for.
    """

    id: str
    tenant: str
    type: str
    content: str
    keep: int
    fingerprint: str | None = None
    fresh: bool = False
    reuse_seconds: int = 0
    batch_id: str | None = None
    webhooks: int = 0


@dataclass(frozen=True)
class Work:
    """Accepted work as it stands. `result` is JSON; times are in UTC."""

    number: int
    id: str
    tenant: str
    type: str
    batch_id: str | None
    content: str
    fingerprint: str | None
    state: str
    generation: int
    keep: int
    result: str | None
    error_code: str | None
    error_message: str | None
    created_at: datetime
    ended_at: datetime | None
    forget_at: int | None
    webhooks: int
    told: int


@dataclass(frozen=True)
class Taken:
    """The work that does what was asked for: new, or one that was there before, in its state."""

    id: str
    state: str
    is_new: bool = False


@dataclass(frozen=True)
class Claim:
    """What an attempt that is about to run finds. `generation` is its own, None if it is not to run."""

    generation: int | None
    work: Work


@dataclass(frozen=True)
class AcceptedBatch:
    """A batch that was accepted; its jobs are rows of work, and so is the one that follows them all."""

    id: str
    tenant: str
    name: str
    total: int
    callback_id: str | None
    state: str
    created_at: datetime
    number: int = 0


def row_of(new: NewWork) -> dict[str, Any]:
    """Return new work as a row."""
    row = {name: value for name, value in vars(new).items() if name not in ("reuse_seconds", "fresh")}
    return row | {"state": OPEN, "generation": 0, "created_at": datetime.now(UTC)}


def work_of(row: Row[Any]) -> Work:
    """Return work as its row has it."""
    return Work(**{**row._mapping, "created_at": utc(row.created_at), "ended_at": utc(row.ended_at)})


def batch_of(row: Row[Any]) -> AcceptedBatch:
    """Return a batch as its row has it."""
    fields = {name: value for name, value in row._mapping.items() if name != "forget_at"}
    return AcceptedBatch(**{**fields, "created_at": utc(row.created_at)})
