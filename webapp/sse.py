"""A job's events as `text/event-stream`.

One reader in each web process blocks on Redis for all open streams and hands out what is new; a blocking read for each
stream would not scale. A stream first catches up from Redis, then follows the reader, and passes over what it has sent.
"""

import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from queue import Empty, Full, Queue
from typing import Any
from uuid import uuid4

from flask import Response
from redis import Redis
from redis.exceptions import RedisError

from jobs.core import keys
from jobs.core.client import JobClient
from jobs.core.dependencies import is_untold
from jobs.core.events import FROM_START, Event, missing_between, order, parse_entry, read_events
from jobs.core.view import END_STATES, JobNotFound, JobView

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15
READ_BLOCK_MS = 1000  # well under the web's timeout for an answer of Redis, 2 s
PAGE = 500
FEW_STREAMS = 50
GATHER_SECONDS = 0.02  # with many streams: asking Redis about each of them costs more than an event is late by this
GONE_OR_ENDED = (*END_STATES, "gone")
CLOSING = Event("", "closing", {})  # handed to every follower when this process is about to stop
BACKLOG = 1000  # events a slow client may fall behind before it is sent back to read from Redis


class TooManyStreams(Exception):
    """Too many event streams are open; read /jobs/{id} instead, or try again."""

    code = "too_many_streams"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class Subscription:
    """New events of one stream, as the shared reader sees them."""

    def __init__(self, tenant: str, key: str) -> None:
        self.tenant = tenant
        self.key = key
        self.events: Queue[Event] = Queue(BACKLOG)
        self.overflowed = False

    def put(self, event: Event) -> None:
        """Hand over an event; a client too slow to take it will read it from Redis instead."""
        try:
            self.events.put_nowait(event)
        except Full:
            self.overflowed = True


