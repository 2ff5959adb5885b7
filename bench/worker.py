"""Our worker beside RQ's own and the other job queues for Python: `python -m bench.worker`.

One run, one Redis, alternating; each system gets the same number of processes. The peers are in requirements-bench.txt
and live in a virtual environment of their own: `--peers .venv-bench/bin`.

- Throughput: from 10 to 90 % of a queue that was filled before, with two worker processes.
- CPU: of all worker processes and of Redis over the same stretch, in ms a job.
- Reads: how often Redis read from a client, a job: its round trips.
- Idle start: from just before the enqueue to the first line of the job, one job at a time.
- I/O: jobs of 20 ms with ten slots; the ideal is 500 a second.
- Bytes: what all keys take when the queue is empty (`MEMORY USAGE`), a finished job.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from redis import Redis

from bench.peers.jobs import STAMPS
from bench.report import print_report
from local.redis_server import RedisServer
from tests.processes import descendants

TICK = os.sysconf("SC_CLK_TCK")
IDEAL = 500.0  # jobs/s: ten slots, 20 ms each


@dataclass
class System:
    """How to run one job queue. `workers(slots)` are the commands of its processes; `queue` is its list in Redis."""

    name: str
    module: str
    queue: str
    keeps: str
    processes: list[list[str]]
    io_processes: list[list[str]]
    jobs: int = 6000
    peer: bool = True
    environment: dict[str, str] = field(default_factory=dict)


def systems(peers: Path) -> list[System]:
    """Return everything that is measured."""
    python = [sys.executable, "-m", "bench.peers.rq_app", "work"]
    ours, fork = [*python, "offstage"], [*python, "rq", "1"]
    celery = [str(peers / "celery"), "-A", "bench.peers.celery_app", "worker", "-l", "ERROR", "-P"]
    dramatiq = [str(peers / "dramatiq"), "bench.peers.dramatiq_app"]
    huey = [str(peers / "huey_consumer"), "bench.peers.huey_app.huey", "-q"]
    taskiq = [str(peers / "taskiq"), "worker", "bench.peers.taskiq_app:broker", "--log-level", "ERROR"]
    rq = {"module": "rq_app", "queue": "rq:queue:default", "keeps": "status, result", "peer": False}
    return [
        System("offstage", processes=[[*ours, "1"]] * 2, io_processes=[[*ours, "10"]], **rq),
        System("rq worker", processes=[fork] * 2, io_processes=[fork] * 10, jobs=200, **rq),
        System(
            "rq SimpleWorker",
            processes=[[*python, "rq-simple", "1"]] * 2,
            io_processes=[[*python, "rq-simple", "1"]] * 10,
            jobs=1500,
            **rq,
        ),
        System("celery prefork", "celery_app", "celery", "state, result", [[*celery, "prefork", "-c", "2"]],
               [[*celery, "prefork", "-c", "10"]], jobs=3000),
        System("celery threads", "celery_app", "celery", "state, result", [[*celery, "threads", "-c", "10"]] * 2,
               [[*celery, "threads", "-c", "10"]], jobs=3000),
        System("dramatiq", "dramatiq_app", "dramatiq:default", "nothing", [[*dramatiq, "-p", "2", "-t", "8"]],
               [[*dramatiq, "-p", "1", "-t", "10"]]),
        System("dramatiq, results", "dramatiq_app", "dramatiq:default", "result", [[*dramatiq, "-p", "2", "-t", "8"]],
               [[*dramatiq, "-p", "1", "-t", "10"]], environment={"BENCH_RESULTS": "1"}),
        System("huey", "huey_app", "huey.redis.bench", "result until read", [[*huey, "-k", "process", "-w", "2"]],
               [[*huey, "-k", "thread", "-w", "10"]]),
        System("taskiq", "taskiq_app", "taskiq", "result", [[*taskiq, "-w", "2"]],
               [[*taskiq, "-w", "1", "--max-async-tasks", "10"]]),
    ]  # fmt: skip


class Bench:
    """Runs one system at a time on one server."""

    def __init__(self, server: RedisServer, peers: Path, log: Any) -> None:
        self.redis = Redis.from_url(server.url)
        self.redis.config_set("appendonly", "no")
        self.url, self.peers, self.log = server.url, peers, log

    def drain(self, system: System) -> dict[str, float]:
        """Measure no-op jobs."""
        self._empty()
        self._enqueue(system, "noop", system.jobs).wait()
        marks: list[tuple[float, int, float, float, int]] = []
        workers = self._start(system, system.processes)
        try:
            for share in (0.9, 0.1):
                self._wait_for_length(system, int(system.jobs * share))
                marks.append(self._mark(system, workers))
            self._wait_for_length(system, 0)
            time.sleep(0.5)
        finally:
            self._stop(workers)
        (t0, n0, w0, r0, c0), (t1, n1, w1, r1, c1) = marks
        done = n0 - n1
        return {
            "jobs/s": done / (t1 - t0),
            "CPU ms": 1000 * (w1 - w0 + r1 - r0) / done,
            "of it Redis": 1000 * (r1 - r0) / done,
            "reads": (c1 - c0) / done,
            "bytes": self._kept() / system.jobs,
        }

    def idle(self, system: System, count: int) -> float:
        """Measure the start of single jobs; return the median in ms."""
        self._empty()
        workers = self._start(system, system.processes)
        try:
            self._enqueue(system, "stamp", count + 20).wait(60)
        finally:
            self._stop(workers)
        return 1000 * statistics.median(float(took) for took in self.redis.lrange(STAMPS, 20, -1))

    def io(self, system: System) -> float:
        """Measure jobs of 20 ms; return the share of the ideal."""
        self._empty()
        count = 1500 if system.jobs > 1000 else 300
        self._enqueue(system, "wait", count).wait()
        workers = self._start(system, system.io_processes)
        try:
            self._wait_for_length(system, int(count * 0.8))
            t0, n0 = time.monotonic(), self.redis.llen(system.queue)
            self._wait_for_length(system, int(count * 0.1))
            t1, n1 = time.monotonic(), self.redis.llen(system.queue)
        finally:
            self._stop(workers)
        return (n0 - n1) / (t1 - t0) / IDEAL

    def _empty(self) -> None:
        self.redis.flushall()

    def _kept(self) -> int:
        """Return the bytes that all keys take."""
        with self.redis.pipeline(transaction=False) as pipeline:
            for key in self.redis.scan_iter(count=10_000):
                pipeline.memory_usage(key, samples=0)
            return sum(filter(None, pipeline.execute()))

    def _enqueue(self, system: System, name: str, count: int) -> "subprocess.Popen[bytes]":
        python = str(self.peers / "python") if system.peer else sys.executable
        command = [python, "-m", f"bench.peers.{system.module}", name, str(count)]
        return subprocess.Popen(command, env=self._environment(system), stdout=self.log, stderr=self.log)

    def _start(self, system: System, commands: list[list[str]]) -> "list[subprocess.Popen[bytes]]":
        environment = self._environment(system)
        return [
            subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log, start_new_session=True)
            for command in commands
        ]

    def _stop(self, workers: "list[subprocess.Popen[bytes]]") -> None:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            try:
                worker.wait(8)
            except subprocess.TimeoutExpired:
                for pid in [*descendants(worker.pid), worker.pid]:
                    with suppress(ProcessLookupError):
                        os.kill(pid, 9)
                worker.wait()

    def _environment(self, system: System) -> dict[str, str]:
        return {**os.environ, "BENCH_REDIS_URL": self.url, "PYTHONPATH": str(Path.cwd()), **system.environment}

    def _wait_for_length(self, system: System, length: int) -> None:
        until = time.monotonic() + 90
        while self.redis.llen(system.queue) > length:
            if time.monotonic() > until:
                raise TimeoutError(f"{system.name}: {self.redis.llen(system.queue)} jobs are left")
            time.sleep(0.01)

    def _mark(self, system: System, workers: "list[subprocess.Popen[bytes]]") -> tuple[float, int, float, float, int]:
        pids = {pid for worker in workers for pid in (worker.pid, *descendants(worker.pid))}
        info = self.redis.info()
        used = info["used_cpu_user"] + info["used_cpu_sys"]
        return time.monotonic(), self.redis.llen(system.queue), _cpu(pids), used, info["total_reads_processed"]


def _cpu(pids: set[int]) -> float:
    """Return the CPU seconds of processes and of their ended children."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
    return total / TICK


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=Path(".venv-bench/bin"), help="programs of the other queues")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="names of systems")
    options = parser.parse_args()
    chosen = [system for system in systems(options.peers.absolute()) if not options.only or system.name in options.only]
    figures: dict[str, list[dict[str, float]]] = {system.name: [] for system in chosen}
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder)) as server,
        Path("/dev/null").open("w") as log,
    ):
        bench = Bench(server, options.peers.absolute(), log)
        for number in range(options.rounds):
            for system in chosen:
                drained = bench.drain(system)
                drained |= {"idle p50 ms": bench.idle(system, 100), "I/O share": bench.io(system)}
                figures[system.name].append(drained)
                print(number, system.name, {name: round(value, 3) for name, value in drained.items()}, file=sys.stderr)
    print_report("worker", [_row(system, figures[system.name]) for system in chosen], rounds=options.rounds)


def _row(system: System, measured: list[dict[str, float]]) -> dict[str, Any]:
    middle = {name: statistics.median(figures[name] for figures in measured) for name in measured[0]}
    return {
        "system": system.name,
        "jobs/s": round(middle["jobs/s"]),
        "CPU ms/job": round(middle["CPU ms"], 2),
        "of it Redis": round(middle["of it Redis"], 2),
        "reads/job": round(middle["reads"], 1),
        "idle start p50, ms": round(middle["idle p50 ms"], 2),
        "I/O, share of ideal": f"{middle['I/O share']:.0%}",
        "bytes/job": round(middle["bytes"]),
        "keeps": system.keeps,
    }


if __name__ == "__main__":
    main()
