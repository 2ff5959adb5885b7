"""The real service as the harness runs it: two webs, two workers, a scheduler, Redis, and a database."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import urlopen

from redis import Redis
from sqlalchemy import text

from jobs.domain.signatures import write_secret
from jobs.stores.database import Database
from jobs.stores.migrate import upgrade
from local.ports import HOST, free_port
from local.redis_server import RedisServer
from tests.faults.kinds import COUNTER
from tests.faults.outside import Outside
from tests.postgres import PostgresServer
from tests.processes import descendants

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0
_WATCH_SECONDS = 0.2


class Process:
    """One process of the service, with all that it starts; started again by the `Service` when it ends."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], log: IO[bytes]) -> None:
        self.name = name
        self.extra: dict[str, str] = {}
        self._command, self._env, self._log = command, env, log
        self.start()

    def start(self) -> None:
        """Start it, with `extra` in its environment."""
        self._running = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**self._env, **self.extra},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )

    @property
    def pids(self) -> list[int]:
        """Its own id first, then those of its descendants."""
        with suppress(OSError):
            return [self._running.pid, *descendants(self._running.pid)]
        return [self._running.pid]

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._running.poll() is not None

    def send(self, number: int, pids: list[int] | None = None) -> None:
        """Send a signal to it alone, or to some of its processes."""
        for pid in [self._running.pid] if pids is None else pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End it and all that it has started, at once."""
        self.send(signal.SIGKILL, self.pids)
        with suppress(ProcessLookupError):
            os.killpg(self._running.pid, signal.SIGKILL)

    def stop(self, seconds: float = 30.0) -> None:
        """Ask it to end, and end it when it does not."""
        self.send(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(seconds)
        self.kill()
        self._running.wait()


class Service:
    """The running service. `urls` are its webs, as a load balancer would know them."""

    def __init__(self, folder: Path, database_url: str, postgres: PostgresServer | None, outside: Outside) -> None:
        self.folder, self.postgres = folder, postgres
        self.redis_server = RedisServer(folder / "redis")
        self.database_url = database_url
        self.database = Database(database_url)
        self.processes: dict[str, Process] = {}
        self.urls = [f"http://{HOST}:{free_port()}" for _ in range(2)]
        self._outside = outside
        self._log = (folder / "log").open("ab")
        self._ending = threading.Event()
        self._watch = threading.Thread(target=self._start_again, daemon=True)

    @property
    def redis(self) -> Redis:
        """A client of the Redis server."""
        return Redis.from_url(self.redis_server.url)

    def start(self) -> None:
        """Start everything and wait until both webs answer."""
        self.redis_server.start()
        upgrade(self.database_url)
        with self.database.write() as connection:
            connection.execute(text(f"CREATE TABLE {COUNTER} (n BIGINT NOT NULL)"))
            connection.execute(text(f"INSERT INTO {COUNTER} VALUES (0)"))
        for number, url in enumerate(self.urls, 1):
            self._run(f"web-{number}", ["gunicorn", "tests.faults.web:create_app()"], PORT=url.rpartition(":")[2])
        for number in (1, 2):
            self._run(f"worker-{number}", ["python", "-m", "tests.faults.kinds", "high", "default", "low"])
        self._run("scheduler", ["python", "-m", "tests.faults.kinds", "--scheduler"])
        self.wait_until_it_answers()
        self._watch.start()

    def named(self, prefix: str) -> list[Process]:
        """Return the processes of a kind: `web`, `worker`, `scheduler`."""
        return [process for name, process in self.processes.items() if name.startswith(prefix)]

    def wait_until_it_answers(self) -> None:
        """Wait until both webs do."""
        until = time.monotonic() + START_SECONDS
        for url in self.urls:
            while not _answers(url):
                if time.monotonic() > until:
                    raise RuntimeError(f"{url} does not answer; see {self._log.name}")
                time.sleep(0.05)

    def stop(self) -> None:
        """End everything."""
        self._ending.set()
        if self._watch.is_alive():
            self._watch.join()
        for process in self.processes.values():
            process.send(signal.SIGTERM)
        for process in self.processes.values():
            process.stop(5)
        self.redis_server.stop()
        self.database.engine.dispose()
        self._log.close()

    def _run(self, name: str, command: list[str], **settings: str) -> None:
        program = Path(sys.executable).parent / command[0]
        self.processes[name] = Process(name, [str(program), *command[1:]], self._environ() | settings, self._log)

    def _environ(self) -> dict[str, str]:
        return os.environ | {
            "PYTHONUNBUFFERED": "1",
            "DATA_DIR": str(self.folder / "var"),
            "REDIS_URL": self.redis_server.url,
            "DATABASE_URL": self.database_url,
            "WEB_CONCURRENCY": "1",
            "WEBHOOK_SECRET": write_secret(bytes(range(32))),
            "WEBHOOK_ALLOW_PRIVATE": "true",
            "LLM_URL": f"{self._outside.url}/v1",
            "LLM_MODEL": "scripted",
            "LLM_TIMEOUT": "3",
            "MAIL_URL": self._outside.mail.url,
            "MAIL_FROM": "Offstage <offstage@example.com>",
        }

    def _start_again(self) -> None:
        """Do what a platform does: start what has ended."""
        while not self._ending.wait(_WATCH_SECONDS):
            for process in self.processes.values():
                if process.ended:
                    process.kill()
                    process.start()


@contextmanager
def running(folder: Path, kind: str, outside: Outside) -> Iterator[Service]:
    """Yield the service on `sqlite` or on `postgresql`; its log is `folder/log`."""
    folder.mkdir(parents=True)
    (folder / "var").mkdir()
    if kind == "sqlite":
        service = Service(folder, f"sqlite:///{folder / 'var' / 'offstage.db'}", None, outside)
        with _started(service):
            yield service
        return
    with PostgresServer() as server, _started(Service(folder, server.url, server, outside)) as service:
        yield service


@contextmanager
def _started(service: Service) -> Iterator[Service]:
    try:
        service.start()
        yield service
    finally:
        service.stop()


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/livez", timeout=5):
            return True
    except (URLError, OSError):
        return False
