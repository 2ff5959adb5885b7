"""The worker's heartbeat, in a thread of its own, so that nothing that the worker waits for can stop it."""

import time
from threading import Event, Thread
from typing import TYPE_CHECKING

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import worker_registration
from rq.defaults import RQ_KEY_PREFIX
from rq.utils import now, utcformat

from jobs.core.worker_parts.outage import AWAY
from jobs.core.worker_parts.scripts import call

if TYPE_CHECKING:
    from jobs.core.worker import OffstageWorker

_GRACE = 6.0  # seconds that others get to be heard again after we, or Redis, were away
_REFRESH_EVERY = 4  # beats


class Heart:
    """Beats until `stop`. `take_dead` hands out workers that have fallen silent."""

    def __init__(self, worker: "OffstageWorker") -> None:
        self._worker = worker
        self._interval = max(0.25, worker.dead_after / 8)
        self._stop = Event()
        self._dead: set[str] = set()
        self._trusted_from = float("inf")
        self._beats = 0
        self._thread = Thread(target=self._run, daemon=True, name="heart")

    def start(self) -> None:
        """Begin, with a first beat before anything else happens."""
        self._redis = _own_client(self._worker.connection)
        self._beat_safely()
        self._thread.start()

    def stop(self) -> None:
        """Beat no more."""
        self._stop.set()
        self._thread.join(timeout=2)

    def take_dead(self) -> list[str]:
        """Return workers that have been silent for too long."""
        dead, self._dead = list(self._dead), set()
        return dead

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            self._beat_safely()

    def _beat_safely(self) -> None:
        try:
            self._beat()
        except AWAY as error:
            self._worker.log.error("Worker %s: no heartbeat: %s", self._worker.name, error)
        except Exception:
            self._worker.log.exception("Worker %s: no heartbeat", self._worker.name)

    def _beat(self) -> None:
        worker, moment = self._worker, now()
        refresh = "1" if self._beats % _REFRESH_EVERY == 0 else "0"
        args = [RQ_KEY_PREFIX, worker.name, utcformat(moment), moment.timestamp(), worker.worker_ttl + 60]
        known, silence, dead = call(self._redis, "beat", [], [*args, worker.dead_after, worker.lease, refresh])
        self._beats += 1
        worker.last_heartbeat = moment
        if not known:
            self._register()
        self._judge(float(silence), [name.decode() for name in dead])

    def _judge(self, silence: float, dead: list[str]) -> None:
        """Believe in the silence of others only after having been heard for a while: Redis may have been away."""
        if silence < 0 or silence > 2 * self._interval + 1:
            self._trusted_from = time.monotonic() + min(_GRACE, self._worker.dead_after / 2)
        if time.monotonic() >= self._trusted_from:
            self._dead.update(dead)

    def _register(self) -> None:
        """Write the worker's hash again: it had expired, or another worker took this one for dead."""
        worker = self._worker
        if worker.birth_date is None:
            return
        with self._redis.pipeline() as pipeline:
            pipeline.hset(worker.key, mapping=worker.serialize())
            pipeline.expire(worker.key, worker.worker_ttl + 60)
            worker_registration.register(worker, pipeline)
            pipeline.execute()


def _own_client(redis: "Redis") -> "Redis":
    pool = redis.connection_pool
    kwargs = {**pool.connection_kwargs, "socket_timeout": 5, "retry": Retry(NoBackoff(), 0)}
    return Redis(connection_pool=type(pool)(connection_class=pool.connection_class, **kwargs))
