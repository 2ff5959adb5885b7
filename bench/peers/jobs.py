"""The jobs, and what every module here needs."""

import os
import sys
import time
from collections.abc import Callable
from functools import cache

from redis import Redis

URL = os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1:6379/0")
STAMPS = "bench:stamps"


def noop() -> None:
    """Do nothing."""


def wait() -> None:
    """Wait as for a remote service, 20 ms."""
    time.sleep(0.02)


def stamp(sent: float) -> None:
    """Note how long ago this was sent, in seconds."""
    took = time.time() - sent
    _redis().rpush(STAMPS, repr(took))


@cache
def _redis() -> Redis:
    return Redis.from_url(URL)


def enqueue_from_command_line(send: Callable[[str, list[float]], object]) -> None:
    """Send `COUNT` times `JOB`; stamps go one by one, each when the one before has been seen, 30 ms apart."""
    name, count = sys.argv[1], int(sys.argv[2])
    for number in range(count):
        if name != "stamp":
            send(name, [])
            continue
        time.sleep(0.03)
        send(name, [time.time()])
        while _redis().llen(STAMPS) <= number:
            time.sleep(0.0005)
