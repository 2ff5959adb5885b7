"""Job timeouts: by signal in the main thread, by an asynchronous exception in a thread of the job's own."""

import ctypes
import logging
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any, Protocol

from rq.timeouts import BaseDeathPenalty, JobTimeoutException

# An exception between "lock" and "try" of these leaves their lock closed for every thread, or a module half loaded.
_NOT_WITHIN = ("<frozen importlib", logging.__file__)
_AGAIN = 0.05  # seconds until the next try


class ThreadTimeout(JobTimeoutException):
    """Raised in a job's thread; it cannot carry a message of its own."""

    def __init__(self) -> None:
        super().__init__("Task exceeded maximum timeout value")


class JobStopped(BaseException):
    """A stop command reached the job. Not an `Exception`, so that a job's `except Exception` lets it through."""


class Timer(Protocol):
    """Limits what the current thread does; times are in seconds."""

    def arm(self, seconds: float) -> None:
        """Raise `JobTimeoutException` in this thread after so many seconds; none or less: never."""

    def disarm(self) -> None:
        """Raise no more. May raise once, if time was up just now."""


class AlarmTimer:
    """For the main thread. Handlers are set once, so that arming costs two system calls."""

    def __init__(self) -> None:
        self._seconds = 0.0
        signal.signal(signal.SIGALRM, self._ring)

    def arm(self, seconds: float) -> None:
        """Set the alarm."""
        self._seconds = seconds
        if seconds > 0:
            signal.setitimer(signal.ITIMER_REAL, seconds)

    def disarm(self) -> None:
        """Take the alarm back."""
        if self._seconds > 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self._seconds = 0.0

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        if not _may_raise(frame):
            signal.setitimer(signal.ITIMER_REAL, _AGAIN)
            return
        raise JobTimeoutException(f"Task exceeded maximum timeout value ({self._seconds:g} seconds)")


class ThreadTimer:
    """For a thread of its own. Another thread calls `check` now and then; an exception reaches this thread only.

    A thread inside a C call (a read, a sleep) gets the exception when that call returns; one that imports a module or
    logs, when it has done so.
    """

    def __init__(self) -> None:
        self._thread = ctypes.c_ulong(threading.get_ident())
        self._token: object | None = None
        self._owed: tuple[object, type[BaseException]] | None = None
        self._deadline = 0.0
        self._fired = self._sent = False

    def arm(self, seconds: float) -> None:
        """Set the deadline."""
        self._fired = self._sent = False
        self._deadline = time.monotonic() + seconds if seconds > 0 else float("inf")
        self._token = object()

    def disarm(self) -> None:
        """Forget the deadline; an exception that is on its way ends here, not in what comes next."""
        self._token = None
        if self._fired:
            while not self._sent:
                time.sleep(0.001)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, None)

    def check(self, now: float) -> None:
        """Raise in the thread if its time is up, or what could not be raised before. For the watching thread."""
        if self._owed and self._owed[0] is self._token:
            self.interrupt(self._owed[1])
        elif now >= self._deadline:
            self.interrupt(ThreadTimeout)

    def interrupt(self, error: type[BaseException]) -> None:
        """Raise `error` in the thread, once, if it still does what it did. For the thread that calls `check`."""
        token = self._token
        if token is None or self._fired:
            return
        if not _may_raise(sys._current_frames().get(self._thread.value)):
            self._owed = token, error
            return
        self._fired = True
        if self._token is token:  # else it has just ended, and may be waiting for `_sent`
            ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(error))
        self._sent = True


def _may_raise(frame: FrameType | None) -> bool:
    """Say whether an exception may be raised at a place that knows of none."""
    while frame:
        if frame.f_code.co_filename.startswith(_NOT_WITHIN):
            return False
        frame = frame.f_back
    return True


_here = threading.local()


def set_timer(timer: Timer) -> None:
    """Make `timer` the one that RQ's callbacks in this thread are limited by."""
    _here.timer = timer


class Penalty(BaseDeathPenalty):
    """RQ's interface to the timer of the current thread."""

    def setup_death_penalty(self) -> None:
        """Arm it."""
        self._timer: Any = getattr(_here, "timer", None)
        if self._timer is None:
            self._timer = _here.timer = AlarmTimer()
        self._timer.arm(self._timeout)

    def cancel_death_penalty(self) -> None:
        """Disarm it."""
        self._timer.disarm()
