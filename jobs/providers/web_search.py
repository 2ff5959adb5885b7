"""Web search by SearXNG's JSON API, or by any service of the same form."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from jobs.providers.errors import ProviderNonsense
from jobs.providers.http import Endpoint

MAX_QUERY_CHARS = 400
_MAX_TEXT_CHARS = 500


@dataclass(frozen=True)
class Found:
    """A page that was found, with what the search engine says of it."""

    url: str
    title: str
    snippet: str


class WebSearch(Protocol):
    """What every web search offers."""

    def search(self, query: str, *, limit: int = 10, language: str = "") -> list[Found]:
        """Return the best pages for a query. May raise a `ProviderError`."""


def build_web_search(url: str, *, key: str = "", timeout: float = 15.0) -> WebSearch | None:
    """Return the web search behind a base URL, or None without one. Connects nothing.

    `timeout` is for a whole search, in seconds.
    """
    return SearxSearch(Endpoint(url, key=key, timeout=timeout, default_path="")) if url else None


class SearxSearch:
    """Any service that answers `GET /search?q=...&format=json` as SearXNG does."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def search(self, query: str, *, limit: int = 10, language: str = "") -> list[Found]:
        """Return the best pages for a query, each address once; `language` is a code such as `zh`, empty for any.

        Raises:
            ProviderError: the service failed, was too slow, or does not answer in that form.
        """
        asked = {"q": query[:MAX_QUERY_CHARS], "format": "json"} | ({"language": language} if language else {})
        answer = self._endpoint.get("search", asked)
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
        if isinstance(url, str) and url.startswith(("http://", "https://")):
            yield Found(url, _text(result.get("title")), _text(result.get("content")))


def _text(value: Any) -> str:
    return " ".join(value.split())[:_MAX_TEXT_CHARS] if isinstance(value, str) else ""
