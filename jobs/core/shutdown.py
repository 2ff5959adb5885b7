"""A process-wide word to running jobs: the worker is asked to stop.

It is said by signal handlers, and a second signal may come while the first is handled: a flag, for the lock of a
`threading.Event` would then wait for itself.
"""

from jobs.core.errors import Interrupted

_asked: list[bool] = []


def ask_to_stop() -> None:
    """Ask the running jobs to leave at their next checkpoint."""
    _asked.append(True)


def stop_if_asked() -> None:
    """Leave the running job if its worker is asked to stop.

    Raises:
        Interrupted: the worker puts the job back; no attempt is used up.
    """
    if _asked:
        raise Interrupted
