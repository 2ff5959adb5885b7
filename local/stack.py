"""The whole service on one machine: an embedded Redis where none is named, and every process of the Procfile."""

import contextlib
import os
import secrets
import signal
import socket
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self, TextIO
from urllib.error import URLError
from urllib.request import urlopen

from config import Config, ConfigError, load_config
from jobs.providers.redis_check import check_redis_url
from local.processes import Ended, Processes, read_procfile
from local.redis_server import RedisServer, RedisServerError

ROOT = Path(__file__).resolve().parents[1]
RELEASE, WORKER = "release", "worker"
START_SECONDS = 60.0
WATCH_SECONDS = 0.5
CRASH_SECONDS = 10.0  # who ends so soon after its start would end again


class StackError(Exception):
    """The service does not come up, or one of its processes has ended; the message says which."""


class Stack:
    """Redis, web, worker and scheduler as processes of this one. Usable as a context manager.

    `environ` is what the processes get, with the settings of `config` put in. Their output goes to `out`.
    """

    def __init__(self, config: Config, environ: Mapping[str, str] = os.environ, out: TextIO = sys.stdout) -> None:
        self.config = config
        self.password = ""
        self.redis_url = config.redis_url
        self.redis_version = ""
        self._environ = dict(environ)
        self._commands: dict[str, str] = {}
        self._started: dict[str, float] = {}
        self.out = out
        self.redis = None if config.redis_url else RedisServer(config.data_dir / "redis")
        self.processes = Processes(out, ROOT)
        self._stopping = False
        self._watched = threading.Lock()  # what ends is taken note of by the watch or by the stop, never by both

    @property
    def url(self) -> str:
        """Where the service answers, as seen from this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.config.bind_host, self.config.bind_host)  # noqa: S104
        return f"http://[{host}]:{self.config.port}" if ":" in host else f"http://{host}:{self.config.port}"

    def start(self) -> Self:
        """Start everything, in order, and wait until the service answers.

        Raises:
            ConfigError, RedisServerError, StackError: something is set wrongly or does not come up.
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop every process, Redis last. Stopping twice does no harm."""
        self._stopping = True
        with self._watched:
            self.processes.stop()
            if self.redis is not None:
                self.redis.stop()

    def watch(self) -> Ended | None:
        """Start again what ends, as a platform does, until the stop.

        Returns the first process that ends soon after its start, or None when the stack was stopped.
        """
        while not self._stopping:
            with self._watched:
                crashed = None if self._stopping else self._tend()
            if crashed:
                return crashed
        return None

    def _tend(self) -> Ended | None:
        ended = self.processes.ended(WATCH_SECONDS)
        if ended and monotonic() < self._started[ended.name] + CRASH_SECONDS:
            return ended
        if ended:
            self._say(f"{describe(ended)} Starting it again.")
            self.start_process(ended.name)
        if self.redis is not None and self.redis.has_ended:
            self._say("The embedded Redis has ended. Starting it again, with all that it had.")
            self.redis.start()
        return None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def _start(self) -> None:
        self.config.check_bind(self.config.bind_host)
        if self.redis is not None:
            self.redis_url = self.redis.start().url
        self.redis_version = check_redis_url(self.redis_url)
        self.password = _dashboard_password(self.config)
        self._require_port()
        self._commands = read_procfile(ROOT / "Procfile")
        self._release()
        for name in self._commands.keys() - {RELEASE}:
            self.start_process(name)
        for number in range(2, self.config.worker_concurrency + 1):
            self.start_process(f"{WORKER}.{number}", like=WORKER)
        self._wait_until_it_answers()

    def start_process(self, name: str, *, like: str = "", arguments: str = "") -> None:
        """Start a process of the Procfile, once more if it has ended; or a further one, `like` one of these, with
        `arguments` of its own."""
        if like:
            self._commands[name] = f"{self._commands[like]} {arguments}".strip()
        self.processes.start(name, self._commands[name], self._env())
        self._started[name] = monotonic()

    def _say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def _require_port(self) -> None:
        """Say that the port is taken before anything starts: another service there would answer in our place."""
        host, port = self.config.bind_host, self.config.port
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise StackError(
                    f"Port {port} of {host} cannot be had ({error.strerror}). "
                    f"Set another: PORT={port + 1}, with a DATA_DIR of its own for a second service."
                ) from None

    def _env(self) -> dict[str, str]:
        """Return the processes' environment: what a Heroku dyno has, from this stack's settings."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{self._environ.get('PATH', os.defpath)}"
        return self._environ | {
            "PATH": path,
            "PYTHONUNBUFFERED": "1",
            "PORT": str(self.config.port),
            "HOST": self.config.host,
            "DATA_DIR": str(self.config.data_dir.resolve()),
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": self.config.database_url,
            "DASHBOARD_PASSWORD": self.password,
            "WEBHOOK_SECRET": _webhook_secret(self.config),
            "WEB_CONCURRENCY": str(self.config.web_concurrency),
            "API_KEYS": ",".join(f"{digest}:{tenant}" for digest, tenant in self.config.api_keys.items()),
        }

    def _release(self) -> None:
        self.start_process(RELEASE)
        ended = self.processes.ended(START_SECONDS)
        if ended is None or ended.code != 0:
            raise StackError("The database could not be brought up to date; see the lines above.")

    def _wait_until_it_answers(self) -> None:
        deadline = monotonic() + START_SECONDS
        while monotonic() < deadline:
            if ended := self.processes.ended(0.05):
                raise StackError(describe(ended))
            with contextlib.suppress(URLError, OSError), urlopen(f"{self.url}/livez", timeout=5):  # noqa: S310
                return
        raise StackError(f"{self.url} does not answer.")


