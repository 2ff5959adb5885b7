"""The gate that every job's model call passes: a limit on calls at once over all workers, and a circuit breaker.

Both live in Redis, so that all processes of all machines share them. A call holds a lease that its process renews; the
leases of a process that dies run out after `LEASE_SECONDS`.
"""

import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread
from typing import Any, Literal
from urllib.parse import urlsplit
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from jobs.providers.errors import ProviderError

LEASE_SECONDS = 15.0
_BELL_SECONDS = 2  # of one blocking wait: it must be shorter than a connection's timeout, and than the gate's patience
_KEY = "offstage:calls:"
_SCRIPT = Path(__file__).parent / "lua" / "gate.lua"

Outcome = Literal["ok", "failed", "none"]
log = logging.getLogger(__name__)


class CircuitOpen(ProviderError):
    """The model's endpoint has failed again and again; it is left alone for a while."""

    code = "circuit_open"
    retryable = True


@dataclass(frozen=True)
class GateState:
    """How the gate stands. The `breaker` is `half_open` when one call may try; that is in `tries_in` seconds.

    `endpoint` is its host, empty without one; `failures` are those in a row.
    """

    limit: int
    running: int
    waiting: int
    endpoint: str
    breaker: Literal["closed", "open", "half_open"]
    failures: int
    tries_in: float


class Pass:
    """A call that was let in. Set `outcome` to what it says of the endpoint: `failed` counts against it."""

    def __init__(self, lease: str) -> None:
        self.lease = lease
        self.outcome: Outcome = "none"


class ModelGate:
    """Lets `limit` calls through at once, fair between tenants; none for `rest` seconds after `failures` in a row.

    Times are in seconds; `lease` is for how long a call counts whose process says nothing any more. Building one
    connects nothing. Safe among threads and after a fork.
    """

    def __init__(
        self, redis: Redis, endpoint: str, *, limit: int, failures: int, rest: float, lease: float = LEASE_SECONDS
    ) -> None:
        self._redis = redis
        self._host = urlsplit(endpoint).netloc.rpartition("@")[2]
        self._name = hashlib.sha256(endpoint.encode()).hexdigest()[:16]
        self._limit, self._failures, self._rest = limit, failures, rest
        self._script = redis.register_script(_SCRIPT.read_text(encoding="utf-8"))
        self._lease = lease
        self._renewer = _Renewer(self._renew, lease / 4)

    @contextmanager
    def enter(self, tenant: str, between: Callable[[], None] = lambda: None, *, owner: str = "") -> Iterator[Pass]:
        """Wait for a place and hold it while the block runs. `between` is called every two seconds of the wait, and
        ends it if it raises. The `owner`, a worker's name, is for `forget_calls`.

        Raises:
            CircuitOpen: the endpoint is not to be called now; `retry_after` says for how long.
        """
        granted = Pass(f"{tenant}/{owner}:{uuid4().hex}")
        try:
            self._await_turn(tenant, granted.lease, between)
            self._renewer.add(granted.lease)
            yield granted
        finally:
            self._renewer.remove(granted.lease)
            with suppress(RedisError):  # the lease runs out by itself
                self._call("leave", self._failures, granted.outcome, granted.lease)

    def state(self) -> GateState:
        """Return how the gate stands now."""
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.time()
            pipeline.zrange(f"{_KEY}running", 0, -1, withscores=True)
            pipeline.zrange(f"{_KEY}seen", 0, -1, withscores=True)
            pipeline.hmget(f"offstage:breaker:{self._name}", "failures", "opened")
            (seconds, micros), running, waiting, (failures, opened) = pipeline.execute()
        now = seconds + micros / 1e6
        left = max(0.0, float(opened) + self._rest - now) if opened else 0.0
        return GateState(
            limit=self._limit,
            running=sum(until > now for _, until in running),
            waiting=sum(until > now for _, until in waiting),
            endpoint=self._host,
            breaker="open" if left else "half_open" if opened else "closed",
            failures=int(failures or 0),
            tries_in=round(left, 1),
        )

    def _await_turn(self, tenant: str, lease: str, between: Callable[[], None]) -> None:
        while True:
            word, seconds = self._call("enter", tenant, lease)
            if word == b"closed":
                raise CircuitOpen(retry_after=float(seconds))
            if word == b"go":
                return
            between()
            self._redis.blpop([f"{_KEY}bell:{lease}"], _BELL_SECONDS)

    def _renew(self, leases: list[str]) -> None:
        self._call("renew", *leases)

    def _call(self, what: str, *args: Any) -> Any:
        return self._script(args=[what, self._limit, self._lease, self._rest, self._name, *args])


def forget_calls(redis: Redis, owner: str) -> None:
    """Give back the places of a worker whose process has been killed: its calls ended with it."""
    with redis.pipeline(transaction=False) as pipeline:
        for line in (f"{_KEY}running", f"{_KEY}waiting"):
            pipeline.zrange(line, 0, -1)
        leases = [lease for line in pipeline.execute() for lease in line if f"/{owner}:".encode() in lease]
        for lease in leases:
            for line in (f"{_KEY}running", f"{_KEY}waiting", f"{_KEY}seen"):
                pipeline.zrem(line, lease)
        pipeline.execute()


class _Renewer:
    """Renews this process's leases while there are any. A lease that was removed is renewed no more."""

    def __init__(self, renew: Callable[[list[str]], None], every: float) -> None:
        self._renew, self._every = renew, every
        self._forget()
        os.register_at_fork(after_in_child=self._forget)  # the parent's leases, its lock and its thread are not ours

    def _forget(self) -> None:
        self._leases: set[str] = set()
        self._lock, self._running = Lock(), False

    def add(self, lease: str) -> None:
        with self._lock:
            self._leases.add(lease)
            if not self._running:
                self._running = True
                Thread(target=self._run, daemon=True, name="model-leases").start()

    def remove(self, lease: str) -> None:
        with self._lock:
            self._leases.discard(lease)

    def _run(self) -> None:
        while self._keep():
            time.sleep(self._every)

    def _keep(self) -> bool:
        with self._lock:
            if not self._leases:
                self._running = False
                return False
            try:
                self._renew(sorted(self._leases))
            except RedisError as error:
                log.warning("leases of model calls are not renewed: %s", type(error).__name__)
            return True
