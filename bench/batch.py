"""A batch of 10,000 jobs: how long to its 202, how long until one worker has drained it, and how long its cancel takes.

Starts a Redis and a web server of its own on free ports; the worker starts after the 202. Prints a table, then JSON.
Run it with `python -m bench.batch`.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from bench.batch_jobs import TYPE
from bench.report import print_report
from bench.upload import web_server
from local.redis_server import RedisServer

JOBS = 10_000
ITEMS = {"type": TYPE, "items": [{}] * JOBS}
DRAIN_SECONDS = 300


def main() -> None:
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder) / "redis") as server,
        web_server(folder, server.url, "bench.batch_jobs:create_app()") as port,
    ):
        for what, body in (("one type", ITEMS), ("jobs", {"jobs": [{"type": TYPE}] * JOBS})):
            started: list[str] = []
            rows.append(measure(f"POST /batches, {what}", 5, partial(start, port, body, started)))
            rows.append(measure("GET /batches/{id}, nothing done", 20, partial(look, port, started[-1])))
            behind = f"cancel, behind {4 * JOBS:,} others"
            rows.append(measure(behind, 1, partial(cancel, port, started)))
            rows.append(measure("cancel, behind fewer", 4, partial(cancel, port, started)))
        rows.append(measure("drained by one worker", 1, partial(drain, port, server.url, folder)))
    print_report("batch", rows, jobs=JOBS)


def start(port: int, body: dict[str, Any], started: list[str]) -> None:
    """Start a batch and note its id."""
    started.append(str(ask(port, "POST", "/batches", body)["batch_id"]))


def cancel(port: int, started: list[str]) -> None:
    """Cancel the newest batch."""
    batch = ask(port, "POST", f"/batches/{started.pop()}/cancel")
    if batch["counts"]["canceled"] != JOBS:
        raise SystemExit(f"not all were canceled: {batch['counts']}")


def look(port: int, batch: str) -> dict[str, Any]:
    return ask(port, "GET", f"/batches/{batch}")


def drain(port: int, redis_url: str, folder: str) -> None:
    """Start a batch and a worker, and wait until every job has completed. The worker's start counts."""
    started: list[str] = []
    start(port, ITEMS, started)
    environment = os.environ | {"REDIS_URL": redis_url, "DATA_DIR": folder}
    command = [sys.executable, "-m", "bench.batch_jobs"]
    until = time.monotonic() + DRAIN_SECONDS
    log = (Path(folder) / "worker.log").open("wb")
    with log, subprocess.Popen(command, env=environment, stdout=log, stderr=log) as worker:
        while look(port, started[0])["state"] == "running":
            if time.monotonic() > until or worker.poll() is not None:
                raise SystemExit("the worker did not drain the batch")
            time.sleep(1)
        worker.terminate()


def ask(port: int, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a request and return its JSON."""
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status not in (200, 202):
        raise SystemExit(f"{response.status}: {answer.decode()}")
    return dict(json.loads(answer))


def measure(name: str, times: int, act: Callable[[], object]) -> dict[str, object]:
    """Call `act` a number of times and return the least, the middle and the greatest time in milliseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        act()
        taken.append((time.perf_counter() - began) * 1000)
    taken.sort()
    least, middle, most = (round(value, 1) for value in (taken[0], taken[times // 2], taken[-1]))
    return {"what": name, "times": times, "min ms": least, "p50 ms": middle, "max ms": most}


if __name__ == "__main__":
    main()
