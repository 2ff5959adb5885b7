"""Parsers: a file's text, page by page. One module a format; none knows of databases or jobs.

Run them on foreign files in a process with limits on memory, CPU and time: what a parser refuses by itself is only
what it has learnt to see.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

from jobs.domain.documents import DOCX, HTML, PDF, NoText, Page

# Fonts share one glyph between a character and a radical of the same shape, and PDF writers then name the radical.
# Kangxi radicals and Latin ligatures decompose; the radicals of the supplement need a table: those that are characters
# of their own. https://www.unicode.org/Public/UCD/latest/ucd/EquivalentUnifiedIdeograph.txt
_DECOMPOSED = {code: normalize("NFKC", chr(code)) for code in (*range(0x2F00, 0x2FD6), *range(0xFB00, 0xFB07))}
_SUPPLEMENT = dict(
    zip(
        map(ord, "⺁⺠⻁⻄⻅⻆⻉⻋⻑⻓⻔⻗⻘⻙⻚⻛⻜⻝⻢⻣⻤⻥⻦⻧⻨⻩⻬⻮⻰⻳"),
        "厂民虎西见角贝车長长门雨青韦页风飞食马骨鬼鱼鸟卤麦黄齐齿龙龟",
        strict=True,
    )
)
# PostgreSQL stores no NUL, UTF-8 no lone surrogate; the rest are marks of a parser's own.
_UNSTORABLE = (*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_REPLACED = {**dict.fromkeys(_UNSTORABLE, ""), **_DECOMPOSED, **_SUPPLEMENT}
_ODD = re.compile(f"[{''.join(map(re.escape, map(chr, _REPLACED)))}]")


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
    return _ODD.sub(lambda match: _REPLACED[ord(match[0])], text)


def _pages(path: Path, media_type: str, pdf_engine: str, max_pages: int) -> Iterator[Page]:
    from jobs.providers.parsers import docx, html, pdf, text

    if media_type == PDF:
        return pdf.ENGINES[pdf_engine](path, max_pages)
    if media_type == DOCX:
        return text.paginate(docx.read(path))
    if media_type == HTML:
        return text.paginate(html.read(path))
    return text.paginate(text.read(path))
