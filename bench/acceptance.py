"""What a row costs: `POST /jobs/{type}` and the run of a no-op job, with the row of accepted work and without.

Each pair is measured in turns, on a Redis, a SQLite database and servers of its own. Without the row is how the engine
runs jobs that need none, such as the upkeep's. Prints a table, then JSON. Run it with `python -m bench.acceptance`.
"""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from flask import Flask
from redis import Redis

import webapp
from bench.batch_jobs import TYPE
from bench.report import print_report
from bench.upload import measure, web_server
from config import load_config
from jobs.core.client import JobClient
from jobs.stores.database import Database
from jobs.stores.work import WorkStore
from local.redis_server import RedisServer

POSTS = 400
JOBS = 2000
ROUNDS = 3
TICK = os.sysconf("SC_CLK_TCK")
QUEUE = "rq:queue:default"
DRAIN_SECONDS = 120


def without_rows() -> Flask:
    """Return the application as it would be if it accepted work in Redis alone."""
    app = webapp.create_app()
    offstage = app.extensions["offstage"]
    client = JobClient(offstage.services.redis, result_ttl=offstage.services.config.result_ttl)
    app.extensions["offstage"] = replace(offstage, client=client)
    return app


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as server, ExitStack() as stack:
        apps = {"with": "bench.batch_jobs:create_app()", "without": "bench.acceptance:without_rows()"}
        ports = {kind: stack.enter_context(web_server(folder, server.url, app)) for kind, app in apps.items()}
        rows = [
            measure(f"POST /jobs/{{type}}, {kind} a row", POSTS, partial(post, ports[kind]))
            for kind in ("without", "with", "without", "with")
        ]
        runs: dict[str, list[tuple[float, float]]] = {"without": [], "with": []}
        with Redis.from_url(server.url) as redis:
            for _ in range(ROUNDS):
                for kind, rounds in runs.items():
                    rounds.append(drain(redis, server.url, folder, rows=kind == "with"))
    print_report("acceptance, the answer", rows)
    print_report("acceptance, the run", [summary(*run) for run in runs.items()], jobs=JOBS, rounds=ROUNDS)


def summary(kind: str, rounds: list[tuple[float, float]]) -> dict[str, object]:
    """Return the middle of the rounds."""
    rate, cpu = median(rate for rate, _ in rounds), median(cpu for _, cpu in rounds)
    what = f"no-op job, {kind} a row"
    return {"what": what, "jobs/s": round(rate), "ms a job": round(1000 / rate, 2), "CPU ms a job": round(cpu, 2)}


def post(port: int, _number: int) -> None:
    """Start a job and read the 202."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", f"/jobs/{TYPE}", "{}", {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 202:
        raise SystemExit(f"{response.status}: {answer.decode()}")


def drain(redis: Redis, url: str, folder: str, *, rows: bool) -> tuple[float, float]:
    """Return jobs a second, and the worker's CPU in ms a job, from 10 to 90 % of a queue that was filled before."""
    redis.flushall()
    work = WorkStore(Database(load_config(data_dir=Path(folder)).sqlalchemy_url)) if rows else None
    client = JobClient(redis, result_ttl=3600, work=work)
    for _ in range(JOBS):
        client.start(TYPE, {}, tenant="bench")
    environment = os.environ | {"REDIS_URL": url, "DATA_DIR": folder}
    with (Path(folder) / "worker.log").open("wb") as log:
        worker = subprocess.Popen([sys.executable, "-m", "bench.batch_jobs"], env=environment, stdout=log, stderr=log)
        try:
            first, left, cpu = reach(redis, 0.9 * JOBS, worker.pid)
            last, less, more = reach(redis, 0.1 * JOBS, worker.pid)
        finally:
            worker.terminate()
            worker.wait()
    return (left - less) / (last - first), 1000 * (more - cpu) / (left - less)


def reach(redis: Redis, length: float, pid: int) -> tuple[float, int, float]:
    """Wait until the queue is so short; return the time, its length, and the CPU seconds of the worker so far."""
    until = time.monotonic() + DRAIN_SECONDS
    while (left := int(redis.llen(QUEUE))) > length:
        if time.monotonic() > until:
            raise SystemExit("the worker did not drain the queue")
        time.sleep(0.005)
    return time.perf_counter(), left, cpu_seconds(pid)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of its children."""
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    total = 0
    for each in (pid, *children):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICK


if __name__ == "__main__":
    main()
