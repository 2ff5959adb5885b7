"""Reports as PDF: whole, in both languages, and nothing in them has an effect."""

import io

import pytest
import reportlab
from pypdf import PdfReader

from jobs.providers.report_pdf import pdf_of

REPORT = """# 睡眠与记忆 and \\[memory\\]

*本报告不是由语言模型撰写的 and quotes.*

## 一、How does sleep help?

Sleep **helps 记忆** [1]. 睡眠可以巩固记忆 [2]。

## Sources

1. Page /sleep. <http://a.example/?a=1&b=2>
2. 睡眠.txt, page 1

- a note
  - and one in it
"""


def text_of(pdf: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def test_a_report_is_whole_in_both_languages() -> None:
    """Headings, emphasis, lists and addresses are there; the title stands in the file's own data."""
    pdf = pdf_of(REPORT)
    text = text_of(pdf)
    for part in (
        "睡眠与记忆 and [memory]",
        "helps",
        "睡眠可以巩固记忆 [2]。",
        "http://a.example/?a=1&b=2",
        "and one in it",
    ):
        assert part in text
    assert PdfReader(io.BytesIO(pdf)).metadata.title == "睡眠与记忆 and [memory]"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script> <b>x</b> <img src='file:///etc/passwd'/> <para><font name='x'>",
        "![x](file:///etc/passwd) ![y](http://evil/) [z](javascript:alert(1))",
        "&lt;img src=x&gt; &#60;b&#62; &amp;amp; </para> <![CDATA[",
        "```\n<script>alert(1)</script>\n```",
        "\x00\x07\ud800 text \u202e reversed \ufffe",
        "# " + "x" * 5000,
        "> " * 200 + "deep",
        "\n".join("  " * n + "- deep" for n in range(60)),
        "- " * 200 + "deep",
        "|a|b|\n|-|-|\n|1|2|",
        "",
    ],
)
def test_whatever_stands_in_it_is_text(hostile: str) -> None:
    """No file is read, no address is called, no link is active, and nothing fails."""
    pdf = pdf_of(f"# Title\n\n{hostile}\n\nThe end.")
    assert "The end." in text_of(pdf)
    assert not any("/Annots" in page for page in PdfReader(io.BytesIO(pdf)).pages)
    assert b"passwd" not in pdf


def test_a_long_report_has_numbered_pages() -> None:
    """A paragraph that is longer than a page goes on over it."""
    pages = PdfReader(io.BytesIO(pdf_of("# T\n\n" + "睡眠帮助记忆 and learning. " * 400))).pages
    assert len(pages) > 2
    assert [page.extract_text().split()[0] for page in pages] == [str(n + 1) for n in range(len(pages))]


def test_a_font_file_is_put_into_it() -> None:
    """As much of it as is used."""
    file = f"{next(iter(reportlab.__path__))}/fonts/Vera.ttf"
    assert b"FontFile2" in pdf_of("# 睡眠", file)
    assert b"FontFile2" not in pdf_of("# 睡眠")
