"""Text, Markdown, HTML and Word: read to the last character, in the order of the document."""

from pathlib import Path

import pytest

from jobs.domain.documents import DOCX, HTML, MARKDOWN, TEXT, Corrupt, DocxBomb, NoText, UnreadableDocument
from jobs.providers.parsers import docx, parse
from tests import samples

CHINESE = "后台任务的第一性原理：回到最基础的真理。"
TRADITIONAL = "背景工作的第一性原理：回到最基礎的真理。"


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "utf-8"),
        (CHINESE, "utf-8-sig"),
        (CHINESE, "utf-16"),
        (CHINESE, "gb18030"),
        ("中文短句", "gb18030"),
        (TRADITIONAL, "big5"),
        ("Café naïve — “quotes” über alles", "cp1252"),
        ("Это документ на русском языке, и он длинный.", "cp1251"),
        ("これは日本語の文書です。内容を読みます。", "cp932"),
    ],
)
def test_text_is_read_in_its_own_encoding(tmp_path: Path, text: str, encoding: str) -> None:
    assert _read(tmp_path, text.encode(encoding), TEXT) == [text]


def test_an_encoding_is_told_by_the_first_bytes_beyond_ascii(tmp_path: Path) -> None:
    text = "plain line\n" * 10_000 + CHINESE
    assert "".join(_read(tmp_path, text.encode("gb18030"), TEXT)) == text


def test_a_character_across_two_chunks_is_whole(tmp_path: Path) -> None:
    text = "x" * (64 * 1024 - 1) + CHINESE * 10
    assert "".join(_read(tmp_path, text.encode(), TEXT)) == text


def test_line_ends_are_one_kind_and_controls_are_dropped(tmp_path: Path) -> None:
    assert _read(tmp_path, b"one\r\ntwo\x08\x1b[0m\rthree", TEXT) == ["one\ntwo[0m\nthree"]


def test_long_text_is_cut_into_pages_at_line_ends(tmp_path: Path) -> None:
    text = "".join(f"第 {n} 行的内容。\n" for n in range(2000))
    pages = _read(tmp_path, text.encode(), TEXT)
    assert "".join(pages) == text
    assert len(pages) > 3
    assert all(page.endswith("。\n") and len(page) <= 8000 for page in pages)


def test_form_feeds_divide_pages(tmp_path: Path) -> None:
    assert _read(tmp_path, b"one\n\x0ctwo\n\x0cthree", TEXT) == ["one\n", "two\n", "three"]


def test_text_without_a_visible_character_is_told(tmp_path: Path) -> None:
    with pytest.raises(NoText):
        _read(tmp_path, b" \n\t\n", TEXT)


def test_markdown_is_kept_as_it_is_written(tmp_path: Path) -> None:
    source = "# 标题 Title\n\n- **bold** `code`\n"
    assert _read(tmp_path, source.encode(), MARKDOWN) == [source]


def test_html_becomes_what_its_reader_sees(tmp_path: Path) -> None:
    source = """<!doctype html><html><head><title>标题</title><style>p {color: red}</style></head>
      <body><h1>第一<b>章</b></h1><p>中<b>文</b>字，<a href=x>链接</a>。Hello <i>wor</i>ld
      again.</p><script>alert("no")</script><ul><li>one<li>two</ul>
      <table><tr><td>a</td><td>b</td></tr></table><pre>x\n  y</pre><!-- no --></body></html>"""
    expected = "标题\n\n第一章\n\n中文字，链接。Hello world again.\n\none\ntwo\na b\nx\n  y"
    assert _read(tmp_path, source.encode(), HTML) == [expected]


@pytest.mark.parametrize(
    ("head", "encoding"),
    [
        ('<meta charset="gb2312">', "gb18030"),
        ("<meta http-equiv=Content-Type content='text/html; charset=big5'>", "big5"),
        ('<meta charset="shift_jis">', "cp932"),
        ('<meta charset="utf-8">', "utf-16"),
        ('<meta charset="no-such-thing">', "utf-8"),
        ("", "utf-8"),
    ],
)
def test_html_is_read_in_its_declared_encoding(tmp_path: Path, head: str, encoding: str) -> None:
    assert _read(tmp_path, f"<html>{head}<p>原理 A</p>".encode(encoding), HTML) == ["原理 A"]


