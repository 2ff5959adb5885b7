"""The network side of `http`: streams that stop at the deadline of the call that reads them."""

import math
import ssl
import time
from collections.abc import Iterable
from typing import Any

import httpcore2
import httpx2

from jobs.providers.http import deadline

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


def open_client(*, tls: bool, connect_seconds: float, seconds: float) -> httpx2.Client:
    """Return a client whose calls end at their deadline. It follows no redirects and uses no proxy."""
    # Loading the certificates takes 0.2 s: not for a model on this machine.
    context = httpx2.create_ssl_context(trust_env=False) if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    timeout = httpx2.Timeout(seconds, connect=min(connect_seconds, seconds))
    return httpx2.Client(transport=DeadlineTransport(context, DeadlineBackend()), timeout=timeout, trust_env=False)


class DeadlineTransport(httpx2.HTTPTransport):
    """HTTP over connections that `backend` makes; idle ones are kept for `keep_seconds`."""

    def __init__(
        self, context: ssl.SSLContext, backend: httpcore2.NetworkBackend, *, keep_seconds: float = 30.0
    ) -> None:
        super().__init__(verify=context, trust_env=False)
        self._pool = httpcore2.ConnectionPool(
            ssl_context=context,
            max_connections=None,  # how many calls there may be at once is decided elsewhere
            max_keepalive_connections=20,
            keepalive_expiry=keep_seconds,
            network_backend=backend,
        )


class DeadlineBackend(httpcore2.SyncBackend):
    """Connections whose every read and write ends at the call's deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect by TCP, in what is left until the deadline."""
        left = seconds_left(timeout, math.inf, httpcore2.ConnectTimeout)
        return _DeadlineStream(super().connect_tcp(host, port, left, local_address, socket_options))


class _DeadlineStream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self.deadline = math.inf

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, seconds_left(timeout, self.deadline, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, seconds_left(timeout, self.deadline, httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        left = seconds_left(timeout, self.deadline, httpcore2.ConnectTimeout)
        return _DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def seconds_left(timeout: float | None, end: float, error: type[Exception]) -> float:
    """Return how long one piece may take: `timeout`, or less if the call's deadline, else `end`, comes first."""
    left = (deadline.get() or end) - time.monotonic()
    if left <= 0:
        raise error("the call's deadline has passed")
    return left if timeout is None else min(left, timeout)
