"""The worker's parts that need no process: job hashes, notes, waits, timers, scripts."""

import importlib
import itertools
import json
import signal
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakeredis import FakeRedis
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Callback, Queue, Repeat, Retry
from rq.exceptions import DeserializationError
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import JobTimeoutException

from jobs.core.errors import Awaiting, JobTimeout, ResourceLimitExceeded, WorkerDied
from jobs.core.job import AnyJob, ForbiddenFunction, OffstageJob
from jobs.core.worker_parts import isolated, outage, record, scripts
from jobs.core.worker_parts.board import Board
from jobs.core.worker_parts.record import Counts, superfluous
from jobs.core.worker_parts.timers import AlarmTimer, JobStopped, ThreadTimeout, ThreadTimer

EXTRAS: list[dict[str, Any]] = [
    {},
    {"meta": {"tenant": "local"}, "result_ttl": 60, "failure_ttl": 70},
    {"retry": Retry(max=3, interval=[1, 2]), "ttl": 100},
    {"repeat": Repeat(times=2, interval=5)},
    {"on_success": Callback("builtins.print"), "on_failure": Callback("builtins.print", timeout=5)},
    {"description": "说明", "job_timeout": -1},
    {"at_front": True},
]


@pytest.mark.parametrize("extras", EXTRAS)
def test_a_hash_reads_as_rq_reads_it(fake_redis: Redis, extras: dict[str, Any]) -> None:
    """The short way to restore a job leads to the same attributes as RQ's."""
    queue = Queue("default", connection=fake_redis, serializer=JSONSerializer)
    job = queue.enqueue("builtins.len", [1], **extras)
    fields = fake_redis.hgetall(job.key)
    template = AnyJob("template", connection=fake_redis, serializer=JSONSerializer)
    ours = AnyJob.from_fields(template, job.id, fields)
    theirs = Job.fetch(job.id, connection=fake_redis, serializer=JSONSerializer)
    assert (ours.func_name, ours.args, ours.kwargs) == (theirs.func_name, theirs.args, theirs.kwargs)
    for name in ("log", "must_run_alone", "_status", "webhooks", "redis_server_version"):
        ours.__dict__.pop(name, None)
        theirs.__dict__.pop(name, None)
    assert ours.__dict__ == theirs.__dict__


def test_jobs_restored_from_one_template_share_nothing(fake_redis: Redis) -> None:
    """What one job changes is not seen in the next."""
    fields = {b"data": zlib.compress(json.dumps(["os.getpid", None, [], {}]).encode()), b"origin": b"default"}
    template = OffstageJob("template", connection=fake_redis, serializer=JSONSerializer)
    first, second = (OffstageJob.from_fields(template, name, fields) for name in ("a", "b"))
    first.meta["x"] = 1
    first.webhooks.append("x")  # type: ignore[arg-type]
    assert (second.meta, second.webhooks, second.id) == ({}, [], "b")


def test_only_the_runner_may_be_called(fake_redis: Redis) -> None:
    """A forged function, or an object to call it on, is refused; callbacks are dropped."""
    queue = Queue("default", connection=fake_redis, serializer=JSONSerializer)
    job = queue.enqueue("os.system", "true", on_success=Callback("os.abort"))
    forged = OffstageJob.fetch(job.id, connection=fake_redis, serializer=JSONSerializer)
    with pytest.raises(ForbiddenFunction):
        forged.perform()
    assert forged.success_callback is None


def test_unreadable_data_is_not_ours(fake_redis: Redis) -> None:
    """Pickled data raises RQ's error when it is used, not when it is looked at."""
    job = Queue("default", connection=fake_redis).enqueue("os.getpid")
    forged = OffstageJob.fetch(job.id, connection=fake_redis, serializer=JSONSerializer)
    assert not forged.is_ours
    with pytest.raises(DeserializationError):
        forged.perform()