def test_deeply_nested_html_is_read(tmp_path: Path) -> None:
    assert _read(tmp_path, b"<html>" + b"<div>" * 900 + b"deep", HTML) == ["deep"]


@pytest.mark.parametrize("end", ["", "</x>"])
def test_html_without_a_bottom_is_refused(tmp_path: Path, end: str) -> None:
    """Each end of nothing would be looked for among all elements that are open."""
    with pytest.raises(UnreadableDocument):
        _read(tmp_path, f"<html>deep{'<div>' * 200_000}{end * 200_000}".encode(), HTML)


def test_word_text_and_tables_come_in_order(tmp_path: Path) -> None:
    content = samples.docx(["第一段", "Second"], [["名称", "Value"], ["甲", "1"]], ["最后"])
    [page] = _read(tmp_path, content, DOCX)
    assert [line.split() for line in page.splitlines()] == [
        ["第一段"], ["Second"], ["名称", "Value"], ["甲", "1"], ["最后"],
    ]  # fmt: skip


def test_word_pages_end_at_page_breaks(tmp_path: Path) -> None:
    page_break = '<w:br w:type="page"/>'
    body = "".join(f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>" for text in ("1", "2", "3"))
    body = body.replace("</w:t>", f"</w:t>{page_break}", 2)
    assert [page.strip() for page in _read(tmp_path, samples.docx_with({MAIN: _main(body)}), DOCX)] == ["1", "2", "3"]


MAIN = "word/document.xml"
ENTITIES = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x>&f;</x>'


def _main(body: str, declaration: str = "") -> bytes:
    namespace = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
    return f"{declaration}<w:document {namespace}><w:body>{body}</w:body></w:document>".encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(samples.docx_with({MAIN: _main("<w:p/>" * 2_000_000)}), id="ratio"),
        pytest.param(samples.docx_with({f"word/media/{n}.bin": b"" for n in range(2001)}), id="members"),
        pytest.param(samples.docx_with({MAIN: ENTITIES}), id="entities"),
        pytest.param(samples.docx_with({MAIN: EXTERNAL}), id="external-entity"),
        pytest.param(samples.docx_with({MAIN: ENTITIES.decode().encode("utf-16")}), id="utf-16-entities"),
        pytest.param(samples.docx_with({"docProps/app.xml": EXTERNAL}), id="entity-in-another-part"),
        pytest.param(samples.docx_with({MAIN: _main("", '<?xml version="1.0" encoding="UTF-7"?>')}), id="utf-7"),
        pytest.param(
            samples.docx_with({MAIN: _main("", f'<?xml version="1.0"{" " * 500}encoding="utf-7"?>')}), id="padded-utf-7"
        ),
        pytest.param(
            samples.docx_with({MAIN: _main("", "<?xml " + " " * 300_000), "big.bin": bytes(range(256)) * 99}),
            id="endless-declaration",
        ),
        pytest.param(samples.docx_with({MAIN: _main("", "<?xml ?>").decode().encode("cp037")}), id="ebcdic"),
    ],
)
def test_hostile_word_files_are_refused_before_parsing(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DocxBomb):
        docx.inspect(_file(tmp_path, content))
    with pytest.raises(DocxBomb):
        _read(tmp_path, content, DOCX)


def test_a_forged_size_is_not_believed(tmp_path: Path) -> None:
    """The directory says ten bytes; the data inflates to ten megabytes."""
    content = bytearray(samples.docx_with({MAIN: _main("<w:p/>" * 1_500_000)}))
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(MAIN.encode()))
    content[place + 24 : place + 28] = (10).to_bytes(4, "little")
    with pytest.raises((DocxBomb, Corrupt)):
        docx.inspect(_file(tmp_path, bytes(content)))


@pytest.mark.parametrize("cut", [10, 200, -30])
def test_damaged_word_files_are_told(tmp_path: Path, cut: int) -> None:
    with pytest.raises(Corrupt):
        _read(tmp_path, samples.docx(["x"])[:cut], DOCX)


def test_a_word_file_that_is_not_xml_inside_is_told(tmp_path: Path) -> None:
    with pytest.raises(Corrupt):
        _read(tmp_path, samples.docx_with({MAIN: b"not xml"}), DOCX)


def _read(folder: Path, content: bytes, media_type: str) -> list[str]:
    return [page.text for page in parse(_file(folder, content), media_type)]


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "blob"
    path.write_bytes(content)
    return path
