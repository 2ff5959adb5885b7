"""How gunicorn serves: read by `gunicorn "webapp:create_app()"` from the folder that it is started in."""

from gevent import monkey

monkey.patch_all()  # before anything below imports ssl or socket

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from gunicorn.workers.ggevent import GeventWorker

from config import Config, ConfigError, load_config
from jobs.providers.redis_check import check_redis_url

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of heartbeats: on a disk a busy one would stall them


def _settings() -> Config:
    try:
        return load_config()
    except ConfigError as error:
        sys.exit(f"offstage: {error}")


class Worker(GeventWorker):
    """A process that holds thousands of open event streams, and lets go of what only waits when it is told to stop.

    gunicorn's own would wait for open streams and idle connections until `graceful_timeout`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._idle: dict[gevent.Greenlet, gevent.Timeout] = {}

    @contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Bound the wait for a connection's next request."""
        timeout, waiting = gevent.Timeout(keepalive if self.alive else 0.5, False), gevent.getcurrent()
        self._idle[waiting] = timeout
        try:
            with timeout:
                yield
        finally:
            del self._idle[waiting]

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop: take no new connections, end requests that are under way."""
        super().handle_exit(sig, frame)
        gevent.spawn(self._let_go)

    def _let_go(self) -> None:
        for waiting, timeout in list(self._idle.items()):
            waiting.kill(timeout, block=False)
        if application := getattr(self, "wsgi", None):  # None while it starts
            application.extensions["offstage"].streams.close()


_config = _settings()
_host = f"[{_config.bind_host}]" if ":" in _config.bind_host else _config.bind_host

bind = f"{_host}:{_config.port}"
workers = _config.web_concurrency
worker_class = Worker
worker_connections = _config.max_streams + 1000
worker_tmp_dir = str(_SHARED_MEMORY) if _SHARED_MEMORY.is_dir() else None
timeout = 60
graceful_timeout = 20  # Heroku kills 30 s after SIGTERM
keepalive = 75  # longer than a router in front keeps its connections
control_socket_disable = True


def on_starting(server: Any) -> None:
    """Refuse what would be unsafe: also an address given by `-b`, which goes before `bind`."""
    try:
        for address in server.cfg.address:
            if isinstance(address, tuple):  # not a Unix socket
                _config.check_bind(str(address[0]))
        check_redis_url(_config.redis_url)
    except ConfigError as error:
        sys.exit(f"offstage: {error}")