def test_a_missing_dependency_does_not_look_like_a_typo(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job module that cannot be imported says which import failed."""
    (tmp_path / "needs_more.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    job = AnyJob.create("needs_more.run", connection=FakeRedis(), serializer=JSONSerializer)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        job.perform()
    job = AnyJob.create("nowhere.run", connection=FakeRedis(), serializer=JSONSerializer)
    with pytest.raises(ValueError, match="Invalid attribute name"):
        job.perform()


def test_the_board_keeps_a_note_for_each_slot() -> None:
    """Notes come back as they were written."""
    board = Board(3)
    board.write(1, "running", "e" * 32, 12.5)
    board.write(2, "asked", "f" * 32)
    assert [note.state for note in board.notes()] == ["idle", "running", "asked"]
    assert (board.read(1).execution, board.read(1).deadline) == ("e" * 32, 12.5)
    board.done += 2
    board.clear()
    assert board.done == 2
    assert {note.execution for note in board.notes()} == {""}


def test_waits_grow_to_a_second() -> None:
    """From 0.05 s, doubled."""
    waits = list(itertools.islice(outage.waits(), 8))
    assert waits[:3] == [0.05, 0.1, 0.2]
    assert waits[-1] == 1.0


def test_until_back_tries_again_only_for_outages() -> None:
    """An outage is waited for, another error is the caller's."""
    replies: list[Any] = [RedisConnectionError(), "back"]
    failures: list[int] = []

    def attempt() -> Any:
        reply = replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    assert outage.until_back(attempt, lambda: failures.append(1)) == "back"
    assert failures == [1]
    with pytest.raises(IndexError):
        outage.until_back(attempt)


def test_the_alarm_rings_once_armed_and_not_after() -> None:
    """Only what runs between arming and disarming is limited; no limit never rings."""
    before = signal.getsignal(signal.SIGALRM)
    timer = AlarmTimer()
    try:
        timer.arm(0.05)
        with pytest.raises(JobTimeoutException, match=r"0\.05 seconds"):
            threading.Event().wait(5)
        timer.arm(-1)
        timer.disarm()
        timer.arm(0.05)
        timer.disarm()
        assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_thread_gets_its_own_timeout_and_no_later_one() -> None:
    """The exception reaches the thread while it is armed; after disarming nothing does."""
    seen: list[str] = []
    armed, disarmed, over = threading.Event(), threading.Event(), threading.Event()
    timers: list[ThreadTimer] = []

    def body() -> None:
        timer = ThreadTimer()
        timers.append(timer)
        timer.arm(0.01)
        armed.set()
        try:
            while True:
                time.sleep(0.001)
        except ThreadTimeout:
            seen.append("late")
        timer.disarm()
        disarmed.set()
        over.wait(5)
        seen.append("went on")

    thread = threading.Thread(target=body)
    thread.start()
    armed.wait(5)
    while not disarmed.is_set():
        timers[0].check(time.monotonic())
        time.sleep(0.001)
    timers[0].check(time.monotonic() + 100)
    over.set()
    thread.join(5)
    assert seen == ["late", "went on"]


@pytest.fixture
def slow_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module that takes a moment to load."""
    name = f"slow_{uuid4().hex}"
    (tmp_path / f"{name}.py").write_text("import time\nfor _ in range(200): time.sleep(0.001)\nloaded = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_no_alarm_leaves_a_module_half_loaded(slow_module: str) -> None:
    """It rings again once it is loaded."""
    before = signal.getsignal(signal.SIGALRM)
    timer = AlarmTimer()
    try:
        timer.arm(0.02)
        importlib.import_module(slow_module)
        with pytest.raises(JobTimeoutException):
            threading.Event().wait(5)
        timer.disarm()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert sys.modules[slow_module].loaded


def test_no_interrupt_leaves_a_module_half_loaded(slow_module: str) -> None:
    """Else the lock of all imports could stay closed, for every thread; it comes once the module is loaded."""
    timers: list[ThreadTimer] = []
    armed, interrupted = threading.Event(), threading.Event()

    def body() -> None:
        timers.append(ThreadTimer())
        timers[0].arm(60)
        armed.set()
        try:
            importlib.import_module(slow_module)
            while True:
                time.sleep(0.001)
        except JobStopped:
            interrupted.set()

    thread = threading.Thread(target=body)
    thread.start()
    armed.wait(5)
    while slow_module not in sys.modules:
        time.sleep(0.001)
    timers[0].interrupt(JobStopped)
    while thread.is_alive():
        timers[0].check(time.monotonic())
        time.sleep(0.001)
    assert interrupted.is_set()
    assert sys.modules[slow_module].loaded


@pytest.mark.parametrize(
    ("status", "late", "limited", "error"),
    [
        (signal.SIGXCPU, False, True, ResourceLimitExceeded),
        (77 << 8, False, True, ResourceLimitExceeded),
        (signal.SIGXCPU, False, False, WorkerDied),
        (signal.SIGKILL, False, True, WorkerDied),
        (3 << 8, False, True, WorkerDied),
        (signal.SIGKILL, True, True, JobTimeout),
    ],
)
def test_the_death_of_an_isolated_process_is_told_by_its_status(
    status: int, late: bool, limited: bool, error: type[Exception]
) -> None:
    """Limits are not retried, other deaths are, lateness is a timeout."""
    with pytest.raises(isolated.ChildDied) as raised:
        isolated._outcome(b"", late, status, limited=limited)
    assert type(raised.value.cause) is error


def test_every_script_is_whole() -> None:
    """Includes are resolved, and Redis' name for a script is its digest."""
    redis = FakeRedis()
    for name in ("start", "finish", "putback", "beat", "claim", "promote"):
        assert "--@include" not in scripts.source(name)
        assert redis.script_load(scripts.source(name)) == scripts.digest(name)


def test_counts_are_written_now_and_then() -> None:
    """At most once a second while jobs follow each other."""
    counts = Counts()
    counts.add(0.5)
    assert counts.due(100.0)
    counts.written(100.0)
    counts.add(0.25)
    assert not counts.due(100.5)
    counts.take_back(0.25)
    assert (counts.jobs, counts.seconds) == (0, 0.0)


def test_empty_fields_go_with_the_end() -> None:
    """Fields that say something stay."""
    fields = {b"group_id": b"", b"success_callback_name": b"x", b"worker_name": b""}
    assert superfluous(fields) == [b"last_heartbeat", b"group_id"]


def test_a_job_may_wait_for_thousands(redis: Redis) -> None:
    """More than a script's call can unpack."""
    ids = [f"{number:032x}" for number in range(9000)]
    redis.hset("rq:job:parent", mapping={"status": "started", "origin": "default", "meta": '{"tenant": "acme"}'})
    redis.set("rq:execution:parent:e", "1")
    for job_id in ids[:3]:
        redis.hset(f"rq:job:{job_id}", mapping={"status": "queued", "origin": "default", "meta": "{}"})
    args = record.put_back_args("default", "parent", "e", Awaiting(ids))
    assert scripts.call(redis, "putback", [], ["rq", "worker", *args]) == 1
    assert redis.hget("rq:job:parent", "status") == b"deferred"
    assert redis.scard("rq:job::parent:dependencies") == 3
