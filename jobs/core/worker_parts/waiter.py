"""Wait for work without taking it."""

import select

from redis import Redis
from redis.connection import ConnectionInterface
from redis.exceptions import ConnectionError as RedisConnectionError


class QueueWaiter:
    """Blocks until one of several lists has an entry.

    `BLMOVE q q LEFT LEFT` blocks while `q` is empty and otherwise changes nothing. Each list has a connection of its
    own, since a blocked connection can do nothing else.
    """

    def __init__(self, redis: "Redis", keys: list[str], wake: int) -> None:
        self._pool = redis.connection_pool
        self._keys = keys
        self._wake = wake
        self._connections: dict[str, ConnectionInterface] = {}
        self._blocked: set[str] = set()

    def wait(self, seconds: int) -> None:
        """Return when a list may have an entry, the wake-up descriptor is readable, or time is up.

        Raises:
            redis.exceptions.ConnectionError: Redis is away.
        """
        try:
            for key in self._keys:
                self._block_on(key, seconds)
            sockets = {self._connections[key]._sock: key for key in self._keys}  # type: ignore[attr-defined]
            ready, _, _ = select.select([*sockets, self._wake], [], [], seconds + 5)
            if not ready:
                raise RedisConnectionError("no answer from Redis")
            for sock in ready:
                if sock != self._wake:
                    self._blocked.discard(sockets[sock])
                    self._connections[sockets[sock]].read_response()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connections."""
        for connection in self._connections.values():
            connection.disconnect()
        self._connections.clear()
        self._blocked.clear()

    def _block_on(self, key: str, seconds: int) -> None:
        if key in self._blocked:
            return
        if key not in self._connections:
            self._connections[key] = self._pool.connection_class(**self._pool.connection_kwargs)
            self._connections[key].connect()
        self._connections[key].send_command("BLMOVE", key, key, "LEFT", "LEFT", seconds)
        self._blocked.add(key)
