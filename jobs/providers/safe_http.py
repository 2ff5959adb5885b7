"""HTTP requests to addresses that strangers name: to the public Internet only, and for a bounded time.

A name is resolved here, every address of it is checked, and the connection goes to the address that was checked: a
name that changes its address between check and connection (DNS rebinding) gains nothing.
"""

import logging
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING

from jobs.domain.addresses import is_public
from jobs.providers.errors import (
    ProviderError,
    ProviderNonsense,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from jobs.providers.http import deadline, retry_after
from jobs.providers.safe_body import ACCEPTED_ENCODING, Fetched, fetched

if TYPE_CHECKING:
    import httpx2

MAX_URL_CHARS = 2000
MAX_ANSWER_BYTES = 64 * 1024  # read and thrown away; more is not read
MAX_REDIRECTS = 5
RESOLVE_SECONDS = 5.0
PORTS = frozenset({80, 443, 8080, 8443})  # on public addresses: no mail, no databases
_SCHEMES = {"http": 80, "https": 443}
_REDIRECTS = (301, 302, 303, 307, 308)

Resolve = Callable[[str, int], list[str]]
Permit = Callable[[str], None]  # raises for a URL that is not to be called

logging.getLogger("httpx2").setLevel(logging.WARNING)  # at INFO it writes whole URLs, and those hold secrets


class UrlNotAllowed(ProviderError):
    """This URL leads to an address that may not be called from here."""

    code = "url_not_allowed"


class NameUnknown(ProviderUnavailable):
    """The host's name cannot be resolved."""


@dataclass(frozen=True)
class Answer:
    """What came back. `retry_after` is the wait in seconds that the other side asked for."""

    status: int
    retry_after: float | None


def look_up(host: str, port: int) -> list[str]:
    """Return a name's addresses, as the system resolves it, in the order to try them.

    Raises:
        NameUnknown: it has none, or the resolver does not answer in time.
    """
    found: list[str] = []

    def ask() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.extend(str(entry[4][0]) for entry in entries)

    asking = Thread(target=ask, daemon=True, name="resolve")  # getaddrinfo knows no timeout
    asking.start()
    asking.join(RESOLVE_SECONDS)
    if not found:
        raise NameUnknown
    return list(dict.fromkeys(found))


class SafeClient:
    """Calls URLs of strangers. Uses no proxy, sends no cookies, keeps no connections.

    `timeout` bounds a whole call, in seconds. `allow_private` lifts the rules on addresses and ports, for tests and
    private networks. Safe among threads and after a fork.
    """

    def __init__(self, *, timeout: float, allow_private: bool = False, resolve: Resolve = look_up) -> None:
        self._timeout = timeout
        self._allow_private = allow_private
        self._resolve = resolve

    def check(self, url: str) -> str:
        """Return the host of a URL that may be called, as `name` or `name:port`. Nothing is connected.

        Raises:
            UrlNotAllowed: by its form, its port, or one of its addresses.
            NameUnknown: its host cannot be resolved.
        """
        parsed = _parse(url)
        self.addresses(parsed.host, _port(parsed))
        return parsed.netloc.decode("ascii")

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host, all of which may be called at this port.

        Raises:
            UrlNotAllowed: one of them, or the port, may not be called.
            NameUnknown: the host cannot be resolved.
        """
        if self._allow_private:
            return self._resolve(host, port)
        if port not in PORTS:
            raise UrlNotAllowed(f"The port must be one of {', '.join(map(str, sorted(PORTS)))}.")
        addresses = self._resolve(host, port)
        if not all(map(is_public, addresses)):
            raise UrlNotAllowed("The host has an address that is not public.")
        return addresses

    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        """Post a body and return the answer's status, whatever it is; a redirect is not followed.

        Raises:
            UrlNotAllowed: the URL may not be called, perhaps since a short while; nothing was connected.
            ProviderError: the host could not be reached, or did not answer in time.
        """
        parsed = _parse(url)
        _port(parsed)
        with _spoken_plainly(self._timeout):
            return self._post(parsed, content, headers)

    def get(
        self,
        url: str,
        headers: Mapping[str, str],
        *,
        max_bytes: int,
        media_types: frozenset[str] = frozenset(),
        permit: Permit | None = None,
        within: float | None = None,
    ) -> Fetched:
        """Get a page, whatever its status, over up to 5 redirects, each of which is checked as the URL itself.

        `permit` is asked before each of these URLs is called. No more than `max_bytes` are read or unpacked, and
        nothing of what is none of the `media_types`, if any are given. It may take the time of a call, or `within`
        seconds, if that is less.

        Raises:
            UrlNotAllowed: the URL, or one that it leads to, may not be called.
            ProviderError: a host could not be reached, did not answer in time, or redirects too often.
        """
        seconds = self._timeout if within is None else min(self._timeout, within)
        end = time.monotonic() + seconds
        for _ in range(MAX_REDIRECTS + 1):
            parsed = _parse(url)
            _port(parsed)
            if permit:
                permit(str(parsed))
            with (
                _spoken_plainly(seconds),
                self._answer("GET", parsed, end, {**headers, "Accept-Encoding": ACCEPTED_ENCODING}) as response,
            ):
                if not _is_redirect(response):
                    return fetched(response, max_bytes, media_types)
                url = str(parsed.join(response.headers["Location"]))
        raise ProviderRefused(f"The page leads over more than {MAX_REDIRECTS} redirects.")

    def _post(self, url: "httpx2.URL", content: bytes, headers: Mapping[str, str]) -> Answer:
        with self._answer("POST", url, time.monotonic() + self._timeout, headers, content) as response:
            _drain(response)
            return Answer(response.status_code, retry_after(response.headers.get("Retry-After", "")))

    @contextmanager
    def _answer(
        self, method: str, url: "httpx2.URL", end: float, headers: Mapping[str, str], content: bytes | None = None
    ) -> Iterator["httpx2.Response"]:
        from jobs.providers.safe_transport import open_safe_client

        token = deadline.set(end)
        try:
            with (
                open_safe_client(self.addresses, tls=url.scheme == "https", seconds=self._timeout) as client,
                client.stream(method, url, content=content, headers=dict(headers)) as response,
            ):
                yield response
        finally:
            deadline.reset(token)


def _parse(url: str) -> "httpx2.URL":
    import httpx2

    if len(url) > MAX_URL_CHARS:
        raise UrlNotAllowed(f"The URL may have {MAX_URL_CHARS} characters at most.")
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, UnicodeError, ValueError):
        raise UrlNotAllowed("This is not a URL.") from None
    if parsed.scheme not in _SCHEMES or not parsed.host:
        raise UrlNotAllowed("The URL must begin with https:// or http:// and name a host.")
    if parsed.userinfo:
        raise UrlNotAllowed("The URL may not hold a name or a password.")
    return parsed


def _port(url: "httpx2.URL") -> int:
    port = url.port if url.port is not None else _SCHEMES[url.scheme]
    if not 0 < port < 65536:
        raise UrlNotAllowed("The port is not one.")
    return port


def _is_redirect(response: "httpx2.Response") -> bool:
    return response.status_code in _REDIRECTS and "Location" in response.headers


def _drain(response: "httpx2.Response") -> None:
    """Read a short answer, so that the other side sees its request through; leave a long one."""
    total = 0
    for piece in response.iter_raw():
        total += len(piece)
        if total > MAX_ANSWER_BYTES:
            return


@contextmanager
def _spoken_plainly(seconds: float) -> Iterator[None]:
    """Turn the HTTP library's errors into ours, whose texts name neither host nor URL."""
    import httpx2

    try:
        yield
    except httpx2.TimeoutException as error:
        raise ProviderTimeout(f"The host did not answer within {seconds:.3g} s.") from error
    except httpx2.RemoteProtocolError as error:
        raise ProviderNonsense("The host does not speak HTTP.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ProviderUnavailable("The host could not be reached.") from error
