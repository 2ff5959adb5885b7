"""A process-wide word to running jobs: the worker is asked to stop."""

from threading import Event

from jobs.core.errors import Interrupted

_stop = Event()


def ask_to_stop() -> None:
    """Ask the running jobs to leave at their next checkpoint."""
    _stop.set()


def stop_if_asked() -> None:
    """Leave the running job if its worker is asked to stop.

    Raises:
        Interrupted: the worker puts the job back; no attempt is used up.
    """
    if _stop.is_set():
        raise Interrupted