def describe(ended: Ended) -> str:
    """Say in one line how a process ended."""
    how = f"by {signal.Signals(-ended.code).name}" if ended.code < 0 else f"with exit code {ended.code}"
    return f"{ended.name} ended {how}."


def _dashboard_password(config: Config) -> str:
    """Return the given password, or the one made at the first start: only the owner can read it."""
    if config.dashboard_password:
        return config.dashboard_password.get_secret_value()
    return _kept(config.data_dir / "dashboard-password", lambda: secrets.token_urlsafe(12))


def _webhook_secret(config: Config) -> str:
    """Return the given secret, or the one made at the first start."""
    if config.webhook_secret:
        return config.webhook_secret.get_secret_value()
    return _kept(config.data_dir / "webhook-secret", lambda: f"whsec_{b64encode(secrets.token_bytes(32)).decode()}")


def _kept(file: Path, make: Callable[[], str]) -> str:
    """Return what a file holds that only its owner can read; made now, if there is none."""
    with contextlib.suppress(FileExistsError):
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as new:
            new.write(make())
    return file.read_text().strip()


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt for SIGTERM too, and only once: stopping takes its time."""

    def interrupt(signum: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, interrupt)
    with contextlib.suppress(KeyboardInterrupt):
        yield


def _banner(stack: Stack) -> str:
    where = f", data in {stack.redis.data_dir}" if stack.redis else ""
    return (
        f"\nOffstage answers at  {stack.url}\n"
        f"Dashboard            {stack.url}/rq  (user admin, password {stack.password})\n"
        f"Redis                {stack.redis_url if stack.redis else 'REDIS_URL'}  ({stack.redis_version}{where})\n"
        "Ctrl-C stops everything.\n"
    )


def main() -> int:
    """Run the stack until Ctrl-C, SIGTERM, or a process that ends again and again; return the exit code."""
    try:
        stack = Stack(load_config())
        with stopped_by_signals():
            try:
                stack.start()
                print(_banner(stack), flush=True)
                if crashed := stack.watch():
                    raise StackError(describe(crashed))
            finally:
                print("\nStopping.", flush=True)
                stack.stop()
    except (ConfigError, RedisServerError, StackError) as error:
        print(f"offstage: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
