"""A job's events: capped in number and in bytes, and what was dropped is counted."""

from itertools import pairwise

import pytest
from redis import Redis

from config import load_config
from jobs.core import keys
from jobs.core.events import (
    FROM_START,
    MAX_EVENT_BYTES,
    EventTooLarge,
    add_event,
    end_event,
    missing_between,
    read_events,
)

TENANT, JOB = "acme", "j"
SMALL = load_config(max_events=10, max_events_bytes=2**20)


def emit(redis: Redis, data: dict[str, object]) -> None:
    add_event(redis, SMALL, TENANT, JOB, "output", data)


def test_the_newest_events_are_kept_and_the_gap_is_counted(fake_redis: Redis) -> None:
    """Exactly as many as the setting says; a reader from the start misses the rest, one in the middle less."""
    for n in range(25):
        emit(fake_redis, {"n": n})
    events = read_events(fake_redis, TENANT, JOB)
    assert [event.data["n"] for event in events] == list(range(15, 25))
    assert missing_between(FROM_START, events[0].id) == 15
    assert missing_between("1700000000000-7", events[0].id) == 8
    assert missing_between(events[0].id, events[1].id) == 0


def test_large_events_push_older_ones_out_by_their_bytes(fake_redis: Redis) -> None:
    """Each a quarter of what may be kept: three and their framing fit."""
    text = "x" * (MAX_EVENT_BYTES - 100)
    for n in range(9):
        emit(fake_redis, {"n": n, "text": text})
    events = read_events(fake_redis, TENANT, JOB)
    assert [event.data["n"] for event in events] == [5, 6, 7, 8]
    emit(fake_redis, {"n": 9})
    assert [event.data["n"] for event in read_events(fake_redis, TENANT, JOB)] == [5, 6, 7, 8, 9]
    emit(fake_redis, {"n": 10, "text": text})
    assert [event.data["n"] for event in read_events(fake_redis, TENANT, JOB)] == [6, 7, 8, 9, 10]


def test_an_event_that_is_too_large_is_refused(fake_redis: Redis) -> None:
    """With a code for the job's owner; bytes count, not characters."""
    with pytest.raises(EventTooLarge) as caught:
        emit(fake_redis, {"text": "好" * (MAX_EVENT_BYTES // 3)})
    assert (caught.value.code, caught.value.retryable) == ("event_too_large", False)
    assert read_events(fake_redis, TENANT, JOB) == []


def test_events_go_on_after_an_end_and_after_a_clock_that_went_back(fake_redis: Redis) -> None:
    """A requeued job talks on; ids only grow, and nothing is taken for missing."""
    emit(fake_redis, {"n": 1})
    fake_redis.xadd(keys.events(TENANT, JOB), end_event("failed"), id="9999999999999-0")  # type: ignore[arg-type]
    emit(fake_redis, {"n": 2})
    emit(fake_redis, {"n": 3})
    events = read_events(fake_redis, TENANT, JOB)
    assert [event.data.get("n") for event in events] == [1, None, 2, 3]
    ids = [FROM_START, *(event.id for event in events)]
    assert [missing_between(*pair) for pair in pairwise(ids)] == [0, 0, 0, 0]


def test_progress_is_kept_with_its_event(fake_redis: Redis) -> None:
    """In one step, and with the stream's life; other kinds leave it."""
    add_event(fake_redis, SMALL, TENANT, JOB, "progress", {"percent": 50, "message": "半"}, ttl=77)
    emit(fake_redis, {"n": 1})
    assert fake_redis.hget(keys.state(TENANT, JOB), "progress") == '{"percent":50,"message":"半"}'.encode()
    assert fake_redis.ttl(keys.events(TENANT, JOB)) > 77
    with fake_redis.pipeline() as pipeline:
        add_event(pipeline, SMALL, TENANT, JOB, "status", {"n": 2})
        assert read_events(fake_redis, TENANT, JOB)[-1].data == {"n": 1}
        pipeline.execute()
    assert read_events(fake_redis, TENANT, JOB)[-1].kind == "status"
