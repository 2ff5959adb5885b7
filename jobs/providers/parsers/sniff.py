"""Tell what a file is by what it holds. Its name says nothing."""

import re
from pathlib import Path

from jobs.domain.documents import DOCX, HTML, MARKDOWN, PDF, TEXT, EmptyFile, UnsupportedMedia
from jobs.providers.parsers import docx
from jobs.providers.parsers.text import detect_encoding

_HEAD_BYTES = 64 * 1024
_PDF_WITHIN = 1024
_PDF = b"%PDF-"
_ZIP = b"PK\x03\x04"
# Formats that could pass for text: programs, RTF, PostScript, mail stores, Office's old and PDF's other formats.
_FOREIGN = (b"MZ", b"\x7fELF", b"{\\rtf", b"%!PS", b"%FDF-", b"\xd0\xcf\x11\xe0", b"Rar!", b"7z\xbc\xaf", b"\x1f\x8b")
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MAX_CONTROL_SHARE = 0.002
# Strangers write what these patterns read, in a web process: nothing in them may be tried in two ways (`*+`, `(?>`).
# The elements by which browsers tell HTML: https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type
_HTML = re.compile(
    r"\s*+(?:<\?xml[^>]*+>\s*+|<!--(?>.*?-->)\s*+)*+"
    r"<(!doctype\s+html|(html|head|body|title|meta|link|script|style|iframe|div|font|table|h[1-6]|p|br|a|b)[\s/>])",
    re.IGNORECASE | re.DOTALL,
)
# A heading, a fence, two items of a list, a table, a link. A link is looked for up to the next `[` only.
_MARKDOWN = re.compile(
    r"^(#{1,6} \S|```|~~~|[-*+] \S.*+\n[-*+] \S|\|.*\|[ \t\r]*+\n\|[ :|-]+\|)|\[[^\[\]\n]++\]\([^\[)\s]++\)",
    re.MULTILINE,
)


def sniff(path: Path) -> str:
    """Return a file's media type, one of `jobs.domain.documents.MEDIA_TYPES`.

    Raises:
        EmptyFile: it has no bytes.
        UnsupportedMedia: it is something else.
        DocxBomb: it is a ZIP file that nobody should open.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise EmptyFile
    if head.startswith(_FOREIGN):
        raise UnsupportedMedia
    if _PDF in head[:_PDF_WITHIN] and not _HTML.match(head[:_PDF_WITHIN].decode("latin-1")):
        return PDF
    if head.startswith(_ZIP):
        if docx.is_docx(path):
            return DOCX
        raise UnsupportedMedia
    return _kind_of_text(head)


def _kind_of_text(head: bytes) -> str:
    if b"\0" in head and not head.startswith(_WIDE_MARKS):
        raise UnsupportedMedia
    text = head.decode(detect_encoding(head), errors="replace").lstrip("\ufeff")
    if len(_CONTROL.findall(text)) > _MAX_CONTROL_SHARE * len(text):
        raise UnsupportedMedia
    if _HTML.match(text):
        return HTML
    return MARKDOWN if _MARKDOWN.search(text) else TEXT
