"""Parsers: a file's text, page by page. One module a format; none knows of databases or jobs.

Run them on foreign files in a process with limits on memory, CPU and time: what a parser refuses by itself is only
what it has learnt to see.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from jobs.domain.documents import DOCX, HTML, PDF, NoText, Page

# Kangxi radicals and Latin ligatures that PDF fonts map to in place of the character that a person types and searches.
_PRESENTATION = "\u2f00-\u2fd5\ufb00-\ufb06"
# PostgreSQL stores no NUL, UTF-8 no lone surrogate; the rest are marks of a parser's own.
_UNSTORABLE = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff"
_ODD = re.compile(f"[{_PRESENTATION}{_UNSTORABLE}]")


def parse(path: Path, media_type: str, *, pdf_engine: str = "pypdf", max_pages: int = 5000) -> Iterator[Page]:
    """Yield the pages of a file, as each is read; those without text too.

    `media_type` is one of `jobs.domain.documents`, as `sniff.sniff` tells it. `pdf_engine` is `pypdf` or `pdfium`.
    Formats without pages are cut into pages of some 4,000 characters at line ends.

    Raises:
        UnreadableDocument: the file cannot be read; also after pages have been yielded.
    """
    has_text = False
    for page in _pages(path, media_type, pdf_engine, max_pages):
        text = tidy(page.text)
        has_text = has_text or bool(text.strip())
        yield Page(page.number, page.total, text)
    if not has_text:
        raise NoText


def tidy(text: str) -> str:
    """Return text that can be stored and searched: no control characters, no look-alike code points."""
    return _ODD.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    import unicodedata

    character = match[0]
    return unicodedata.normalize("NFKC", character) if re.match(f"[{_PRESENTATION}]", character) else ""


def _pages(path: Path, media_type: str, pdf_engine: str, max_pages: int) -> Iterator[Page]:
    from jobs.providers.parsers import docx, html, pdf, text

    if media_type == PDF:
        return pdf.ENGINES[pdf_engine](path, max_pages)
    if media_type == DOCX:
        return text.paginate(docx.read(path))
    if media_type == HTML:
        return text.paginate(html.read(path))
    return text.paginate(text.read(path))
