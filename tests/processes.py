"""Watching processes that are not this one's children."""

import os
import select
from pathlib import Path


def descendants(pid: int) -> set[int]:
    """Return the ids of a process's children, their children, and so on."""
    found: set[int] = set()
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            found |= {child} | descendants(child)
    return found


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
