"""Trying: how often, how soon and how long a call of a model is tried again."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential_jitter,
)
from tenacity.stop import stop_base

from jobs.core.context import JobContext
from jobs.providers.errors import ProviderError
from jobs.providers.model_gate import CircuitOpen

MAX_ATTEMPTS = 5
MAX_SECONDS = 60.0
_FIRST_WAIT = 1.0  # seconds, doubled each time, and up to a quarter of a second more by chance
_LONGEST_WAIT = 16.0
_backoff = wait_exponential_jitter(_FIRST_WAIT, _LONGEST_WAIT, jitter=0.25)

T = TypeVar("T")


class Patience(stop_base):
    """Stops if the next attempt would not begin in time: within a minute, that of waiting at the gate apart, and before
    a deadline, in seconds since 1970."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._waited = 0.0

    @contextmanager
    def waiting(self, entry: AbstractContextManager[T]) -> Iterator[T]:
        """Enter, and take the time of that off."""
        began = time.monotonic()
        with entry as granted:
            self._waited += time.monotonic() - began
            yield granted

    def __call__(self, state: RetryCallState) -> bool:
        if self._deadline is not None and time.time() + state.upcoming_sleep >= self._deadline:
            return True
        return (state.seconds_since_start or 0.0) - self._waited + state.upcoming_sleep >= MAX_SECONDS


def attempts(ctx: JobContext, patience: Patience) -> Retrying:
    """Return the attempts of a call, with the waits between them; the job holds its worker meanwhile."""
    return Retrying(
        retry=retry_if_exception(_can_get_better),
        stop=stop_after_attempt(MAX_ATTEMPTS) | patience,
        wait=_wait,
        sleep=ctx.sleep,
        reraise=True,
    )


def _can_get_better(error: BaseException) -> bool:
    return isinstance(error, ProviderError) and error.retryable and not isinstance(error, CircuitOpen)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = getattr(error, "retry_after", None)
    return float(asked) if asked is not None else _backoff(state)
