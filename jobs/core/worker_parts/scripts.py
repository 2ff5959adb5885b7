"""The worker's Lua scripts, and a connection that calls them with as little Python as can be."""

import re
from collections.abc import Callable
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis import Redis
from redis.connection import ConnectionInterface
from redis.exceptions import NoScriptError

_pack_command: Callable[[tuple[Any, ...]], bytes] | None
try:
    from hiredis import pack_command as _pack_command
except ImportError:  # redis-py has its own, slower
    _pack_command = None

_FOLDER = Path(__file__).parent.parent / "lua"
_INCLUDE = re.compile(r"^--@include (\S+)$", re.MULTILINE)


@cache
def source(name: str) -> str:
    """Return a script's text with its includes in place, and theirs."""
    text = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
    return _INCLUDE.sub(lambda match: source(match[1].removesuffix(".lua")), text)


@cache
def digest(name: str) -> str:
    """Return the name by which Redis knows a script."""
    return sha1(source(name).encode()).hexdigest()  # noqa: S324 - Redis names scripts by SHA-1


def call(redis: "Redis", name: str, keys: list[str], args: list[Any]) -> Any:
    """Run a script on any client."""
    try:
        return redis.evalsha(digest(name), len(keys), *keys, *args)
    except NoScriptError:
        return redis.eval(source(name), len(keys), *keys, *args)


def _pack(connection: ConnectionInterface, command: tuple[Any, ...]) -> Any:
    return [_pack_command(command)] if _pack_command else connection.pack_command(*command)


class Link:
    """One connection of one thread's own, for scripts. Errors of Redis and of the network are the caller's."""

    def __init__(self, redis: "Redis") -> None:
        self._pool = redis.connection_pool
        self._connection: ConnectionInterface | None = None

    def call(self, name: str, keys: list[str], args: list[Any]) -> Any:
        """Run a script."""
        try:
            return self._send("EVALSHA", digest(name), len(keys), *keys, *args)
        except NoScriptError:
            return self._send("EVAL", source(name), len(keys), *keys, *args)

    def close(self) -> None:
        """Let go of the connection; the next call makes another."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _send(self, *command: Any) -> Any:
        connection = self._connection
        if connection is None:
            connection = self._pool.connection_class(**self._pool.connection_kwargs)
            connection.connect()
            self._connection = connection
        connection.send_packed_command(_pack(connection, command), check_health=False)
        return connection.read_response()
