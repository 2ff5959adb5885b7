"""A file is what it holds, whatever it is called."""

from pathlib import Path

import pytest

from jobs.domain.documents import DOCX, HTML, MARKDOWN, PDF, TEXT, DocxBomb, EmptyFile, UnsupportedMedia
from jobs.providers.parsers.sniff import sniff
from tests import samples


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (samples.pdf(["x"]), PDF),
        (b"\r\n" + samples.pdf(["x"]), PDF),
        (samples.docx(["x"]), DOCX),
        (b"<!DOCTYPE html><title>x</title>", HTML),
        (b"\xef\xbb\xbf\n<html lang=zh>", HTML),
        ("<!-- %PDF- --><p>段落".encode(), HTML),
        ("<html><p>段落".encode("utf-16"), HTML),
        ("<html><p>段落".encode("gb18030"), HTML),
        ("# 标题\n\n正文".encode(), MARKDOWN),
        (b"see [the docs](https://example.org)", MARKDOWN),
        (b"- one\n- two\n", MARKDOWN),
        ("这是一篇关于 Python 的文档。".encode(), TEXT),
        ("这是一篇关于 Python 的文档。".encode("gb18030"), TEXT),
        ("這是一篇關於 Python 的文件。".encode("utf-16"), TEXT),
        (b"a < b and c > d", TEXT),
    ],
)
def test_a_known_format_is_told_by_content(tmp_path: Path, content: bytes, media_type: str) -> None:
    assert sniff(_file(tmp_path, content)) == media_type


@pytest.mark.parametrize(
    "content",
    [
        samples.EXE,
        b"MZ and no zero byte at all",
        b"\x7fELF\x02\x01\x01",
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x1f\x8b\x08\x08 gzip",
        b"{\\rtf1\\ansi text}",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"PK\x03\x04 and nothing else",
        bytes(range(1, 32)) * 20,
        b"text with a \0 byte",
    ],
)
def test_anything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff(_file(tmp_path, content))


def test_a_zip_that_is_no_document_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedMedia):
        sniff(_file(tmp_path, samples.zip_of({"readme.txt": b"x"})))


def test_a_zip_with_a_huge_directory_is_not_opened(tmp_path: Path) -> None:
    """Each member costs memory before it is looked at."""
    with pytest.raises(DocxBomb):
        sniff(_file(tmp_path, samples.zip_of({f"{n:0200}": b"" for n in range(5000)})))


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmptyFile):
        sniff(_file(tmp_path, b""))


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "innocent.pdf"
    path.write_bytes(content)
    return path
