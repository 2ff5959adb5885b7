"""Word documents (docx): the text of the body with its tables, in order.

A docx is a ZIP of XML. `inspect` looks at the package before anything parses it, and believes no declared size.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.domain.documents import Corrupt, DocxBomb

if TYPE_CHECKING:
    from lxml.etree import _Element

MAX_UNPACKED_BYTES = 50 * 2**20
MAX_RATIO = 100
MAX_MEMBERS = 2_000
_MAX_DIRECTORY_BYTES = 2**20
_CHUNK_BYTES = 256 * 1024
_OVERLAP_BYTES = 64  # longer than any declaration that is looked for
_MAIN_PART = "word/document.xml"
_CONTENT_TYPES = "[Content_Types].xml"
_DEFINES = re.compile(rb"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
# In any other encoding such a declaration could hide from the line above.
_ENCODING = re.compile(rb"encoding\s*+=\s*+[\"']([^\"']*+)")
_PLAIN = {b"utf-8", b"utf8", b"utf-16", b"utf16", b"us-ascii", b"ascii", b"iso-8859-1"}
_BYTE_ORDER_MARKS = b"\xef\xbb\xbf\xff\xfe"
_EBCDIC = b"\x4c\x6f\xa7\x94"  # `<?xm` in it, by which parsers know it
_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # the same text again
_MARKS = {f"{_W}tab": "\t", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


def is_docx(path: Path) -> bool:
    """Say whether a ZIP file holds a Word document.

    Raises:
        DocxBomb: its directory is larger than that of any document.
    """
    try:
        with _package(path) as package:
            names = package.namelist()
    except Corrupt:
        return False
    return _MAIN_PART in names and _CONTENT_TYPES in names


def inspect(path: Path) -> None:
    """Refuse a package that is too large once unpacked, by counting what it really unpacks to, or declares entities.

    Raises:
        DocxBomb, Corrupt
    """
    budget = min(MAX_UNPACKED_BYTES, MAX_RATIO * path.stat().st_size)
    try:
        with _package(path) as package:
            for member in package.infolist():
                budget -= _unpacked_size(package, member, budget)
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, OSError, ValueError):
        raise Corrupt from None


def read(path: Path) -> Iterator[str]:
    """Yield the text of a Word document in pieces: a line for each paragraph and table row, form feeds between pages.

    Pages are those that Word last laid out; without such marks, those between page breaks set by hand.

    Raises:
        DocxBomb, Corrupt
    """
    inspect(path)
    from docx import Document
    from docx.opc.exceptions import OpcError
    from lxml import etree

    try:
        body = Document(str(path)).element.body
    except (OpcError, etree.LxmlError, KeyError, ValueError, AttributeError, TypeError):
        raise Corrupt from None
    if body is None:
        raise Corrupt
    yield from _body_text(body)


class _GuardedFile(io.FileIO):
    """A file that is never read in large pieces: a ZIP's directory is, and can name a million members."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY_BYTES:
            raise DocxBomb
        return super().read(size) or b""


@contextmanager
def _package(path: Path) -> Iterator[zipfile.ZipFile]:
    with _GuardedFile(path) as file:
        try:
            package = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, OverflowError):
            raise Corrupt from None
        with package:
            if len(package.infolist()) > MAX_MEMBERS:
                raise DocxBomb
            yield package


def _unpacked_size(package: zipfile.ZipFile, member: zipfile.ZipInfo, budget: int) -> int:
    """Count what a member inflates to. A forged size ends as a wrong checksum: zipfile stops at what is declared."""
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Corrupt
    size, tail = 0, b""
    is_xml = member.filename.lower().endswith((".xml", ".rels"))
    with package.open(member) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            size += len(chunk)
            if size > budget:
                raise DocxBomb
            if is_xml:
                text = (tail + chunk).replace(b"\0", b"")  # UTF-16, too
                if _DEFINES.search(text) or (size == len(chunk) and _hides(text)):
                    raise DocxBomb
                tail = text[-_OVERLAP_BYTES:]
    return size


def _hides(start: bytes) -> bool:
    """Say whether a part that begins so is in an encoding that could hide declarations."""
    begin = start.lstrip(_BYTE_ORDER_MARKS)
    if not begin.startswith(b"<?xml"):
        return begin.startswith(_EBCDIC)
    declaration, end, _ = begin.partition(b">")
    return not end or any(name.lower() not in _PLAIN for name in _ENCODING.findall(declaration))


def _body_text(body: "_Element") -> Iterator[str]:
    from lxml import etree

    laid_out = next(body.iter(f"{_W}lastRenderedPageBreak"), None) is not None
    cell_depth = 0
    walk = etree.iterwalk(body, events=("start", "end"))
    for event, element in walk:
        tag = element.tag
        if event == "start":
            if tag == _FALLBACK:
                walk.skip_subtree()
            cell_depth += tag == f"{_W}tc"
            yield _mark(element, laid_out)
        elif tag == f"{_W}p":
            yield " " if cell_depth else "\n"
        elif tag == f"{_W}tc":
            cell_depth -= 1
            yield "\n" if cell_depth else "\t"
        elif tag == f"{_W}tr":
            yield "\n"


def _mark(element: "_Element", laid_out: bool) -> str:
    """Return what an element adds to the text where it begins."""
    tag = element.tag
    if tag == f"{_W}t":
        return element.text or ""
    if tag == f"{_W}lastRenderedPageBreak":
        return "\f"
    if tag == f"{_W}br":
        return "\f" if element.get(f"{_W}type") == "page" and not laid_out else "\n"
    return _MARKS.get(tag, "")
