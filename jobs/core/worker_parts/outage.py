"""What to do while Redis is away: wait, a little longer each time, and try again."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from redis.exceptions import (
    BusyLoadingError,
    OutOfMemoryError,
    ReadOnlyError,
)
from redis.exceptions import (
    ConnectionError as RedisConnectionError,
)
from redis.exceptions import (
    TimeoutError as RedisTimeoutError,
)

T = TypeVar("T")
AWAY = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, ReadOnlyError, OutOfMemoryError)


_REMEMBERED = 1.0  # seconds


class Absence:
    """Remembers for a second that Redis did not answer: asking again would take as long, for each request in turn."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = float("-inf")

    def __bool__(self) -> bool:
        return self._clock() < self._until

    def note(self) -> None:
        """Redis did not answer just now."""
        self._until = self._clock() + _REMEMBERED


def waits() -> Iterator[float]:
    """Yield how long to wait before each next try, in seconds: from 0.05 doubled up to 1."""
    wait = 0.05
    while True:
        yield wait
        wait = min(1.0, wait * 2)


def until_back(
    attempt: Callable[[], T], failed: Callable[[], object] = lambda: None, *, unless: Callable[[], bool] = lambda: False
) -> T:
    """Return what `attempt` returns, trying for as long as Redis is away. `failed` is called after each failure.

    Raises:
        RedisError: Redis is away, and `unless` says that there is no more time to wait.
    """
    for wait in waits():
        try:
            return attempt()
        except AWAY:
            failed()
            if unless():
                raise
            time.sleep(wait)
    raise AssertionError("waits() has no end")
