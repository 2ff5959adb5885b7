"""What a job says while it runs: one Redis stream a job.

An event's id is its stream id, so a reader that comes back goes on exactly after the last one that it saw.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis
from redis.client import Pipeline

from jobs.core import keys
from jobs.core.spec import Failure

MAX_EVENTS = 10_000  # a job; the oldest go first
FROM_START = "0-0"
_EVENT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")


@dataclass(frozen=True)
class Event:
    """One entry of a job's stream. `kind` is `progress`, `message`, `output` or `end`; `data` is a JSON object."""

    id: str
    kind: str
    data: dict[str, Any]


def is_event_id(text: str) -> bool:
    """Say whether `text` can be the id of an event."""
    return _EVENT_ID.fullmatch(text) is not None


def add_event(pipeline: Pipeline, tenant: str, job_id: str, kind: str, data: Mapping[str, Any], *, ttl: int) -> None:
    """Append an event to a job's stream. The stream is kept for `ttl` seconds from now."""
    key = keys.events(tenant, job_id)
    pipeline.xadd(key, {"kind": kind, "data": _dump(data)}, maxlen=MAX_EVENTS, approximate=True)
    pipeline.expire(key, ttl)


def end_event(state: str, failure: Failure | None = None) -> dict[str, str]:
    """Return the stream fields of the event that closes a job's stream.

    `state` is the client's word: `completed`, `failed` or `canceled`.
    """
    data: dict[str, Any] = {"state": state}
    if failure:
        data["error"] = {"code": failure.code, "message": failure.message}
    return {"kind": "end", "data": _dump(data)}


def read_events(
    redis: Redis, tenant: str, job_id: str, after: str = FROM_START, count: int | None = None
) -> list[Event]:
    """Return a job's events after the given id, oldest first."""
    entries = cast(list[Any], redis.xrange(keys.events(tenant, job_id), min=f"({after}", max="+", count=count))
    return [parse_entry(entry_id, fields) for entry_id, fields in entries]


def parse_entry(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Event:
    """Return a stream entry, as redis-py hands it out, as an event."""
    return Event(entry_id.decode(), fields[b"kind"].decode(), json.loads(fields[b"data"]))


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
