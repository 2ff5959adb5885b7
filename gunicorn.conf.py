"""How gunicorn serves: read by `gunicorn "webapp:create_app()"` from the folder that it is started in."""

from gevent import monkey

monkey.patch_all()  # before anything below imports ssl or socket

import signal
import sys
from pathlib import Path
from typing import Any

from config import Config, ConfigError, load_config
from jobs.providers.redis_check import check_redis_url

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of heartbeats: on a disk a busy one would stall them


def _settings() -> Config:
    try:
        return load_config()
    except ConfigError as error:
        sys.exit(f"offstage: {error}")


_config = _settings()
_host = f"[{_config.bind_host}]" if ":" in _config.bind_host else _config.bind_host

bind = f"{_host}:{_config.port}"
workers = _config.web_concurrency
worker_class = "gevent"  # one process holds thousands of open event streams
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


def post_worker_init(worker: Any) -> None:
    """End the event streams when the process is told to stop: it would wait for them all of `graceful_timeout`."""
    import gevent

    stop = signal.getsignal(signal.SIGTERM)

    def stop_streams_too(signum: int, frame: Any) -> None:
        stop(signum, frame)  # type: ignore[operator, misc]
        gevent.spawn(worker.wsgi.extensions["offstage"].streams.close)

    signal.signal(signal.SIGTERM, stop_streams_too)
