"""Watching processes that are not this one's children."""

import os
import select
from pathlib import Path


def children(pid: int) -> dict[int, str]:
    """Return the command lines of a process's children by their ids."""
    found: dict[int, str] = {}
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in listed.read_text().split():
            found[int(child)] = Path(f"/proc/{child}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


def descendants(pid: int) -> set[int]:
    """Return the ids of a process's children, their children, and so on."""
    own = set(children(pid))
    return own.union(*(descendants(child) for child in own))


def ended(pid: int, seconds: float = 10.0) -> bool:
    """Wait until a process has ended; say whether it did so in time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)
