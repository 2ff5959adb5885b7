"""Web search by SearXNG's JSON API, or by any service of the same form."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from jobs.providers.errors import ProviderNonsense
from jobs.providers.http import Endpoint
from jobs.providers.parsers import tidy

MAX_QUERY_CHARS = 400
MAX_URL_CHARS = 2000
_MAX_TEXT_CHARS = 500
_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f\x7f\ud800-\udfff]+")


@dataclass(frozen=True)
class Found:
    """A page that was found, with what the search engine says of it."""

    url: str
    title: str
    snippet: str


class WebSearch(Protocol):
    """What every web search offers."""

    def search(self, query: str, *, limit: int = 10, language: str = "", within: float | None = None) -> list[Found]:
        """Return the best pages for a query, `within` seconds, if that is less than a search has. May raise a
        `ProviderError`."""


def build_web_search(url: str, *, key: str = "", timeout: float = 15.0) -> WebSearch | None:
    """Return the web search behind a base URL, or None without one. Connects nothing.

    `timeout` is for a whole search, in seconds.
    """
    return SearxSearch(Endpoint(url, key=key, timeout=timeout, default_path="")) if url else None


class SearxSearch:
    """Any service that answers `GET /search?q=...&format=json` as SearXNG does."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def search(self, query: str, *, limit: int = 10, language: str = "", within: float | None = None) -> list[Found]:
        """Return the best pages for a query, each address once; `language` is a code such as `zh`, empty for any.

        Raises:
            ProviderError: the service failed, was too slow, or does not answer in that form.
        """
        asked = {"q": query[:MAX_QUERY_CHARS], "format": "json"} | ({"language": language} if language else {})
        answer = self._endpoint.get("search", asked, within)
        results = answer.get("results") if isinstance(answer, dict) else None
        if not isinstance(results, list):
            raise ProviderNonsense("The search's answer holds no results.")
        found: dict[str, Found] = {}
        for page in _pages(results):
            found.setdefault(page.url, page)
        return list(found.values())[:limit]


def _pages(results: Iterable[Any]) -> Iterable[Found]:
    for result in results:
        url = result.get("url") if isinstance(result, dict) else None
        if isinstance(url, str) and is_address(url):
            yield Found(url, _text(result.get("title")), _text(result.get("content")))


def is_address(url: str) -> bool:
    """Say whether an address of a page can be used, and named in a report."""
    if len(url) > MAX_URL_CHARS or not _ADDRESS.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:  # not a port, not an address
        return False


def _text(value: Any) -> str:
    return " ".join(tidy(value).split())[:_MAX_TEXT_CHARS] if isinstance(value, str) else ""
