"""The faults. Each breaks something while the clients go on, heals it, and returns how often it did so."""

import os
import resource
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random

from redis.exceptions import RedisError

from tests.faults.clock import shifted_clock
from tests.faults.outside import MODEL_MOODS
from tests.faults.scene import FAULTS, Scene, fault
from tests.faults.stack import Process

__all__ = ["FAULTS"]

_HUNG_SECONDS = 20.0


def _kill_now_and_then(scene: Scene, prefix: str, choose: Callable[[Process], list[int]]) -> int:
    """SIGKILL some of a process's processes, every two to four seconds."""
    times = scene.times(8, 2)
    for _ in times:
        scene.wait(scene.random.uniform(2, 4))
        victim = scene.random.choice(scene.service.named(prefix))
        victim.send(signal.SIGKILL, choose(victim))
    return len(times)


@fault("kill -9 of a worker, with its horse", short=True)
def kill_worker(scene: Scene) -> int:
    return _kill_now_and_then(scene, "worker", lambda process: process.pids)


@fault("kill -9 of a worker's parent")
def kill_parent(scene: Scene) -> int:
    return _kill_now_and_then(scene, "worker", lambda process: process.pids[:1])


@fault("kill -9 of a horse", short=True)
def kill_horse(scene: Scene) -> int:
    return _kill_now_and_then(scene, "worker", lambda process: process.pids[1:])


@fault("kill -9 of a web", short=True)
def kill_web(scene: Scene) -> int:
    return _kill_now_and_then(scene, "web", lambda process: process.pids)


@fault("kill -9 of a web's process, not its master")
def kill_web_process(scene: Scene) -> int:
    return _kill_now_and_then(scene, "web", lambda process: process.pids[1:])


@fault("kill -9 of the scheduler")
def kill_scheduler(scene: Scene) -> int:
    return _kill_now_and_then(scene, "scheduler", lambda process: process.pids)


@fault("SIGTERM to everything, a deploy", short=True)
def deploy(scene: Scene) -> int:
    """The webs one after the other, the rest together, as a platform rolls them."""
    times = scene.times(20, 2)
    for _ in times:
        scene.wait(scene.random.uniform(0.5, 1.5))
        for process in (*scene.service.named("worker"), *scene.service.named("scheduler")):
            process.send(signal.SIGTERM)
        for process in scene.service.named("web"):
            process.send(signal.SIGTERM)
            scene.wait(1.0)
        scene.service.wait_until_it_answers()
    return len(times)


@fault("Redis killed, with its AOF", short=True)
def kill_redis(scene: Scene) -> int:
    times = scene.times(5, 1)
    for _ in times:
        scene.wait(2)
        scene.service.redis_server.kill()
        scene.wait(scene.random.uniform(0.5, 3))
        scene.service.redis_server.start()
    return len(times)


@fault("Redis wiped", short=True)
def wipe_redis(scene: Scene) -> int:
    times = scene.times(3, 1)
    for _ in times:
        scene.wait(4)
        scene.service.redis.flushall()
    return len(times)


@fault("Redis hung for 20 s")
def hang_redis(scene: Scene) -> int:
    pid = scene.service.redis_server.pid
    os.kill(pid, signal.SIGSTOP)
    scene.wait(_HUNG_SECONDS)
    os.kill(pid, signal.SIGCONT)
    return 1


@fault("Redis out of memory")
def fill_redis(scene: Scene) -> int:
    redis = scene.service.redis
    scene.wait(1)
    redis.config_set("maxmemory", 1)
    scene.wait(8)
    redis.config_set("maxmemory", 0)
    return 1


@fault("Redis at its limit of connections")
def fill_connections(scene: Scene) -> int:
    """The limit is set below what is open, and what is open is cut, so that many do not come in again."""
    redis = scene.service.redis
    redis.config_set("maxclients", 4)
    redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    scene.wait(8)
    for _ in range(100):  # those that are in may have taken all places
        with suppress(RedisError):
            redis.config_set("maxclients", 10_000)
            return 1
        scene.wait(0.1)
    raise AssertionError("the limit could not be lifted")


@fault("hashes of jobs torn")
def tear_hashes(scene: Scene) -> int:
    times, redis = scene.times(10, 3), scene.service.redis
    torn = 0
    for _ in times:
        scene.wait(0.5)
        for told in scene.load.told[-3:]:
            key = f"rq:job:{told.job_id}"
            if redis.exists(key):
                redis.hset(key, mapping={"data": b"\x80\x04torn", "meta": b"{", "created_at": b"yesterday"})
                torn += 1
    return torn


