"""What a job says while it runs: one Redis stream a job.

An event's id is its stream id, so a reader that comes back goes on exactly after the last one that it saw. Its second
half is the event's number, from 1, so that a reader sees how many were dropped; `end` events have none.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis
from redis.client import Pipeline

from config import Config
from jobs.core import keys
from jobs.core.errors import NonRetryableError
from jobs.core.spec import Failure
from jobs.core.worker_parts.scripts import call, source

MAX_EVENT_BYTES = 256 * 1024  # of one event
PROGRESS = "progress"
FROM_START = "0-0"
_EVENT_ID = re.compile(r"[0-9]{1,15}-[0-9]{1,9}")


class EventTooLarge(NonRetryableError):
    """The job said more in one event than an event may hold: 256 KiB of JSON."""

    code = "event_too_large"


@dataclass(frozen=True)
class Event:
    """One entry of a job's stream. `kind` is `progress`, `message`, `output` or `end`; `data` is a JSON object."""

    id: str
    kind: str
    data: dict[str, Any]


def is_event_id(text: str) -> bool:
    """Say whether `text` can be the id of an event."""
    return _EVENT_ID.fullmatch(text) is not None


def add_event(
    redis: Redis,
    config: Config,
    tenant: str,
    job_id: str,
    kind: str,
    data: Mapping[str, Any],
    *,
    ttl: int | None = None,
    writer: str = "",
) -> bool:
    """Append an event to a job's stream, and drop the oldest over the caps: one round trip, also in a pipeline.

    The stream is kept for `ttl` seconds from now, or the results' time. `progress` is kept as the job's own as well.
    With a `writer` it is appended only while that is the one that `become_writer` named last; returns whether it was.

    Raises:
        EventTooLarge
    """
    content = _dump(data)
    if len(content.encode()) > MAX_EVENT_BYTES:
        raise EventTooLarge
    args: list[Any] = [
        keys.events(tenant, job_id),
        keys.state(tenant, job_id),
        kind,
        content,
        ttl or config.result_ttl,
        config.max_events,
        config.max_events_bytes,
        "1" if kind == PROGRESS else "0",
        writer,
    ]
    if isinstance(redis, Pipeline):  # which learns too late that a script is not there
        redis.eval(source("emit"), 0, *args)
        return True
    return call(redis, "emit", [], args) is not None


def become_writer(redis: Redis, tenant: str, job_id: str, writer: str) -> None:
    """Let nobody else write for a job from now on: an attempt that was taken for dead, and is not, falls silent."""
    redis.hset(keys.state(tenant, job_id), "writer", writer)


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


def missing_between(last: str, following: str) -> int:
    """Return how many events were dropped between two that a reader got one after the other, by their ids.

    `end` events and the frames of other writers have no number (0): after one of these nothing can be told.
    """
    if last != FROM_START and _number(last) == 0:
        return 0
    return max(0, _number(following) - _number(last) - 1)


def order(event_id: str) -> tuple[int, int]:
    """Return an id as something that sorts."""
    milliseconds, _, number = event_id.partition("-")
    return int(milliseconds), int(number or 0)


def _number(event_id: str) -> int:
    return order(event_id)[1]


def _dump(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))
