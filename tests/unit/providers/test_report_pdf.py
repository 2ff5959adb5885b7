"""Reports as PDF: whole, in both languages, and nothing in them has an effect."""

import io
import re

import pytest
import reportlab
from pypdf import PdfReader

from jobs.providers.report_pdf import PdfUnavailable, _blocks, _chinese_font, _parsed, pdf_of

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


@pytest.mark.parametrize(
    "body",
    [
        "```\n" + "x\n" * 8_000 + "```",
        "Sleep text is long and [1] helps. 睡眠 " * 3_000,
        "睡" * 100_000,
        "x" * 150_000,
        "*a* **b** " * 8_000,
        "    " + "long line of code " * 5_000,
    ],
    ids=["code", "paragraph", "Chinese", "word", "emphasis", "line of code"],
)
def test_a_long_block_is_set_in_pieces(body: str) -> None:
    """None of them is so long that its lines are looked through for ever; nothing of the text is lost."""
    whole = "".join(re.findall(r"[a-w睡眠]", body))
    blocks = list(_blocks(_parsed(f"{body}\n"), _chinese_font("")))
    texts = [block.getPlainText(identify=False) for block in blocks]
    assert max(map(len, texts)) < 4_000
    assert "".join(re.findall(r"[a-w睡眠]", "".join(texts))) == whole


def test_emphasis_goes_on_over_pieces() -> None:
    """Each piece has its own marks."""
    text = text_of(pdf_of(f"# T\n\n**{'Sleep *well*. ' * 1_000}** The end."))
    assert text.count("well") == 1_000
    assert "The end." in text


@pytest.mark.parametrize("body", ["x\n\n" * 5_000, "word " * 50_000], ids=["blocks", "characters"])
def test_of_what_is_too_long_the_beginning_is_set_and_that_is_said(body: str) -> None:
    """In both languages: a report's is not known here."""
    text = text_of(pdf_of(f"# T\n\n{body}"))
    assert "This file ends here" in text
    assert "本文件到此为止" in text


def test_what_takes_too_long_is_given_up() -> None:
    """Where it is in the middle of it."""
    with pytest.raises(PdfUnavailable):
        pdf_of("# T\n\n" + "x\n\n" * 3_000, seconds=0.0)