@fault("database locked for 20 s (SQLite)")
def lock_database(scene: Scene) -> int:
    path = scene.service.folder / "var" / "offstage.db"
    with sqlite3.connect(path, isolation_level=None, timeout=30) as connection:
        connection.execute("BEGIN IMMEDIATE")
        scene.wait(_HUNG_SECONDS)
        connection.execute("ROLLBACK")
    connection.close()
    return 1


@fault("database killed (PostgreSQL)", database="postgresql")
def kill_database(scene: Scene) -> int:
    times, server = scene.times(4, 1), scene.service.postgres
    assert server is not None
    for _ in times:
        scene.wait(3)
        server.kill()
        scene.wait(scene.random.uniform(1, 4))
        server.restart()
    return len(times)


@fault("disk full in uploads")
def fill_disk(scene: Scene) -> int:
    """The kernel's limit on the size of files, for the webs: every write beyond it fails, as on a full disk."""
    limit, big = 48 * 2**20, b"%PDF-1.7\n" + bytes(49 * 2**20)
    assert (scene.service.folder / "var" / "offstage.db").stat().st_size < limit
    pids = [pid for process in scene.service.named("web") for pid in process.pids]
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    times = scene.times(6, 2)
    for _ in times:
        url = scene.random.choice(scene.load.urls)
        answer = scene.load.ask("POST", f"{url}/upload", files={"file": ("big.pdf", big)})
        assert answer is not None
        assert answer.status_code == 507, (answer.status_code, answer.text)
        left = list((scene.service.folder / "var" / "blobs" / ".incoming").glob("*"))
        assert not [path for path in left if path.stat().st_size >= limit], left
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return len(times)


@fault("model hangs, trickles, answers 429 and nonsense")
def spoil_model(scene: Scene) -> int:
    """Questions are answered all the same, out of the documents."""
    asked = 0
    for mood in MODEL_MOODS:
        scene.outside.mood = mood
        for _ in scene.times(3, 1):
            url = scene.random.choice(scene.load.urls)
            answer = scene.load.ask("POST", f"{url}/ask", json={"question": "When does the valve of the pump open?"})
            assert answer is not None
            assert answer.status_code == 200, (mood, answer.status_code, answer.text)
            asked += 1
    assert scene.outside.asked >= asked, "the model was not asked"
    scene.outside.mood = "normal"
    return asked


@fault("mail server refuses, drops after DATA, hangs after DATA")
def spoil_mail(scene: Scene) -> int:
    """What was refused is sent later; what may have been taken is `unknown`, and not sent again."""
    mail, times = scene.outside.mail, scene.times(4, 2)
    mail.refuse = {"RCPT": "451 later"}
    _send_mails(scene, len(times))
    scene.wait(4)
    mail.refuse, mail.drop = {}, True
    _send_mails(scene, len(times))
    scene.wait(8)
    mail.drop, mail.hang = False, True
    _send_mails(scene, len(times))
    scene.wait(20)
    mail.hang = False
    return 3 * len(times)


def _send_mails(scene: Scene, count: int) -> None:
    for _ in range(count):
        scene.load.submit("mail", scene.random)


@fault("clock of a worker and the scheduler 10 minutes ahead, then behind")
def shift_clock(scene: Scene) -> int:
    victims = [scene.service.processes["worker-1"], scene.service.processes["scheduler"]]
    for seconds in (600, -600, 0):
        for victim in victims:
            victim.extra = shifted_clock(scene.service.folder, seconds)
            victim.send(signal.SIGTERM)
        scene.wait(6 if seconds else 0)
    return 2


@fault("jobs that segfault, take all memory, swallow their timeout")
def harmful_jobs(scene: Scene) -> int:
    times = scene.times(3, 1)
    for _ in times:
        for kind in ("segfault", "memory", "stubborn"):
            scene.load.submit(kind, scene.random)
    scene.wait(5)
    return 3 * len(times)


@fault("50 equal requests at once", short=True)
def equal_requests(scene: Scene) -> int:
    """All are told of one job."""
    times = scene.times(5, 1)
    for _ in times:
        serial = scene.load.new_serial()
        with ThreadPoolExecutor(50) as pool:
            same = list(
                pool.map(lambda n, serial=serial: scene.load.submit("count", Random(n), serial=serial), range(50))
            )
        assert len({told.job_id for told in same}) == 1, same
    return len(times)