class EventHub:
    """The shared reader of this process. It starts with the first stream and sleeps in Redis when there is none."""

    def __init__(self, redis: Redis, max_streams: int, tenant_streams: int) -> None:
        self._redis = redis
        self._max_streams = max_streams
        self._tenant_streams = tenant_streams
        self._lock = threading.Lock()
        self._subscriptions: dict[str, set[Subscription]] = {}
        self._positions: dict[str, str] = {}
        self._open: Counter[str] = Counter()  # by tenant
        self._wake = f"offstage:wake:{uuid4().hex}"
        self._reader: threading.Thread | None = None
        self._closed = False

    def subscribe(self, tenant: str, job_id: str) -> Subscription:
        """Follow a job's stream from now on.

        Raises:
            TooManyStreams: as many as may be are open in this process, or of this tenant; nothing was asked of Redis.
        """
        subscription = Subscription(tenant, keys.events(tenant, job_id))
        with self._lock:
            if self._open.total() >= self._max_streams or self._open[tenant] >= self._tenant_streams:
                raise TooManyStreams
            self._open[tenant] += 1
        try:
            self._follow(subscription)
            self._wake_reader()
        except BaseException:
            self.unsubscribe(subscription)
            raise
        return subscription

    def _follow(self, subscription: Subscription) -> None:
        key = subscription.key
        last: Any = self._redis.xrevrange(key, count=1)
        with self._lock:
            if key not in self._subscriptions:
                self._positions[key] = last[0][0].decode() if last else FROM_START
            self._subscriptions.setdefault(key, set()).add(subscription)
            if self._reader is None:
                self._reader = threading.Thread(target=self._read_forever, daemon=True, name="event-hub")
                self._reader.start()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop following."""
        with self._lock:
            self._open[subscription.tenant] -= 1
            followers = self._subscriptions.get(subscription.key, set())
            followers.discard(subscription)
            if subscription.key in self._subscriptions and not followers:
                del self._subscriptions[subscription.key], self._positions[subscription.key]

    def close(self) -> None:
        """Let every follower go, and read no more: this process is about to stop."""
        with self._lock:
            self._closed = True
            for follower in chain.from_iterable(self._subscriptions.values()):
                follower.put(CLOSING)

    def _wake_reader(self) -> None:
        with self._redis.pipeline() as pipeline:
            pipeline.xadd(self._wake, {"w": 1}, maxlen=1, approximate=False)
            pipeline.expire(self._wake, 60)
            pipeline.execute()

    def _read_forever(self) -> None:
        wake_at = FROM_START
        while not self._closed:
            with self._lock:
                wanted = {self._wake: wake_at, **self._positions}
            try:
                found: Any = self._redis.xread(wanted, block=READ_BLOCK_MS) or []  # type: ignore[arg-type]
            except RedisError as error:
                log.warning("event reader: %s", error)
                threading.Event().wait(0.5)
                continue
            for key, entries in found.items() if isinstance(found, dict) else found:
                wake_at = self._hand_out(key.decode(), entries, wake_at)
            if len(self._positions) > FEW_STREAMS:
                time.sleep(GATHER_SECONDS)

    def _hand_out(self, key: str, entries: Any, wake_at: str) -> str:
        if key == self._wake:
            return str(entries[-1][0].decode())
        with self._lock:
            followers = list(self._subscriptions.get(key, ()))
            if followers:
                self._positions[key] = entries[-1][0].decode()
        for entry_id, fields in entries:
            event = parse_entry(entry_id, fields)
            for follower in followers:
                follower.put(event)
        return wake_at


class EventStreams:
    """The event streams of one process: follow a job, or wait for its end."""

    def __init__(self, redis: Redis, client: JobClient, hub: EventHub) -> None:
        self._redis = redis
        self._client = client
        self._hub = hub

    def response(self, tenant: str, view: JobView, after: str) -> Response:
        """Return a job's events after `after` as an event stream that ends with the job."""
        subscription = self._hub.subscribe(tenant, view.id)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "X-Task-ID": view.id}
        body = self._follow(subscription, tenant, view, after)
        return Response(_Closing(body, lambda: self._hub.unsubscribe(subscription)), 200, headers, "text/event-stream")

    def wait(self, tenant: str, job_id: str, seconds: float) -> JobView:
        """Return the job when it has ended, or as it is after `seconds`.

        At once at the limit of open streams, or if Redis is away.
        """
        view = self._client.get(tenant, job_id)
        if view.ended or seconds <= 0:
            return view
        try:
            subscription = self._hub.subscribe(tenant, job_id)
        except (TooManyStreams, RedisError):
            return view
        try:
            view = self._client.get(tenant, job_id)  # it may have ended before we followed
            if not view.ended:
                _until_end(subscription, seconds)
        finally:
            self._hub.unsubscribe(subscription)
        return self._client.get(tenant, job_id)

    def close(self) -> None:
        """End the open streams and waits. Their clients come back, to another process, and go on where they were."""
        self._hub.close()

    def _follow(self, subscription: Subscription, tenant: str, view: JobView, after: str) -> Iterator[str]:
        yield frame("status", {"state": view.state, "progress": view.model_dump(mode="json")["progress"]})
        seen, kind = after, ""
        while True:
            end: Event | None = None
            for event in self._catch_up(subscription, tenant, view.id, seen):
                end = event if event.kind == "end" else None  # one that others follow was not the last: it was requeued
                if end is None:
                    yield from _frames(seen, event)
                seen, kind = event.id, event.kind
            state = self._state(tenant, view.id)
            if state in GONE_OR_ENDED and not is_untold(self._redis, view.id):
                if read_events(self._redis, tenant, view.id, seen, 1):
                    continue  # the end came between the two reads
                if end:
                    yield frame(end.kind, end.data, end.id)
                elif kind != "end":  # a stock RQ worker ran it, or it was deleted
                    yield frame("end", {"state": state})
                return
            for event in self._new_events(subscription):
                if event is CLOSING:
                    return
                if order(event.id) > order(seen):
                    yield from _frames(seen, event)
                    seen, kind = event.id, event.kind
                if kind == "end":
                    break
            if kind != "end":
                yield ": still here\n\n"

    def _new_events(self, subscription: Subscription) -> Iterator[Event]:
        """Yield what the reader hands over, until nothing came for a while or too much did."""
        while not subscription.overflowed:
            try:
                yield subscription.events.get(timeout=HEARTBEAT_SECONDS)
            except Empty:
                return

    def _catch_up(self, subscription: Subscription, tenant: str, job_id: str, after: str) -> Iterator[Event]:
        subscription.overflowed = False
        while events := read_events(self._redis, tenant, job_id, after, PAGE):
            yield from events
            after = events[-1].id

    def _state(self, tenant: str, job_id: str) -> str:
        try:
            return self._client.get(tenant, job_id).state
        except JobNotFound:
            return "gone"


class _Closing:
    """An iterable body that lets go of its subscription however the response ends, started or not."""

    def __init__(self, body: Iterator[str], on_close: Any) -> None:
        self._body, self._on_close = body, on_close

    def __iter__(self) -> Iterator[str]:
        return self._body

    def close(self) -> None:
        if self._on_close:
            self._on_close, on_close = None, self._on_close
            on_close()


def _until_end(subscription: Subscription, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            if subscription.events.get(timeout=left).kind in ("end", CLOSING.kind):
                return
        except Empty:
            return


def _frames(seen: str, event: Event) -> Iterator[str]:
    """Return an event's frame; before it, if events between it and the last one were dropped, how many."""
    if missing := missing_between(seen, event.id):
        yield frame("dropped", {"missing": missing})
    yield frame(event.kind, event.data, event.id)


def frame(kind: str, data: dict[str, Any], event_id: str | None = None) -> str:
    """Return an event as it stands in a stream."""
    head = f"id: {event_id}\n" if event_id else ""
    return f"{head}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
