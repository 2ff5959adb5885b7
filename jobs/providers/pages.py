"""Pages of the web as text. Parse them in a process with limits: they are strangers' files."""

import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.domain.documents import HTML, PDF, TEXT, Corrupt, Page, UnreadableDocument
from jobs.providers.errors import ProviderBusy, ProviderRefused, ProviderUnavailable
from jobs.providers.parsers import parse
from jobs.providers.parsers.html import known_encoding

if TYPE_CHECKING:
    from jobs.providers.robots import Robots
    from jobs.providers.safe_body import Fetched
    from jobs.providers.safe_http import SafeClient

MAX_PAGES = 100
MAX_TITLE_CHARS = 200
MAX_SECONDS = 30.0  # of parsing: other pages of the same search are read beside it
_READABLE = {TEXT: TEXT, HTML: HTML, PDF: PDF, "application/xhtml+xml": HTML, "text/markdown": TEXT}
_ACCEPT = "text/html, application/xhtml+xml, application/pdf;q=0.9, text/plain;q=0.8"


@dataclass(frozen=True)
class WebPage:
    """A page as text; only a PDF has more than one part, its own pages. `url` is where it was found in the end."""

    url: str
    title: str
    media_type: str
    pages: Sequence[Page]


class PageReader:
    """Reads pages that `robots` allows, as `agent`, and no more than `max_bytes` of each."""

    def __init__(self, client: "SafeClient", robots: "Robots", *, agent: str, max_bytes: int) -> None:
        self._client = client
        self._robots = robots
        self._headers = {"User-Agent": agent, "Accept": _ACCEPT}
        self._max_bytes = max_bytes

    def read(self, url: str, within: float | None = None) -> WebPage:
        """Return a page's text. It is fetched in the time that each page has, or `within` seconds, if that is less.

        Raises:
            UrlNotAllowed, RobotsRefused: it is not to be read.
            ProviderError: it could not be had, or is none of HTML, text and PDF.
            UnreadableDocument: it holds no text that could be made out.
        """
        found = self._client.get(
            url,
            self._headers,
            max_bytes=self._max_bytes,
            media_types=frozenset(_READABLE),
            permit=self._robots.check,
            within=within,
        )
        _check(found)
        media_type = _READABLE[found.media_type]
        pages = _parse(found, media_type)
        return WebPage(found.url, _title(pages) if media_type == HTML else "", media_type, pages)


def _check(found: "Fetched") -> None:
    if found.status == 429:
        raise ProviderBusy("The page's host asks to be called less often.")
    if found.status >= 500:
        raise ProviderUnavailable(f"The page's host answered {found.status}.")
    if found.status != 200:
        raise ProviderRefused(f"The page's host answered {found.status}.")
    if found.media_type not in _READABLE:
        raise ProviderRefused("The page is none of HTML, text and PDF.")
    if found.cut and found.media_type == PDF:
        raise ProviderRefused("The PDF is longer than this service reads of a page.")


def _parse(found: "Fetched", media_type: str) -> list[Page]:
    with tempfile.NamedTemporaryFile(prefix="offstage-page-") as file:
        file.write(found.content if media_type == PDF else _as_utf8(found))
        file.flush()
        try:
            return list(_in_time(islice(parse(Path(file.name), media_type), MAX_PAGES)))
        except ValueError as error:  # of a codec, or of a parser's own
            raise Corrupt from error


def _in_time(pages: Iterable[Page]) -> Iterator[Page]:
    until = time.monotonic() + MAX_SECONDS
    for page in pages:
        yield page
        if time.monotonic() > until:
            raise UnreadableDocument("The page takes too long to read.")


def _as_utf8(found: "Fetched") -> bytes:
    """Return a text as the header says that it is encoded, in UTF-8; as it came, if that says nothing."""
    encoding = known_encoding(found.charset) if found.charset else None
    return found.content.decode(encoding, "replace").encode() if encoding else found.content


def _title(pages: Sequence[Page]) -> str:
    """Return the first line of an HTML page's text, which is its title where it has one."""
    lines = (line.strip() for page in pages for line in page.text.splitlines())
    return re.sub(r"\s+", " ", next(filter(None, lines), ""))[:MAX_TITLE_CHARS]
