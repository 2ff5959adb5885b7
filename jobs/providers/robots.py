"""robots.txt: what a host asks of programs that read its pages (RFC 9309)."""

import hashlib
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from jobs.providers.errors import ProviderError, ProviderRefused
from jobs.providers.safe_http import UrlNotAllowed

if TYPE_CHECKING:
    from jobs.providers.safe_http import SafeClient

MAX_BYTES = 500 * 1024  # as the RFC has it
KEPT_SECONDS = 24 * 3600
UNREACHABLE_SECONDS = 600  # that nothing is read from a host whose rules cannot be had
_NOTHING = "User-agent: *\nDisallow: /"


class RobotsRefused(ProviderRefused):
    """The page's host asks programs not to read it (robots.txt)."""

    code = "robots_refused"


class Cache(Protocol):
    """What a Redis client offers of it."""

    def get(self, name: str) -> Any:
        """Return a value as bytes, or None."""

    def set(self, name: str, value: str, *, ex: int) -> Any:
        """Keep a value for `ex` seconds."""


class Robots:
    """Asks each host once a day what `agent` may read; the answer is shared through `cache`."""

    def __init__(self, client: "SafeClient", cache: Cache, agent: str) -> None:
        self._client = client
        self._cache = cache
        self._agent = agent

    def check(self, url: str) -> None:
        """Return if a page may be read.

        Raises:
            RobotsRefused: its host says no, or does not say what it wants.
            UrlNotAllowed: its host is not to be called.
        """
        from protego import Protego

        parts = urlsplit(url)
        if not Protego.parse(self._rules(f"{parts.scheme}://{parts.netloc}")).can_fetch(url, self._agent):
            raise RobotsRefused

    def _rules(self, origin: str) -> str:
        key = f"offstage:robots:{hashlib.sha256(origin.encode()).hexdigest()}"
        known: bytes | None = self._cache.get(key)
        if known is not None:
            return known.decode()
        rules, seconds = self._ask(origin)
        self._cache.set(key, rules, ex=seconds)
        return rules

    def _ask(self, origin: str) -> tuple[str, int]:
        """Return a host's rules, and for how many seconds they hold. Who has none (4xx) allows everything."""
        try:
            found = self._client.get(f"{origin}/robots.txt", {"User-Agent": self._agent}, max_bytes=MAX_BYTES)
        except UrlNotAllowed:
            raise
        except ProviderError:
            return _NOTHING, UNREACHABLE_SECONDS
        if found.status >= 500 or found.status == 429:
            return _NOTHING, UNREACHABLE_SECONDS
        return (found.content.decode("utf-8-sig", "replace") if found.status < 300 else ""), KEPT_SECONDS
