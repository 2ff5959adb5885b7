"""Become a command that the kernel ends when its parent ends, however that ends: `die_with_parent.py PARENT COMMAND...`

A program of its own, in place of a `preexec_fn`: that is not safe in a process with threads. Only Linux can do this;
elsewhere the command is stopped by its parent's clean-up alone.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def command(*parts: str | os.PathLike[str]) -> list[str]:
    """Return the command line that starts `parts` so.

    Start it from a thread that lives as long as the process: it is the thread that the kernel watches.
    """
    return [sys.executable, "-IS", __file__, str(os.getpid()), *(os.fspath(part) for part in parts)]


def main(parent: int, parts: list[str]) -> None:
    """Become the command, or end at once if `parent` is gone already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() == parent:
        os.execvp(parts[0], parts)  # noqa: S606 - the caller's command


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
