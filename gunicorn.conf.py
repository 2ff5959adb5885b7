"""How gunicorn serves: read by `gunicorn "webapp:create_app()"` from the folder that it is started in."""

from gevent import monkey

monkey.patch_all()  # before anything below imports ssl or socket

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from gunicorn.http.message import Request
from gunicorn.util import close_graceful
from gunicorn.workers.ggevent import GeventWorker

from config import Config, ConfigError, load_config
from jobs.providers.redis_check import check_redis_url

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of heartbeats: on a disk a busy one would stall them

# What is read and dropped of a body that was refused, before its connection closes.
_MAX_DROPPED = 64 * 2**20  # bytes
_DROP_SECONDS = 2.0


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

    def handle_request(self, listener_name: Any, req: Request, sock: Any, addr: Any) -> None:
        """Answer a request. With a part of its body unread, closing the connection at once would reset it, and a client
        that still sends would not come to see the answer."""
        try:
            super().handle_request(listener_name, req, sock, addr)
        except StopIteration:  # the connection is to be closed
            if getattr(req.body.reader, "length", 1):
                close_graceful(sock, _DROP_SECONDS, _MAX_DROPPED)
            raise

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
