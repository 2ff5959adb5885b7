"""What the finish script is told of a job."""

import time
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rq.defaults import UNSERIALIZABLE_RETURN_VALUE_PAYLOAD

from jobs.core import keys
from jobs.core.errors import Awaiting, Interrupted, Postponed
from jobs.core.events import end_event
from jobs.core.job import OffstageJob

if TYPE_CHECKING:
    from jobs.core.worker import OffstageWorker

_COUNT_EVERY = 1.0  # seconds between two writes of the worker's counts while jobs follow each other
_OFTEN_EMPTY = (b"success_callback_name", b"failure_callback_name", b"stopped_callback_name", b"group_id")
_COMPLETED = end_event("completed")["data"]


@dataclass
class Counts:
    """Jobs and their seconds that Redis does not count yet. The script also counts whenever no job follows."""

    jobs: int = 0
    seconds: float = 0.0
    written_at: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a job."""
        self.jobs, self.seconds = self.jobs + 1, self.seconds + seconds

    def take_back(self, seconds: float) -> None:
        """Do not count the last job: RQ's own code does."""
        self.jobs, self.seconds = self.jobs - 1, self.seconds - seconds

    def due(self, now: float) -> bool:
        """Whether it is time to write."""
        return now >= self.written_at + _COUNT_EVERY

    def written(self, now: float) -> None:
        """Start again: Redis has counted."""
        self.jobs, self.seconds, self.written_at = 0, 0.0, now


def dump(worker: "OffstageWorker", value: Any) -> str:
    """Return a result as RQ keeps it; none is empty."""
    if value is None:
        return ""
    try:
        data = worker.serializer.dumps(value)
    except Exception:
        data = worker.serializer.dumps(UNSERIALIZABLE_RETURN_VALUE_PAYLOAD)
    return b64encode(data).decode()


def end_of(job: OffstageJob, ttl: int) -> tuple[str, str, int, str, str, str, str]:
    """Return the end event of one of our jobs (stream, entry, TTL), then its tenant, batch, number in that and type."""
    if not job.is_ours:
        return "", "", 0, "", "", "", ""
    tenant, batch, number = job.meta["tenant"], str(job.meta.get("batch", "")), str(job.meta.get("index", ""))
    return keys.events(tenant, job.id), _COMPLETED, ttl, tenant, batch, number, str(job.meta.get("type", ""))


def put_back_args(
    queue: str, job_id: str, execution: str, left: Interrupted | None = None, *, alone: bool = False
) -> list[Any]:
    """Return what the script that puts a job back is told after prefix and worker: why it `left`, and whether it must
    run `alone` from now on."""
    now = time.time()
    due = now + left.seconds if isinstance(left, Postponed) else ""
    awaited = left.job_ids if isinstance(left, Awaiting) else []
    return [queue, job_id, execution, "1" if alone else "0", due, iso(now), now, *awaited]


def superfluous(fields: dict[bytes, bytes]) -> list[bytes]:
    """Return the fields that say nothing once the job has ended."""
    return [b"last_heartbeat", *(name for name in _OFTEN_EMPTY if fields.get(name) == b"")]


def iso(moment: float) -> str:
    """Return seconds since 1970 as RQ writes times."""
    return f"{datetime.fromtimestamp(moment, UTC).isoformat(timespec='microseconds')[:-6]}Z"
