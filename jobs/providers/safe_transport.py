"""The network side of `safe_http`: connections to checked addresses only."""

import math
import ssl
from collections.abc import Callable, Iterable
from functools import cache

import httpcore2
import httpx2

from jobs.providers.transport import DeadlineBackend, DeadlineTransport, SocketOption, seconds_left

Addresses = Callable[[str, int], list[str]]
CONNECT_SECONDS = 5.0  # for one address


def open_safe_client(addresses: Addresses, *, tls: bool, seconds: float) -> httpx2.Client:
    """Return a client that connects where `addresses` says. It follows no redirects and uses no proxy."""
    context = _tls_context() if tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    transport = DeadlineTransport(context, _CheckedBackend(addresses), keep_seconds=0.0)
    timeout = httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
    return httpx2.Client(transport=transport, timeout=timeout, trust_env=False, follow_redirects=False)


class _CheckedBackend(DeadlineBackend):
    """Resolves and checks a host, and connects to an address that passed. TLS still checks the host's name."""

    def __init__(self, addresses: Addresses) -> None:
        super().__init__()
        self._addresses = addresses

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first of the host's addresses that answers."""
        failure: Exception = httpcore2.ConnectError("the host has no address")
        for address in self._addresses(host, port):
            seconds_left(timeout, math.inf, httpcore2.ConnectTimeout)
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[SocketOption] | None = None
    ) -> httpcore2.NetworkStream:
        """Refuse: no URL of a stranger's leads to a socket of this machine."""
        raise httpcore2.ConnectError("not over Unix sockets")


@cache
def _tls_context() -> ssl.SSLContext:
    """Return the certificates to trust. Loading them takes 0.2 s, so once in a process."""
    return httpx2.create_ssl_context(trust_env=False)
