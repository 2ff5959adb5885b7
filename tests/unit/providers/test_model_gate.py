"""The gate of model calls, on a real Redis: the limit, turns of tenants, leases of the dead, the circuit breaker."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from redis import Redis

from jobs.providers.model_gate import CircuitOpen, ModelGate, Outcome, forget_calls

ENDPOINT = "https://key@models.example.com/v1"
REST = 0.3


@pytest.fixture
def gate(redis: Redis) -> ModelGate:
    return ModelGate(redis, ENDPOINT, limit=3, failures=5, rest=REST, lease=1.0)


class Hall:
    """Counts who is inside, and who came in."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = self.most = 0
        self.came: list[str] = []

    def visit(self, gate: ModelGate, tenant: str, stay: threading.Event | float) -> None:
        with gate.enter(tenant):
            with self._lock:
                self.inside += 1
                self.most = max(self.most, self.inside)
                self.came.append(tenant)
            stay.wait() if isinstance(stay, threading.Event) else time.sleep(stay)
            with self._lock:
                self.inside -= 1


@pytest.fixture
def hall() -> Hall:
    return Hall()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(40) as threads:
        yield threads


def until(condition: object, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.005)


def fail(gate: ModelGate, times: int, outcome: Outcome = "failed") -> None:
    for _ in range(times):
        with gate.enter("acme") as granted:
            granted.outcome = outcome


def test_never_more_than_the_limit_and_the_limit_while_others_wait(
    gate: ModelGate, hall: Hall, pool: ThreadPoolExecutor
) -> None:
    list(pool.map(lambda number: hall.visit(gate, f"t{number % 4}", 0.02), range(60)))
    assert (hall.most, len(hall.came)) == (3, 60)
    assert (gate.state().running, gate.state().waiting) == (0, 0)


def test_two_gates_share_one_limit(redis: Redis, gate: ModelGate, hall: Hall, pool: ThreadPoolExecutor) -> None:
    """As those of two processes do."""
    other = ModelGate(Redis(connection_pool=redis.connection_pool), ENDPOINT, limit=3, failures=5, rest=REST)
    list(pool.map(lambda number: hall.visit((gate, other)[number % 2], "acme", 0.02), range(30)))
    assert hall.most == 3


def test_a_tenant_with_few_calls_does_not_wait_behind_anothers_flood(
    gate: ModelGate, hall: Hall, pool: ThreadPoolExecutor
) -> None:
    """Places go to the tenant that has the fewest."""
    gone = threading.Event()
    for _ in range(3):
        pool.submit(hall.visit, gate, "flood", gone)
    until(lambda: gate.state().running == 3)
    for _ in range(20):
        pool.submit(hall.visit, gate, "flood", 0.01)
    until(lambda: gate.state().waiting == 20)
    for _ in range(2):
        pool.submit(hall.visit, gate, "small", 0.01)
    until(lambda: gate.state().waiting == 22)
    gone.set()
    until(lambda: len(hall.came) == 25)
    assert Counter(hall.came[3:13])["small"] == 2  # of 22 that waited, the last two


def test_the_places_of_the_dead_come_back(redis: Redis, gate: ModelGate, hall: Hall, pool: ThreadPoolExecutor) -> None:
    """A process that says nothing any more holds its places until its leases run out, and its place in the line too."""
    dead = ModelGate(redis, ENDPOINT, limit=3, failures=5, rest=REST, lease=0.5)
    for number in range(5):  # three are let in, two wait; none is ever heard of again
        dead._call("enter", "acme", f"acme/{number}")
    assert (gate.state().running, gate.state().waiting) == (3, 2)
    hall.visit(gate, "acme", 0)
    assert hall.came == ["acme"]


def test_a_call_outlasts_its_lease_and_the_loss_of_redis(
    redis: Redis, gate: ModelGate, pool: ThreadPoolExecutor
) -> None:
    """It is renewed while it goes on, and put down again where Redis has forgotten it."""
    with gate.enter("acme"):
        redis.flushall()
        until(lambda: gate.state().running == 1)
        end = time.monotonic() + 1.5  # longer than the lease
        until(lambda: time.monotonic() > end)
        assert gate.state().running == 1
    assert gate.state().running == 0


