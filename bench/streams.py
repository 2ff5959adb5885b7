"""1,000 open event streams on two web processes, each job saying something once a second.

Starts a Redis and a web server of its own. Measures how late events arrive, what a stream takes in memory, and how
long `GET /jobs/{id}` takes meanwhile; then what a step and an event cost a job. The readers, the jobs and the prober
run on the same cores, which the figures bear. Prints a table, then JSON. Run it with `python -m bench.streams`.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from statistics import quantiles
from typing import Any

from redis import Redis

from bench.report import print_report
from bench.upload import web_server
from config import LOCAL_TENANT, Config, load_config
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.events import add_event
from jobs.core.spec import discover
from jobs.services import build_services
from local.redis_server import RedisServer

STREAMS = 1000
SECONDS = 15.0
PROBES_A_SECOND = 20
CALLS = 2000


def main() -> None:
    discover()
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder) / "redis") as server,
        web_server(folder, server.url) as port,
    ):
        config = load_config(redis_url=server.url, data_dir=Path(folder))
        ids = start_jobs(server.url, STREAMS)
        rows, notes = measure_streams(config, port, ids)
        rows += measure_calls(config)
    print_report("streams", rows, streams=STREAMS, seconds=SECONDS, **notes)


def start_jobs(redis_url: str, count: int) -> list[str]:
    """Return jobs that wait for a worker that never comes."""
    with Redis.from_url(redis_url) as redis:
        client = JobClient(redis, result_ttl=3600)
        return [client.start("documents.embed", {"document_id": n}, tenant=LOCAL_TENANT) for n in range(count)]


def measure_streams(config: Config, port: int, ids: list[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Open a stream of each job and let the jobs speak; return rows, and what a stream takes in memory."""
    alone = probe(port, ids[0], 5.0)
    before = resident(web_workers())
    lags: list[float] = []
    meanwhile: list[float] = []
    expected, memory, spent = asyncio.run(_with_streams(config, port, ids, lags, meanwhile))
    rows = [
        row("GET /jobs/{id}, no stream open", alone),
        row(f"GET /jobs/{{id}}, {STREAMS} streams", meanwhile),
        row("event: from the job to the reader", lags),
    ]
    notes = {
        "events_a_second": round(len(lags) / SECONDS),
        "events_lost": expected - len(lags),
        "web_cpu_ms_an_event": round(spent * 1000 / len(lags), 2),
        "kib_a_stream": round((memory - before) / 1024 / len(ids), 1),
    }
    return rows, notes


async def _with_streams(
    config: Config, port: int, ids: list[str], lags: list[float], meanwhile: list[float]
) -> tuple[int, int, float]:
    opened = asyncio.Semaphore(50)
    ready: list[asyncio.Event] = [asyncio.Event() for _ in ids]
    readers = [asyncio.create_task(read(port, i, lags, e, opened)) for i, e in zip(ids, ready, strict=True)]
    await asyncio.gather(*(event.wait() for event in ready))
    memory, spent = resident(web_workers()), busy(web_workers())
    spawn = get_context("spawn")
    said, probed = spawn.Queue(), spawn.Queue()
    others = [
        spawn.Process(target=speak, args=(config.redis_url, ids, SECONDS, said)),
        spawn.Process(target=probe_for, args=(port, ids[0], SECONDS, probed)),
    ]
    for process in others:
        process.start()
    expected, took = await asyncio.gather(asyncio.to_thread(said.get), asyncio.to_thread(probed.get))
    until = time.monotonic() + 10
    while len(lags) < expected and time.monotonic() < until:
        await asyncio.sleep(0.1)
    meanwhile += took
    spent = busy(web_workers()) - spent
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    return expected, memory, spent


async def read(port: int, job_id: str, lags: list[float], ready: asyncio.Event, opened: asyncio.Semaphore) -> None:
    """Follow a job and note how late each event comes, in milliseconds."""
    async with opened:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET /jobs/{job_id}/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        while not (await reader.readline()).startswith(b"event: status"):
            pass
        ready.set()
    try:
        while line := await reader.readline():
            if line.startswith(b'data: {"at"'):
                lags.append((time.time() - json.loads(line[6:])["at"]) * 1000)
    finally:
        writer.close()


def speak(redis_url: str, ids: list[str], seconds: float, said: Any) -> None:
    """Say something for each job once a second, spread over it."""
    config = load_config(redis_url=redis_url)
    redis, begun, count = Redis.from_url(redis_url), time.monotonic(), 0
    while (now := time.monotonic() - begun) < seconds:
        if count < now * len(ids):
            add_event(redis, config, LOCAL_TENANT, ids[count % len(ids)], "output", {"at": time.time()})
            count += 1
        else:
            time.sleep(0.0005)
    said.put(count)


def probe_for(port: int, job_id: str, seconds: float, probed: Any) -> None:
    """Hand over what `probe` returns."""
    probed.put(probe(port, job_id, seconds))


def probe(port: int, job_id: str, seconds: float) -> list[float]:
    """Ask for a job again and again, on a new connection each time; return the milliseconds that each answer took."""
    taken = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        start = time.perf_counter()
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", f"/jobs/{job_id}")
        response = connection.getresponse()
        response.read()
        connection.close()
        assert response.status == 200
        taken.append((time.perf_counter() - start) * 1000)
        time.sleep(1 / PROBES_A_SECOND)
    return taken


def measure_calls(config: Config) -> list[dict[str, Any]]:
    """Return what a job pays for a step, an event, progress, and for one over the caps."""
    services = build_services(config)
    client = JobClient(services.redis, result_ttl=3600)

    def context(number: int) -> JobContext:
        return JobContext(job_id=f"cost{number}", tenant=LOCAL_TENANT, attempt=1, services=services, client=client)

    steps, events, progress, full = map(context, range(4))
    for n in range(config.max_events):
        full.emit("output", {"n": n})
    return [
        timed("ctx.step that returns at once", lambda n: steps.step(f"step-{n}", nothing)),
        timed("ctx.emit", lambda n: events.emit("output", {"n": n})),
        timed("ctx.progress, with its checkpoint", lambda n: progress.progress(n / CALLS * 100)),
        timed(f"ctx.emit, {config.max_events} events kept", lambda n: full.emit("output", {"n": n})),
    ]


def nothing() -> None:
    """The least that a step can do."""


def timed(name: str, call: Callable[[int], Any]) -> dict[str, Any]:
    """Call something many times."""
    taken = []
    for n in range(CALLS):
        start = time.perf_counter()
        call(n)
        taken.append((time.perf_counter() - start) * 1000)
    return row(name, taken)


def row(name: str, taken: list[float]) -> dict[str, Any]:
    """Return a line of the table; times in milliseconds."""
    cuts = quantiles(taken, n=100, method="inclusive")
    return {"what": name, "times": len(taken), "p50 ms": round(cuts[49], 2), "p99 ms": round(cuts[98], 2)}


def web_workers() -> list[int]:
    """Return the web server's worker processes: this process's grandchildren."""
    return [
        worker
        for child in children(os.getpid())
        if b"gunicorn" in Path(f"/proc/{child}/cmdline").read_bytes()
        for worker in children(child)
    ]


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [int(child) for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]


def busy(pids: list[int]) -> float:
    """Return the seconds of CPU time that processes have used."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(user) + int(system) for user, system in (each[11:13] for each in fields)) / os.sysconf("SC_CLK_TCK")


def resident(pids: list[int]) -> int:
    """Return the processes' resident memory in bytes."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in pids)


if __name__ == "__main__":
    sys.exit(main())
