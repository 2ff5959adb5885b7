"""Plain text and Markdown, in any common encoding; and pages for formats that have none."""

import codecs
from collections.abc import Iterator
from pathlib import Path

from jobs.domain.documents import Page, UnknownEncoding

PAGE_CHARS = 4_000
_CHUNK_BYTES = 64 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Tried first: over all of its encodings the detector takes French for Czech and Russian for KOI8.
_LIKELY = ["gb18030", "big5", "cp932", "euc_jp", "cp949", "cp1252", "cp1251"]
_FEW_BYTES = 24  # beyond ASCII; the detector guesses on fewer
_COMMON_HAN = range(0xB0, 0xD8)  # lead bytes of the 3,755 most used characters in GB 2312


def read(path: Path) -> Iterator[str]:
    """Yield a text file's content in pieces, line ends as `\\n`. Markdown is kept as it is written.

    Raises:
        UnknownEncoding
    """
    with path.open(encoding=detect_encoding(_sample(path)), errors="replace") as file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece


def paginate(pieces: Iterator[str]) -> Iterator[Page]:
    """Cut text into pages: at form feeds, and at a line end wherever a page has grown past 4,000 characters."""
    number, page = 1, ""
    for piece in pieces:
        page, start = page + piece, 0
        while end := _page_end(page, start):
            yield Page(number, 0, page[start:end].removesuffix("\f"))
            number, start = number + 1, end
        page = page[start:]
    if page or number == 1:
        yield Page(number, 0, page)


def detect_encoding(sample: bytes) -> str:
    """Return the Python name of the encoding of a text that begins with, or holds, these bytes.

    Raises:
        UnknownEncoding: no encoding fits.
    """
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    if _is_utf8(sample):
        return "utf-8"
    telling = b"\n".join(line for line in sample.splitlines() if not line.isascii())
    if sum(byte >= 0x80 for byte in telling) < _FEW_BYTES:
        return "gb18030" if _is_common_chinese(telling) else "cp1252"
    return _guess(telling)


def _page_end(text: str, start: int) -> int:
    """Return where the page that begins there ends, or 0 while it is not full."""
    full = start + 2 * PAGE_CHARS
    feed = text.find("\f", start, full)
    if feed >= 0:
        return feed + 1
    if len(text) < full:
        return 0
    line_end = text.find("\n", start + PAGE_CHARS, full)
    return line_end + 1 if line_end >= 0 else full


def _sample(path: Path) -> bytes:
    """Return the first part of a file that is not ASCII only: the rest says nothing about its encoding."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if not chunk.isascii():
                return chunk
    return b""


def _is_utf8(sample: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _is_common_chinese(sample: bytes) -> bool:
    """Say whether all bytes beyond ASCII pair up to frequent simplified characters or their punctuation."""
    position = 0
    while position < len(sample):
        if sample[position] < 0x80:
            position += 1
            continue
        pair = sample[position : position + 2]
        if len(pair) < 2 or pair[1] < 0xA1 or (pair[0] not in _COMMON_HAN and pair[0] not in (0xA1, 0xA3)):
            return len(pair) < 2 and position > 0
        position += 2
    return True


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample, cp_isolation=_LIKELY).best() or from_bytes(sample).best()
    if best is None:
        raise UnknownEncoding
    return best.encoding