def test_five_failures_in_a_row_open_the_breaker_and_one_call_tries_again(
    gate: ModelGate, pool: ThreadPoolExecutor
) -> None:
    """Nobody comes in before the rest is over; then one does, and the others wait for what it finds."""
    fail(gate, 4)
    fail(gate, 1, "ok")  # not in a row
    fail(gate, 4)
    assert gate.state().breaker == "closed"
    fail(gate, 1)
    assert (gate.state().breaker, gate.state().endpoint) == ("open", "models.example.com")
    with pytest.raises(CircuitOpen) as refused, gate.enter("acme"):
        pass
    assert 0 < (refused.value.retry_after or 0) <= REST
    until(lambda: gate.state().breaker == "half_open")
    with gate.enter("acme") as trial:
        with pytest.raises(CircuitOpen), gate.enter("acme"):
            pass
        trial.outcome = "failed"
    assert gate.state().breaker == "open"
    until(lambda: gate.state().breaker == "half_open")
    fail(gate, 1, "ok")
    assert gate.state().breaker == "closed"
    with gate.enter("acme"), gate.enter("acme"):
        assert gate.state().running == 2


def test_of_many_at_once_one_tries(redis: Redis, gate: ModelGate, pool: ThreadPoolExecutor) -> None:
    fail(gate, 5)
    until(lambda: gate.state().breaker == "half_open")
    tried, over = [], threading.Event()

    def attempt(_: int) -> None:
        with suppress(CircuitOpen), gate.enter("acme"):
            tried.append(1)
            over.wait(20)

    attempts = [pool.submit(attempt, number) for number in range(10)]
    until(lambda: sum(each.done() for each in attempts) == 9)
    over.set()
    assert len(tried) == 1


def test_a_trial_that_dies_does_not_close_the_endpoint_for_ever(gate: ModelGate) -> None:
    fail(gate, 5)
    until(lambda: gate.state().breaker == "half_open")
    gate._call("enter", "acme", "acme/dead")
    with pytest.raises(CircuitOpen) as refused, gate.enter("acme"):
        pass
    assert refused.value.retry_after == 2.0  # then it is looked at again, what the one that tries has found out
    until(lambda: _enters(gate))


def test_a_killed_workers_places_are_given_back_at_once(redis: Redis, gate: ModelGate) -> None:
    """Those that it held, those that it waited for, and its trial of an endpoint; and nobody else's."""
    for number in range(5):
        gate._call("enter", "acme", f"acme/dead:{number}")
    gate._call("enter", "acme", "acme/alive:1")
    assert (gate.state().running, gate.state().waiting) == (3, 3)
    forget_calls(redis, "dead")
    assert (gate.state().running, gate.state().waiting) == (0, 1)
    gate._call("leave", 5, "none", "acme/alive:1")
    fail(gate, 5)
    until(lambda: gate.state().breaker == "half_open")
    gate._call("enter", "acme", "acme/dead:6")
    assert not _enters(gate)
    forget_calls(redis, "dead")
    assert _enters(gate)


def _enters(gate: ModelGate) -> bool:
    try:
        with gate.enter("acme"):
            return True
    except CircuitOpen:
        return False


def test_who_waits_can_be_called_away(gate: ModelGate, pool: ThreadPoolExecutor) -> None:
    """And leaves no trace in the line."""

    class Away(Exception):
        pass

    def between() -> None:
        raise Away

    with gate.enter("a"), gate.enter("a"), gate.enter("a"), pytest.raises(Away), gate.enter("a", between):
        pass
    assert gate.state().waiting == 0


def test_a_trial_lasts_as_long_as_its_call_and_a_late_failure_opens_again(redis: Redis) -> None:
    """An endpoint that hangs is tried by one call at a time, however long that takes, and rests after each."""
    gate = ModelGate(redis, ENDPOINT, limit=3, failures=2, rest=REST, lease=0.4)
    with gate.enter("acme") as late:
        fail(gate, 2)
        until(lambda: gate.state().breaker == "half_open")
        with gate.enter("acme") as trial:
            end = time.monotonic() + 1.0  # longer than a lease
            while time.monotonic() < end:
                assert not _enters(gate)
            trial.outcome = "failed"
        assert gate.state().breaker == "open"
        until(lambda: gate.state().breaker == "half_open")
        late.outcome = "failed"
    assert gate.state().breaker == "open"


def test_those_who_died_in_the_line_are_not_shown_for_long(redis: Redis, gate: ModelGate) -> None:
    for number in range(5):
        gate._call("enter", "acme", f"acme/{number}")
    assert gate.state().waiting == 2
    for lease, _ in redis.zrange("offstage:calls:seen", 0, -1, withscores=True):
        redis.zadd("offstage:calls:seen", {lease: 1.0})  # as after ten seconds without a word
    assert gate.state().waiting == 0
