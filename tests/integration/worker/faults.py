"""Kill workers at random points under load, and look for lost, stuck and repeated jobs.

`python -m tests.integration.worker.faults --kills 100` does so for every kind of kill.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from redis import Redis
from rq import Queue
from rq.job import Retry
from rq.serializers import JSONSerializer

from local.redis_server import RedisServer
from tests.integration.worker import tasks
from tests.integration.worker.fleet import Fleet, WorkerProcess, eventually

QUEUES = ["high", "default", "low"]
KINDS = {
    "kill -9 horse": WorkerProcess.kill_horse,
    "kill -9 parent": WorkerProcess.kill_parent,
    "kill -9 both": WorkerProcess.kill_both,
    "SIGTERM parent": WorkerProcess.terminate_parent,
    "SIGTERM group": WorkerProcess.terminate_group,
}
SILENCE = 1.5  # seconds after which a worker is dead in these tests
BACKLOG = 60


@dataclass
class Report:
    """What came of it. `under_way` counts kills that hit at least one running job; `repeated` jobs started again."""

    kind: str
    threads: int
    kills: int = 0
    jobs: int = 0
    finished: int = 0
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    repeated: int = 0
    repeated_after_end: int = 0
    repeated_without_cause: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        counts = f"kills {self.kills}, jobs {self.jobs}, finished {self.finished}, lost {len(self.lost)}"
        repeats = f"repeated {self.repeated} (after their end {self.repeated_after_end}"
        causes = f"without cause {len(self.repeated_without_cause)}), {self.seconds} s"
        details = [*self.lost[:5], *self.stuck[:5], *self.repeated_without_cause[:5], *self.left_over]
        return f"{self.kind:15} {counts}, stuck {len(self.stuck)}, {repeats}, {causes} {' '.join(details)}".strip()

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, stuck, repeated without a cause, or left behind."""
        return not (self.lost or self.stuck or self.repeated_without_cause or self.left_over)


def run(kind: str, kills: int, redis: "Redis", fleet: Fleet, *, threads: int = 1, workers: int = 2) -> Report:
    """Kill a worker `kills` times while three queues are full; then let the rest be done and take stock."""
    report, began = Report(kind, threads), time.monotonic()
    options = {"kind": "threads", "threads": threads} if threads > 1 else {}
    settings = {"set": {"dead_after": SILENCE, "maintenance_interval": 5}, **options}
    queues = {name: Queue(name, connection=redis, serializer=JSONSerializer) for name in QUEUES}
    ids: list[str] = []
    while report.kills < kills:
        fleet.replace_dead(QUEUES, workers, **settings)
        ids += _fill(queues)
        victim = random.choice(fleet.workers)
        _wait_for_progress(redis)
        time.sleep(random.uniform(0, 0.06))
        KINDS[kind](victim)
        report.kills += 1
        if kind.startswith("SIGTERM"):
            victim.process.wait(20)
    fleet.replace_dead(QUEUES, workers, **settings)
    _drain(redis, ids, 60)
    for worker in fleet.workers:
        worker.stop()
    _take_stock(report, redis, ids, interrupting=not kind.startswith("SIGTERM"))
    report.seconds = round(time.monotonic() - began, 1)
    return report


def _fill(queues: dict[str, Queue]) -> list[str]:
    """Keep a backlog in every queue; jobs take up to 30 ms."""
    ids = []
    for queue in queues.values():
        for _ in range(max(0, BACKLOG - queue.count)):
            job = queue.enqueue(tasks.trace, random.uniform(0, 0.03), retry=Retry(max=1000), result_ttl=3600)
            ids.append(job.id)
    return ids


def _wait_for_progress(redis: "Redis") -> None:
    seen = len(redis.keys("ledger:*"))
    eventually(lambda: len(redis.keys("ledger:*")) > seen, 60, what="a job that starts")


def _drain(redis: "Redis", ids: list[str], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with redis.pipeline() as pipeline:
            for job_id in ids:
                pipeline.hget(f"rq:job:{job_id}", "status")
            if set(pipeline.execute()) <= {b"finished", b"failed", None}:
                return
        time.sleep(0.2)


def _take_stock(report: Report, redis: "Redis", ids: list[str], *, interrupting: bool) -> None:
    report.jobs = len(ids)
    for job_id in ids:
        status = (redis.hget(f"rq:job:{job_id}", "status") or b"gone").decode()
        events = [line.split()[0].decode() for line in redis.lrange(tasks.ledger_key(job_id), 0, -1)]
        count = Counter(events)
        if status == "finished" and count["end"]:
            report.finished += 1
        elif status in ("queued", "started", "scheduled"):
            report.stuck.append(f"{job_id} {status} {events}")
        else:
            report.lost.append(f"{job_id} {status} {events}")
        if count["start"] > 1:
            report.repeated += 1
            if count["end"] > 1:
                report.repeated_after_end += 1
            if not interrupting:
                report.repeated_without_cause.append(f"{job_id} {events}")
    if sum(1 for _ in redis.scan_iter("rq:execution:*")):
        report.left_over.append("executions")
    for name in QUEUES:
        if redis.zcard(f"rq:wip:{name}") or redis.llen(f"rq:queue:{name}"):
            report.left_over.append(name)


def main() -> int:
    """Run every kind; print a table and write JSON. Fails if anything was lost or stuck."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    reports = []
    for kind in KINDS if options.kind == "all" else [options.kind]:
        with (
            tempfile.TemporaryDirectory() as folder,
            RedisServer(Path(folder) / "redis") as server,
            Redis.from_url(server.url) as redis,
            Fleet(server.url, Path(folder)) as fleet,
        ):
            report = run(kind, options.kills, redis, fleet, threads=options.threads)
        reports.append(report)
        print(report, flush=True)  # noqa: T201 - a program for the terminal
    if options.json:
        options.json.write_text(json.dumps([asdict(report) for report in reports], indent=1))
    return 0 if all(report.clean for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
