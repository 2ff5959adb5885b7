"""A report in Markdown as a PDF.

Chinese is set in a font that readers of PDFs bring along, unless a file of one is given; the rest in Helvetica.
What the Markdown holds of HTML, images and links is text.
"""

import io
import re
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it.token import Token

_READERS_OWN = "STSong-Light"
_WIDE = re.compile("([\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff“”‘’…—]+)")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
# The parser drops what comes after something that is nested too deeply; nobody means that.
_NESTING = 100
_SIGNS = r"(?:[ \t]*+(?:>|[-*+]|\d{1,9}+[.)])[ \t]*+)"
_DEEP = re.compile(rf"^({_SIGNS}{{6}}){_SIGNS}++|^([ \t]{{12}})[ \t]++", re.MULTILINE)
_MARGIN = 56.0  # points
_INDENT = 18.0


def pdf_of(markdown: str, chinese_font: str = "") -> bytes:
    """Return a report as a PDF. `chinese_font` is a TrueType file that is put into it, as far as it is used."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    file = io.BytesIO()
    title = re.sub(r"\\(.)", r"\1", markdown.partition("\n")[0].removeprefix("# "))
    document = SimpleDocTemplate(
        file, pagesize=A4, title=title, creator="Offstage", leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN
    )
    document.build(
        list(_blocks(_parsed(markdown), _chinese_font(chinese_font))),
        onFirstPage=_number_page,
        onLaterPages=_number_page,
    )
    return file.getvalue()


def _parsed(markdown: str) -> "Sequence[Token]":
    from markdown_it import MarkdownIt

    text = _DEEP.sub(r"\1\2", _UNPRINTABLE.sub("", markdown))
    return MarkdownIt("commonmark", {"html": False, "maxNesting": _NESTING}).parse(text)


def _blocks(tokens: "Sequence[Token]", font: str) -> Iterator[Any]:
    """Yield a paragraph for each block of text: headings, items of lists with their signs, code, anything else."""
    styles, style, depth, sign = _styles(), "text", 0, ""
    for token in tokens:
        if token.type == "heading_open":
            style = f"h{min(int(token.tag[1]), 3)}"
        elif token.type == "heading_close":
            style = "text"
        elif token.type.endswith("_list_open"):
            depth += 1
        elif token.type.endswith("_list_close"):
            depth -= 1
        elif token.type == "list_item_open":
            sign = f"{token.info}{token.markup}" if token.info else "•"
        elif token.type == "inline":
            yield _paragraph(_inline(token.children or [], font), styles[style], depth, sign)
            sign = ""
        elif token.type in ("fence", "code_block"):
            yield _paragraph(_fonts(token.content, font).replace("\n", "<br/>"), styles["text"], depth, "")


def _paragraph(markup: str, style: Any, depth: int, sign: str) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    indent = _INDENT * depth
    placed = ParagraphStyle("placed", style, leftIndent=indent, bulletIndent=indent - _INDENT) if depth else style
    return Paragraph(markup, placed, bulletText=sign or None)


def _inline(tokens: "Sequence[Token]", font: str) -> str:
    """Return a line of text in reportlab's markup, in which only emphasis is more than text."""
    marks = {"strong_open": "<b>", "strong_close": "</b>", "em_open": "<i>", "em_close": "</i>"}
    marks |= {"softbreak": " ", "hardbreak": "<br/>"}
    return "".join(marks.get(token.type) or _fonts(token.content, font) for token in tokens)


def _fonts(text: str, font: str) -> str:
    """Return text as markup, its Chinese in the font that has it."""
    pieces = enumerate(_WIDE.split(text))
    return "".join(f'<font name="{font}">{escape(piece)}</font>' if n % 2 else escape(piece) for n, piece in pieces)


@cache
def _chinese_font(file: str) -> str:
    """Return the name of the font for Chinese: one from a file, else the one that readers bring along."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.ttfonts import TTFont

    name = "Chinese" if file else _READERS_OWN
    pdfmetrics.registerFont(TTFont(name, file) if file else UnicodeCIDFont(name))
    pdfmetrics.registerFontFamily(name, normal=name, bold=name, italic=name, boldItalic=name)  # it has one face
    return name


@cache
def _styles() -> dict[str, Any]:
    from reportlab.lib.styles import ParagraphStyle

    text = ParagraphStyle("text", fontName="Helvetica", fontSize=10.5, leading=16, spaceAfter=7, wordWrap="CJK")
    sizes = {"h1": (19.0, 25.0), "h2": (14.0, 20.0), "h3": (12.0, 18.0)}
    headings = {
        name: ParagraphStyle(name, text, fontName="Helvetica-Bold", fontSize=size, leading=leading, spaceBefore=8)
        for name, (size, leading) in sizes.items()
    }
    return {"text": text, **headings}


def _number_page(canvas: Any, document: Any) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.drawCentredString(document.pagesize[0] / 2, _MARGIN / 2, str(canvas.getPageNumber()))
