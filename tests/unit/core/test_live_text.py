"""A live text: whatever dies, is lost or is said otherwise, every reader ends up with what was written."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis

from config import load_config
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import Interrupted
from jobs.core.events import FROM_START, Event, add_event, order, read_events
from jobs.core.keys import events as stream
from jobs.core.live_text import GATHER_SECONDS, MAX_PIECE_CHARS, LiveText, pieces_of
from jobs.services import Services
from tests.fakes import engine_services
from tests.unit.core.conftest import TENANT

JOB = "a" * 32
TEXT = "# 深度睡眠\n\nSleep consolidates memory [1]. 睡眠巩固记忆[2]。\U0001f634\n\n"


@dataclass
class Reader:
    """A client: it applies events by the rule in the docs, and goes on after the last one that it has seen."""

    redis: Redis
    pieces: list[str] = field(default_factory=list)
    last: str = FROM_START

    def look(self, count: int | None = None) -> str:
        for event in read_events(self.redis, TENANT, JOB, self.last, count):
            self.last = event.id
            if event.kind == "output":
                self.pieces += [""] * (event.data["n"] - len(self.pieces))
                self.pieces[event.data["n"] :] = [event.data["text"]]
        return "".join(self.pieces)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def begin(services: Services, client: JobClient) -> Callable[..., LiveText]:
    """Begins an attempt at the text."""
    return partial(attempt, services, client)


def attempt(services: Services, client: JobClient, clock: Callable[[], float] | None = None) -> LiveText:
    ctx = JobContext(job_id=JOB, tenant=TENANT, attempt=1, services=services, client=client)
    return LiveText(ctx, clock) if clock else LiveText(ctx)


def every_piece() -> Callable[[], float]:
    """A clock by which each piece goes out at once."""
    times = iter(range(10**9))
    return lambda: float(next(times))


def outputs(redis: Redis) -> list[Event]:
    return [event for event in read_events(redis, TENANT, JOB) if event.kind == "output"]


def test_pieces_go_out_as_they_come_and_fast_ones_together(begin: Callable[..., LiveText], fake_redis: Redis) -> None:
    """The first at once, what follows within 40 ms with it, and the rest at the end."""
    clock = Clock()
    live = begin(clock)
    for piece in ("Sleep ", "helps ", "a lot"):
        live.write(piece)
    assert [event.data for event in outputs(fake_redis)] == [{"n": 0, "text": "Sleep "}]
    clock.now += GATHER_SECONDS
    live.write(".")
    live.write(" 好")
    live.end()
    assert [event.data["text"] for event in outputs(fake_redis)] == ["Sleep ", "helps a lot.", " 好"]


def test_an_attempt_that_says_the_same_again_sends_nothing_twice(
    begin: Callable[..., LiveText], fake_redis: Redis
) -> None:
    """After a crash, whatever the pieces are cut like the second time."""
    first = begin(every_piece())
    for piece in ("# Title", "\n\nSleep ", "helps"):
        first.write(piece)
    reader = Reader(fake_redis)
    reader.look()
    told = len(outputs(fake_redis))
    second = begin(every_piece())
    for character in "# Title\n\nSleep helps":
        second.write(character)
    assert len(outputs(fake_redis)) == told
    second.write(" memory.")
    second.end()
    assert len(outputs(fake_redis)) == told + 1
    assert reader.look() == second.text == "# Title\n\nSleep helps memory."


def test_an_attempt_that_says_something_else_replaces_only_what_differs(
    begin: Callable[..., LiveText], fake_redis: Redis
) -> None:
    """From the piece on in which it differs: what a reader has before it stays."""
    first = begin(every_piece())
    for piece in ("One. ", "Two. ", "Three. ", "Four."):
        first.write(piece)
    reader = Reader(fake_redis)
    assert reader.look() == "One. Two. Three. Four."
    second = begin(every_piece())
    second.write("One. Two. Tres.")
    second.end()
    assert outputs(fake_redis)[-1].data == {"n": 2, "text": "Tres."}
    assert reader.look() == "One. Two. Tres."


def test_a_shorter_text_takes_back_what_is_too_much(begin: Callable[..., LiveText], fake_redis: Redis) -> None:
    """At the end, and also in the middle of a piece."""
    for text in ("One. Two. Three.", "One. Two.", "One. T", ""):
        live = begin(every_piece())
        live.write(text)
        live.end()
        assert Reader(fake_redis).look() == text


def test_a_model_that_begins_anew_is_followed(begin: Callable[..., LiveText], fake_redis: Redis) -> None:
    """It broke off half-way; what came before its part stays."""
    live = begin(every_piece())
    live.write("# Title\n\n")
    start = len(live.text)
    live.write("Sleep is ")
    live.back_to(start)
    live.write("Sleep ")
    live.write("helps.")
    live.end()
    assert Reader(fake_redis).look() == live.text == "# Title\n\nSleep helps."


def test_a_reader_of_a_wiped_redis_forgets_what_it_had(begin: Callable[..., LiveText], fake_redis: Redis) -> None:
    """The new text begins at piece 0, whatever it says."""
    first = begin(every_piece())
    for piece in ("A first ", "text."):
        first.write(piece)
    reader = Reader(fake_redis)
    reader.look()
    fake_redis.flushall()
    while time.time() * 1000 < order(reader.last)[0] + 1:  # ids are times: nobody wipes Redis within a millisecond
        pass
    with pytest.raises(Interrupted):
        first.write("And more.")
    second = begin(every_piece())
    second.write("Another one.")
    second.end()
    assert reader.look() == Reader(fake_redis).look() == "Another one."


def test_a_reader_who_saw_what_redis_lost_gets_nothing_twice(begin: Callable[..., LiveText], fake_redis: Redis) -> None:
    """Redis came back a second older: what was told in that second is told again, in its place."""
    first = begin(every_piece())
    for piece in ("One. ", "Two. ", "Three. "):
        first.write(piece)
    reader = Reader(fake_redis)
    reader.look()
    for event in outputs(fake_redis)[1:]:
        fake_redis.xdel(stream(TENANT, JOB), event.id)
    second = begin(every_piece())
    second.write("One. Two. Three. Four.")
    second.end()
    assert reader.look() == Reader(fake_redis).look() == "One. Two. Three. Four."


def test_an_attempt_that_was_taken_for_dead_falls_silent(begin: Callable[..., LiveText], fake_redis: Redis) -> None:
    """Its machine slept; when it wakes, another attempt has written on, and would be cut off by its words."""
    sleeper = begin(every_piece())
    sleeper.write("One. ")
    second = begin(every_piece())
    for piece in ("One. ", "Two. ", "Three."):
        second.write(piece)
    with pytest.raises(Interrupted):
        sleeper.write("Zwei. ")
    second.end()
    with pytest.raises(Interrupted):
        sleeper.end()
    assert Reader(fake_redis).look() == "One. Two. Three."


@pytest.mark.parametrize("limits", [{"max_events": 20}, {"max_events_bytes": 2**20}])
def test_a_text_that_outgrows_the_kept_events_is_found_whole(fake_redis: Redis, limits: dict[str, int]) -> None:
    """Now and then all of it is sent again, so that a reader who comes late has its beginning, and one who fell behind
    gets what it missed."""
    services = engine_services(fake_redis, load_config(**limits))
    live = attempt(services, JobClient(fake_redis, result_ttl=1000), every_piece())
    early = Reader(fake_redis)
    for n in range(200):
        live.write(f"{n} " + "长" * 1150 * ("max_events_bytes" in limits))
        if n == 10:
            early.look()
        if n % 7 == 0 and n > 60:
            assert Reader(fake_redis).look() == live.text
    live.end()
    assert early.look() == Reader(fake_redis).look() == live.text
    assert not outputs(fake_redis)[0].id.endswith("-1")  # the first ones were dropped


def test_a_piece_that_is_longer_than_an_event_is_cut(begin: Callable[..., LiveText], fake_redis: Redis) -> None:
    """Whole, to the character."""
    live = begin(every_piece())
    live.write("长" * (3 * MAX_PIECE_CHARS + 7))
    live.end()
    assert Reader(fake_redis).look() == live.text
    assert len(outputs(fake_redis)) == 4


def test_what_others_say_in_the_stream_is_no_part_of_the_text() -> None:
    """Progress, messages, and output of another form."""
    events = [Event("1-1", "progress", {"percent": 3}), Event("1-2", "output", {"text": "old"})]
    assert pieces_of([*events, Event("1-3", "output", {"n": 0, "text": "new"})]) == ["new"]


@settings(max_examples=60, deadline=None)
@given(
    attempts=st.lists(
        st.tuples(
            st.integers(0, len(TEXT)),  # how far it comes
            st.integers(1, 9),  # in pieces of so many characters
            st.booleans(),  # whether it says something else from some place on
            st.integers(0, len(TEXT)),
            st.integers(0, 3),  # events that a reader takes meanwhile
        ),
        max_size=10,
    )
)
def test_every_reader_ends_up_with_the_last_attempts_text(
    attempts: list[tuple[int, int, bool, int, int]],
) -> None:
    """However often it dies and wherever, whatever it said before, whenever the reader looked."""
    from fakeredis import FakeRedis, FakeServer

    with FakeRedis(server=FakeServer(server_type="redis", version=(7, 0))) as redis:
        services = engine_services(redis)
        client = JobClient(redis, result_ttl=1000)
        reader = Reader(redis)
        for reaches, size, strays, at, looks in attempts:
            text = TEXT[:at] + "Otherwise. " * 3 if strays else TEXT
            live = attempt(services, client, every_piece())
            for start in range(0, min(reaches, len(text)), size):
                live.write(text[start : start + size])
            add_event(redis, services.config, TENANT, JOB, "progress", {"percent": 1})
            reader.look(looks or None)
        live = attempt(services, client, every_piece())
        for start in range(0, len(TEXT), 5):
            live.write(TEXT[start : start + 5])
        live.end()
        assert reader.look() == Reader(redis).look() == live.text == TEXT
