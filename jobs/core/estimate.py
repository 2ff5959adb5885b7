"""About how long a job still waits, and about how long it then runs: from measured durations of its kind and of the
jobs ahead of it."""

import json
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean, median
from typing import Any

from redis import Redis
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import as_text

from jobs.core import keys
from jobs.core.statistics import KEPT, worker_keys
from jobs.core.view import JobView, WaitsFor
from jobs.core.worker_parts.outage import AWAY

_SAMPLE = 50  # jobs of one queue whose kind is looked at; the others are taken to be like them


def explain(redis: Redis, tenant: str, view: JobView) -> JobView:
    """Say of a job that has not ended what it waits for, when it is likely to start, and how long its kind runs.

    Of a job that Redis does not know nothing is added, nor if Redis has gone away since.
    """
    if not view.ended and not view.from_row:
        with suppress(*AWAY):
            _explain(redis, tenant, view)
    return view


def _explain(redis: Redis, tenant: str, view: JobView) -> None:
    view.waits_for = view.waits_for or _reason(redis, view)
    own = _durations(redis, [keys.durations(tenant, view.type), keys.kind_durations(view.type)])
    seconds = next(filter(None, own), [])
    view.expected_seconds = round(median(seconds), 3) if seconds else None
    if view.next_attempt_at:
        view.expected_start_seconds = round(max(0.0, view.next_attempt_at.timestamp() - time.time()), 3)
    elif view.state == "queued" and view.position is not None:
        view.expected_start_seconds = _wait(redis, view.queue, view.position)


def _reason(redis: Redis, view: JobView) -> WaitsFor | None:
    if view.state == "queued":
        if redis.exists(f"{RQ_KEY_PREFIX}:suspended"):  # `rq suspend`
            return WaitsFor(reason="suspended", position=view.position)
        return WaitsFor(reason="queue", position=view.position)
    if view.state in ("scheduled", "retrying"):
        return WaitsFor(reason="backoff" if view.state == "retrying" else "schedule", until=view.next_attempt_at)
    return {"paused": WaitsFor(reason="paused"), "waiting": WaitsFor(reason="limit")}.get(view.state)


@dataclass(frozen=True)
class _Crew:
    """Workers that serve a queue: how many jobs they run at once, what they look at before, what they run now."""

    slots: int
    queues_before: frozenset[str]
    running: list[str]


def _wait(redis: Redis, queue: str, position: int) -> float | None:
    """Return the seconds until the job at a position of a queue starts; None if nothing is known to tell it by."""
    crew = _crew(redis, queue)
    if not crew.slots:
        return None
    ahead = _ahead(redis, queue, position, crew.queues_before)
    if not any(count for count, _ in ahead) and len(crew.running) < crew.slots:
        return 0.0
    kinds = _kinds(redis, [*crew.running, *(job_id for _, ids in ahead for job_id in ids)])
    means = _means(redis, {kind for kind, _ in kinds.values()})
    known = [means[kind] for kind, _ in kinds.values() if kind in means]
    if not known:
        return None
    typical, now = fmean(known), time.time()
    left = [max(0.0, means.get(kinds[i][0], typical) - now + kinds[i][1]) for i in crew.running if i in kinds]
    for count, ids in ahead:
        seconds = [means.get(kinds[i][0], typical) for i in ids if i in kinds]
        left.append(count * (fmean(seconds) if seconds else typical))
    return round(sum(left) / crew.slots, 3)


def _crew(redis: Redis, queue: str) -> _Crew:
    with redis.pipeline(transaction=False) as pipeline:
        for key in worker_keys(redis, queue):
            pipeline.hmget(key, "queues", "threads")
            pipeline.smembers(f"{key}:executions")
        raw = pipeline.execute()
    slots, before, running = 0, set[str](), list[str]()
    for (queues, threads), executions in zip(raw[::2], raw[1::2], strict=True):
        if queues is None:  # it has died
            continue
        names = as_text(queues).split(",")
        slots += int(threads or 1)
        before |= set(names[: names.index(queue)] if queue in names else [])
        running += [as_text(member).rpartition(":")[0] for member in executions]
    return _Crew(slots, frozenset(before), running)


def _ahead(redis: Redis, queue: str, position: int, before: Iterable[str]) -> list[tuple[int, list[str]]]:
    """Return for each queue how many jobs come first, with the ids of some of them."""
    others = sorted(before)
    with redis.pipeline(transaction=False) as pipeline:
        for name in others:
            pipeline.llen(f"{RQ_KEY_PREFIX}:queue:{name}")
            pipeline.lrange(f"{RQ_KEY_PREFIX}:queue:{name}", 0, _SAMPLE - 1)
        pipeline.lrange(f"{RQ_KEY_PREFIX}:queue:{queue}", 0, _SAMPLE - 1)
        raw = pipeline.execute()
    counts, ids = [*raw[:-1:2], position], [*raw[1:-1:2], raw[-1][:position]]
    return [(count, [as_text(job_id) for job_id in some]) for count, some in zip(counts, ids, strict=True)]


def _kinds(redis: Redis, job_ids: Sequence[str]) -> dict[str, tuple[str, float]]:
    """Return type and start, in seconds since 1970, of jobs of ours."""
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in job_ids:
            pipeline.hmget(f"{RQ_KEY_PREFIX}:job:{job_id}", "meta", "started_at")
        raw = pipeline.execute(raise_on_error=False)
    found = {job_id: _kind(values) for job_id, values in zip(job_ids, raw, strict=True)}
    return {job_id: kind for job_id, kind in found.items() if kind}


def _kind(values: Any) -> tuple[str, float] | None:
    """Return type and start of a job; None of one that is not ours, or not readable."""
    try:
        meta, started = values
        at = datetime.fromisoformat(as_text(started)) if started else datetime.now(UTC)
        return str(json.loads(meta)["type"]), at.timestamp()
    except (ValueError, TypeError, LookupError):
        return None


def _means(redis: Redis, kinds: Iterable[str]) -> dict[str, float]:
    names = sorted(kinds)
    durations = _durations(redis, [keys.kind_durations(kind) for kind in names])
    return {kind: fmean(seconds) for kind, seconds in zip(names, durations, strict=True) if seconds}


def _durations(redis: Redis, lists: Sequence[str]) -> list[list[float]]:
    """Return the seconds in lists of durations, without those of failed attempts."""
    with redis.pipeline(transaction=False) as pipeline:
        for key in lists:
            pipeline.lrange(key, 0, KEPT - 1)
        raw: list[Any] = pipeline.execute()
    return [[float(entry) for entry in entries if b" " not in entry] for entries in raw]
