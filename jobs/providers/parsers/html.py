"""HTML: what a reader of the page sees, as text.

libxml2 does the parsing, the lines below the layout. Ready-made converters were tried: html-text and selectolax put a
space or a line between inline elements, which cuts Chinese words; inscriptis brings an HTTP client.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from jobs.domain.documents import Corrupt, UnreadableDocument
from jobs.providers.parsers.text import detect_encoding

_CHUNK_CHARS = 64 * 1024
_MOST_OPEN = 1000  # elements: at each end tag libxml2 may look through all that are open, and pages need some fifty
_META_WITHIN = 4096
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{2,40})", re.IGNORECASE)
# Labels that mean more than they say: https://encoding.spec.whatwg.org/#names-and-labels
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252"}
# Those of the same list, by their Python names: other codecs read escapes, or fail in ways of their own.
_OF_THE_WEB = {
    "ascii", "big5", "big5hkscs", "cp866", "cp874", "cp932", "cp949", "euc_jp", "euc_kr", "gb18030", "gb2312", "gbk",
    "iso2022_jp", "koi8-r", "koi8-u", "mac-cyrillic", "mac-roman", "shift_jis", "utf-16", "utf-16-be", "utf-16-le",
    "utf-8", *(f"cp{page}" for page in range(1250, 1259)), *(f"iso8859-{part}" for part in range(1, 17)),
}  # fmt: skip
_UNSEEN = {"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "select"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "body", "br", "caption", "dd", "details", "dialog", "div", "dl",
    "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hr", "li", "main", "nav", "ol", "option",
    "pre", "section", "summary", "table", "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_APART = {"title", "h1", "h2", "h3", "h4", "h5", "h6", "p"}  # an empty line around them
_CELLS = {"td", "th"}
_SPACES = re.compile(r"[ \t\r\n\f]+")  # not the ideographic space, which is text


def read(path: Path) -> Iterator[str]:
    """Yield the text of an HTML file: a line for each block, the cells of a table row side by side.

    Raises:
        Corrupt: nothing in it is HTML.
        UnreadableDocument: it is nested too deeply.
        UnknownEncoding
    """
    from lxml import etree

    layout = _Layout()
    # huge_tree: without it what is nested deeper than 256 elements is dropped without a word
    parser = etree.HTMLParser(target=layout, encoding="utf-8", huge_tree=True)
    try:
        with path.open(encoding=_encoding(path), errors="replace") as file:
            while piece := file.read(_CHUNK_CHARS):
                parser.feed(piece.encode("utf-8", "replace"))
                yield layout.take()
        parser.close()
    except etree.LxmlError:
        raise Corrupt from None
    yield layout.take()


class _Layout:
    """Turns the parser's events into lines. Never builds a tree: its depth and size are the file's to choose."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._open = 0
        self._unseen = 0  # depth in elements that are not shown
        self._preformatted = 0
        self._breaks = 0  # line ends owed before the next text
        self._space = False  # a space owed before the next text
        self._started = False

    def start(self, tag: str, _attributes: object) -> None:
        self._open += 1
        if self._open > _MOST_OPEN:
            raise UnreadableDocument("The document is nested too deeply.")
        self._unseen += tag in _UNSEEN
        self._preformatted += tag == "pre"
        self._bound(tag)

    def end(self, tag: str) -> None:
        self._open -= 1
        self._unseen -= tag in _UNSEEN
        self._preformatted -= tag == "pre"
        self._bound(tag)

    def data(self, data: str) -> None:
        if self._unseen:
            return
        if self._preformatted:
            self._add(data)
            return
        text = _SPACES.sub(" ", data)
        self._space = self._space or text.startswith(" ")
        if text != " ":
            self._add(text.strip(" "))
            self._space = text.endswith(" ")

    def close(self) -> None:
        """Called by the parser at the end."""

    def take(self) -> str:
        """Return the text since the last call."""
        text, self._text = "".join(self._text), []
        return text

    def _bound(self, tag: str) -> None:
        if tag in _APART:
            self._breaks = 2
        elif tag in _BLOCKS:
            self._breaks = max(self._breaks, 1)
        elif tag in _CELLS:
            self._space = True

    def _add(self, text: str) -> None:
        if not text:
            return
        if self._breaks:
            self._text.append("\n" * self._breaks if self._started else "")
        elif self._space and self._started:
            self._text.append(" ")
        self._text.append(text)
        self._breaks, self._space, self._started = 0, False, True


def _encoding(path: Path) -> str:
    """Return the encoding by byte order mark, by declaration if the file keeps to it, or by its bytes."""
    with path.open("rb") as file:
        head = file.read(_CHUNK_CHARS)
    detected = detect_encoding(head)
    if detected.startswith("utf"):
        return detected
    declared = _META_CHARSET.search(head[:_META_WITHIN])
    return known_encoding(declared[1].decode("ascii")) or detected if declared else detected


def known_encoding(label: str) -> str | None:
    """Return the Python name of a declared character encoding, or None."""
    import codecs

    try:
        name = codecs.lookup(_WIDER.get(label.lower(), label)).name
    except (LookupError, ValueError):
        return None
    return name if name in _OF_THE_WEB else None
