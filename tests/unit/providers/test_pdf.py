"""Both PDF engines read the same; pypdf's limits stop hostile files early, the rest is up to the isolated process."""

import re
import time
from pathlib import Path

import pytest

from jobs.domain.documents import (
    PDF,
    Corrupt,
    Encrypted,
    NoText,
    Page,
    ParserLimit,
    TooManyPages,
    UnreadableDocument,
)
from jobs.providers.parsers import parse
from tests import samples

both_engines = pytest.mark.parametrize("engine", ["pypdf", "pdfium"])


@both_engines
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_character_of_a_real_document_is_read(engine: str, language: str) -> None:
    """Compared with the source that the example was typeset from, spaces and line ends aside."""
    source = (samples.EXAMPLES / "source" / f"handbook.{language}.html").read_text(encoding="utf-8")
    body = re.sub(r"<[^>]+>", "", source.split("<body>")[1])
    pages = list(parse(samples.EXAMPLES / f"handbook.{language}.pdf", PDF, pdf_engine=engine))
    assert _packed("".join(page.text for page in pages)) == _packed(body)
    assert [(page.number, page.total) for page in pages] == [(n, 4) for n in range(1, 5)]


@both_engines
def test_pages_are_numbered_and_empty_ones_kept(tmp_path: Path, engine: str) -> None:
    pages = _read(tmp_path, samples.pdf(["one", "", "three"]), engine)
    assert [(page.number, page.text.strip()) for page in pages] == [(1, "one"), (2, ""), (3, "three")]


@both_engines
def test_a_user_password_is_told(tmp_path: Path, engine: str) -> None:
    with pytest.raises(Encrypted):
        _read(tmp_path, samples.encrypted_pdf(user="secret", owner="boss"), engine)


@both_engines
def test_an_owner_password_alone_hinders_nobody(tmp_path: Path, engine: str) -> None:
    pages = _read(tmp_path, samples.encrypted_pdf(user="", owner="boss"), engine)
    assert pages[0].text.strip() == "Behind a password"


@both_engines
def test_pages_without_text_are_told(tmp_path: Path, engine: str) -> None:
    with pytest.raises(NoText):
        _read(tmp_path, samples.pdf(["", ""]), engine)


@both_engines
@pytest.mark.parametrize("content", [b"%PDF-1.7\n", b"%PDF-1.7\n%%EOF", samples.ENGLISH_PDF.read_bytes()[:3000]])
def test_damaged_files_are_told(tmp_path: Path, engine: str, content: bytes) -> None:
    with pytest.raises(Corrupt):
        _read(tmp_path, content, engine)


@both_engines
def test_too_many_pages_are_told_before_any_is_read(tmp_path: Path, engine: str) -> None:
    path = _file(tmp_path, samples.pdf(["x"] * 6))
    with pytest.raises(TooManyPages, match="6 pages; at most 5"):
        next(parse(path, PDF, pdf_engine=engine, max_pages=5))


@both_engines
def test_a_page_tree_that_loops_ends(tmp_path: Path, engine: str) -> None:
    with pytest.raises(UnreadableDocument):
        _read(tmp_path, samples.looping_pdf(), engine)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        pytest.param(b"BT (x) Tj ET\n" * 1_000_000, ParserLimit, id="operators"),
        pytest.param(b"(x) Tj [" * 200_000, UnreadableDocument, id="nesting"),
        pytest.param(bytes(60_000_000), ParserLimit, id="flate"),
    ],
)
def test_bombs_are_stopped_early(tmp_path: Path, content: bytes, error: type[Exception]) -> None:
    """By pypdf's limits, lowered: its own let the first of these take seven seconds and 350 MB."""
    started = time.process_time()
    with pytest.raises(error):
        _read(tmp_path, samples.pdf_of_streams([content]), "pypdf")
    assert time.process_time() - started < 20


def test_one_damaged_page_does_not_cost_the_others(tmp_path: Path) -> None:
    good, bad = b"BT /F1 12 Tf (good) Tj ET", b"BT /F1 12 Tf [ (x) ] Tj (unclosed"
    pages = _read(tmp_path, samples.pdf_of_streams([good, bad, good]), "pypdf")
    assert [page.text.strip() for page in pages][::2] == ["good", "good"]


def _read(folder: Path, content: bytes, engine: str) -> list[Page]:
    return list(parse(_file(folder, content), PDF, pdf_engine=engine))


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "blob"
    path.write_bytes(content)
    return path


def _packed(text: str) -> str:
    return re.sub(r"\s", "", text)
