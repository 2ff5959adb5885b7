"""Accepted work in real workers: a row and a job, whatever becomes of Redis and of the worker."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from config import load_config
from jobs.core.client import JobClient
from jobs.core.reconcile import reconcile
from jobs.core.schedule import Scheduler
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from jobs.stores.work import WorkStore
from jobs.stores.work_rows import COMPLETED, Work
from tests.integration.worker import kinds
from tests.integration.worker.fleet import Fleet, WorkerProcess, eventually, send

TENANT = "local"


class Desk:
    """Accepts work, looks after it, and reads what the jobs wrote down."""

    def __init__(self, redis: Redis, store: WorkStore, notes: Path) -> None:
        self.redis, self.store, self.notes = redis, store, notes
        self.client = JobClient(redis, result_ttl=3600, work=store)

    def start(self, seconds: float = 0) -> str:
        """Accept a job that writes its id down and goes on for a while."""
        return self.client.start("probe.note", kinds.Note(path=str(self.notes), seconds=seconds), tenant=TENANT)

    def row(self, job_id: str) -> Work:
        """Return a job's row."""
        work = self.store.get(TENANT, job_id)
        assert work is not None
        return work

    def began(self) -> list[str]:
        """Return the ids of the jobs that have begun, once for each time."""
        return self.notes.read_text(encoding="utf-8").split() if self.notes.exists() else []

    def tend(self) -> None:
        """Do what the scheduler and the reconciler do."""
        Scheduler(self.redis).promote()
        reconcile(self.redis, self.store, young=0)

    def all_done(self, ids: list[str]) -> bool:
        """Tend, then say whether all of these have completed."""
        self.tend()
        return all(work.state == COMPLETED for work in self.store.known(TENANT, ids).values())

    def wait_for_more(self, ids: list[str], jobs: int = 15) -> None:
        """Tend until so many more jobs have begun, or all are done."""
        least = len(self.began()) + jobs
        eventually(lambda: self.all_done(ids) or len(self.began()) >= least, 30)


@pytest.fixture
def desk(redis: Redis, fleet: Fleet, tmp_path: Path) -> Iterator[Desk]:
    """A desk over the database of the fleet's workers."""
    url = load_config(data_dir=tmp_path).sqlalchemy_url
    upgrade(url)
    database = Database(url)
    yield Desk(redis, WorkStore(database), tmp_path / "notes")
    database.engine.dispose()


def worker(fleet: Fleet, **options: object) -> WorkerProcess:
    return fleet.start(["high", "default", "low"], types=True, set={"dead_after": 1.5}, **options)


def test_looking_after_jobs_that_wait_and_run_multiplies_none(desk: Desk, fleet: Fleet) -> None:
    """The reconciler goes round and round, also between a commit and its enqueue, while two workers are at it."""
    for kind in ("ours", "threads"):
        worker(fleet, kind=kind)
    ids = []
    for number in range(300):
        ids.append(desk.start())
        if number % 10 == 0:
            desk.tend()
    eventually(lambda: desk.all_done(ids), 60)
    assert Counter(desk.began()) == Counter(ids)


def test_redis_is_wiped_again_and_again_while_jobs_wait_and_run(desk: Desk, fleet: Fleet) -> None:
    """Each job completes, in workers that live on; none that had completed runs again."""
    for kind in ("ours", "threads"):
        worker(fleet, kind=kind)
    ids = [desk.start(0.02) for _ in range(120)]
    for _ in range(3):
        desk.wait_for_more(ids)
        completed = [work.id for work in desk.store.known(TENANT, ids).values() if work.state == COMPLETED]
        before = Counter(desk.began())
        desk.redis.flushall()
        desk.wait_for_more(ids)
        after = Counter(desk.began())
        assert [after[job_id] for job_id in completed] == [before[job_id] for job_id in completed]
    eventually(lambda: desk.all_done(ids), 60)
    assert set(desk.began()) == set(ids)


def test_a_worker_that_was_taken_for_dead_completes_nothing_any_more(desk: Desk, fleet: Fleet) -> None:
    """It wakes up after another one has done the job: the row and Redis have that one's result."""
    zombie = worker(fleet)
    job_id = desk.start(1.0)
    eventually(desk.began)
    for pid in zombie.everyone():
        send(pid, signal.SIGSTOP)
    other = worker(fleet)
    eventually(lambda: desk.all_done([job_id]), 40)
    other.stop()
    for pid in zombie.everyone():
        send(pid, signal.SIGCONT)
    following = desk.start()
    eventually(lambda: desk.all_done([following]), 30)  # the zombie's thread is free again
    row = desk.row(job_id)
    assert (row.generation, row.result, desk.client.get(TENANT, job_id).result) == (2, "2", 2)
    assert Counter(desk.began())[job_id] == 2
