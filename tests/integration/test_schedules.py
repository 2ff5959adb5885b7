"""Schedules with real scheduler processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import update

from config import LOCAL_TENANT, Config, load_config
from jobs.core import schedules
from jobs.core.schedules import ScheduleSpec
from jobs.core.spec import discover
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from jobs.stores.schedules import ScheduleStore
from jobs.stores.schema import schedules as table
from local import die_with_parent
from local.redis_server import RedisServer

ROOT = Path(__file__).resolve().parents[2]
SPEC: dict[str, Any] = {"name": "often", "type": "documents.embed", "args": {"document_id": 1}}
StartScheduler = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def config(tmp_path: Path, redis_server: RedisServer, redis: Redis) -> Config:
    discover()
    config = load_config(data_dir=tmp_path, redis_url=redis_server.url)
    upgrade(config.sqlalchemy_url)
    return config


@pytest.fixture
def store(config: Config) -> Iterator[ScheduleStore]:
    database = Database(config.sqlalchemy_url)
    yield ScheduleStore(database)
    database.engine.dispose()


@pytest.fixture
def start_scheduler(config: Config) -> Iterator[StartScheduler]:
    """Start scheduler processes that end with the test: `start_scheduler(SCHEDULES_FILE="...")`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**settings: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"REDIS_URL": config.redis_url, "DATA_DIR": str(config.data_dir)} | settings
        command = die_with_parent.command(sys.executable, "worker.py", "--scheduler")
        started.append(subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_until(ready: Callable[[], Any], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_two_schedulers_start_each_run_once_also_when_one_is_killed(
    store: ScheduleStore, redis: Redis, start_scheduler: StartScheduler
) -> None:
    """Every second; after a kill -9 the other goes on. As many jobs as recorded runs, each with the id of its run."""
    schedule = schedules.create(store, LOCAL_TENANT, ScheduleSpec(**SPEC, every=1), time.time())
    first, second = start_scheduler(), start_scheduler()

    def runs() -> list[Any]:
        return list(reversed(store.get(LOCAL_TENANT, schedule.id).runs))

    wait_until(lambda: len(runs()) >= 3)
    first.send_signal(signal.SIGKILL)
    killed_after = len(runs())
    wait_until(lambda: len(runs()) >= killed_after + 3)
    second.terminate()
    assert second.wait(10) == 0
    queued = [job_id.decode() for job_id in redis.lrange("rq:queue:low", 0, -1)]
    mine = [job_id for job_id in queued if b'"local"' in (redis.hget(f"rq:job:{job_id}", "meta") or b"")]
    assert mine == [run["job_id"] for run in runs()]
    planned = [run["planned_at"] for run in runs()]
    assert len(set(planned)) == len(planned)


@pytest.mark.parametrize(("missed", "outcome"), [("run_once", "started"), ("skip", "skipped")])
def test_what_was_missed_while_no_scheduler_ran(
    store: ScheduleStore, redis: Redis, start_scheduler: StartScheduler, missed: str, outcome: str
) -> None:
    """Of an hour of missed minutes, one run or none, by two schedulers that come up together."""
    spec = ScheduleSpec(**SPEC, cron="* * * * *", missed=missed)
    schedule = schedules.create(store, LOCAL_TENANT, spec, time.time())
    planned = (schedule.next_run or 0) - 3600
    with store._database.write() as connection:
        connection.execute(update(table).values(next_run=planned))
    for _ in range(2):
        start_scheduler()
    wait_until(lambda: store.get(LOCAL_TENANT, schedule.id).runs)
    after = store.get(LOCAL_TENANT, schedule.id)
    assert (after.runs[-1]["planned_at"], after.runs[-1]["outcome"]) == (planned, outcome)
    assert after.next_run
    assert after.next_run > planned + 3000
    assert redis.exists(f"rq:job:{schedules.run_id(schedule, planned)}") == (missed == "run_once")


def test_a_scheduler_takes_the_file_and_refuses_a_wrong_one(
    store: ScheduleStore, tmp_path: Path, start_scheduler: StartScheduler
) -> None:
    """It does not start with a wrong one, and says what is wrong in which schedule."""
    path = tmp_path / "schedules.toml"
    head = '[[schedules]]\nname = "x"\ntype = "documents.embed"\n'
    path.write_text(head + "args.document_id = 1\nevery = 3600\n", "utf-8")
    good = start_scheduler(SCHEDULES_FILE=str(path))
    wait_until(lambda: store.list(LOCAL_TENANT))
    good.terminate()
    path.write_text(head + 'cron = "x"\n', "utf-8")
    bad = start_scheduler(SCHEDULES_FILE=str(path))
    _, said = bad.communicate(timeout=30)
    assert bad.returncode == 1
    assert b"schedule 1 (x): args: " in said
    assert b"schedule 1 (x): cron: " in said
    assert b"Traceback" not in said
