"""Text that was written to keep a pattern busy costs no more than its length."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.domain.answers import checked
from jobs.domain.chunks import Hit
from jobs.domain.documents import UnsupportedMedia
from jobs.domain.sentences import sentences
from jobs.domain.tokens import content_parts, tokens
from jobs.providers.parsers import tidy
from jobs.providers.parsers.docx import _DEFINES, _hides
from jobs.providers.parsers.html import _META_CHARSET, _SPACES
from jobs.providers.parsers.sniff import sniff
from jobs.providers.parsers.text import paginate

SMALL, LARGE = 16 * 1024, 64 * 1024
GRACE = 0.1  # seconds of CPU time: 64 kB of what is quadratic take several
SOURCE = Hit(1, 1, "a.txt", 1, 0, "x", 1.0, None)
REPEATED = [
    *["<!---->", "<!-- -->\n", "<!--", "<?xml>", "<?xml", "<?xml ?><!---->", "<!-- --> <?xml > ", "<"],
    *["[", "[a](", "[a]", "[a](b", "![a]", "[\n", "[a]("],
    *["|", "| ", "|\n", "||\n", "|-", "|\n|-\n", "- a\n", "- ", "#", "# \n", "`", "\r\n", " ", "\n \n", "\t\n-"],
    *[". ", ".", "?!", "a. ", '."', "1.", "\n1.1", "\n一", "\n(", "。", "\n 1", "\f", "é", "〉 "],
    *["[1,", "[1 ", " [", "【1、", "[1]", "1 ", "<!", "<! ", "<?xml encoding", "encoding=", "<meta ", "charset ="],
]


def by_sniff(text: str, folder: Path) -> None:
    path = folder / "file"
    path.write_bytes(text.encode())
    try:
        sniff(path)
    except UnsupportedMedia:
        return


def by_parsers(text: str, _folder: Path) -> None:
    data = text.encode()
    _hides(b"<?xml " + data)
    _DEFINES.search(data)
    _META_CHARSET.search(b"<meta " + data[:4096])
    for _ in paginate(iter([_SPACES.sub(" ", tidy(text))])):
        continue


def by_answers(text: str, _folder: Path) -> None:
    sentences(f"{text}x")
    checked(f"{text}x", [SOURCE])


def by_tokens(text: str, _folder: Path) -> None:
    tokens(text)
    content_parts(text)


@pytest.mark.parametrize("reader", [by_sniff, by_parsers, by_answers, by_tokens])
@pytest.mark.parametrize("piece", REPEATED, ids=repr)
def test_four_times_the_text_takes_four_times_as_long(
    reader: Callable[[str, Path], None], piece: str, tmp_path: Path
) -> None:
    """Or less. Measured in CPU time of this thread, with twice as much allowed and a grace."""
    small, large = (_seconds(reader, piece * (size // len(piece)), tmp_path) for size in (SMALL, LARGE))
    assert large <= 8 * small + GRACE


def _seconds(reader: Callable[[str, Path], None], text: str, folder: Path) -> float:
    start = time.thread_time()
    reader(text, folder)
    return time.thread_time() - start
