"""A report in Markdown as a PDF.

Chinese is set in a font that readers of PDFs bring along, unless a file of one is given; the rest in Helvetica.
What the Markdown holds of HTML, images and links is text. Whatever it holds, setting it takes time that grows with its
length only, and is limited: of a block that is long, pieces are set, since a whole one takes the square of its length.
"""

import io
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cache, partial
from html import escape
from itertools import islice
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
_MOST_CHARS = 200_000  # more than ten sections of the longest kind have
_MOST_BLOCKS = 4_000
_PIECE_CHARS = 1_500
_PIECES = re.compile(rf"(?s).{{1,{_PIECE_CHARS}}}(?:(?<=[\s。！？；])|\Z)|.{{1,{_PIECE_CHARS}}}")
_LINE_CHARS = 40  # that a line of code weighs by itself
_CUT = "This file ends here: the whole report is in its Markdown form. 本文件到此为止：完整报告见其 Markdown 版本。"


class PdfUnavailable(Exception):
    """The report could not be set as a PDF in time. Its Markdown is there."""

    code = "pdf_unavailable"
    retry_after = 10.0

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


def pdf_of(markdown: str, chinese_font: str = "", *, seconds: float = 20.0) -> bytes:
    """Return a report as a PDF. `chinese_font` is a TrueType file that is put into it, as far as it is used. Of what is
    longer than any report should be the beginning is set, and that is said.

    Raises:
        PdfUnavailable: it took longer than `seconds`.
    """
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    file = io.BytesIO()
    title = re.sub(r"\\(.)", r"\1", markdown.partition("\n")[0].removeprefix("# "))
    document = SimpleDocTemplate(
        file, pagesize=A4, title=title, creator="Offstage", leftMargin=_MARGIN, rightMargin=_MARGIN, topMargin=_MARGIN
    )
    until = time.monotonic() + seconds
    blocks = list(_in_time(_beginning(markdown, _chinese_font(chinese_font)), until))
    on_page = partial(_number_page, until=until)
    document.build(blocks, onFirstPage=on_page, onLaterPages=on_page)
    return file.getvalue()


def _beginning(markdown: str, font: str) -> Iterator[Any]:
    """Yield the blocks of a report, and if they are too many, in place of the rest that there is one."""
    blocks = _blocks(_parsed(markdown[:_MOST_CHARS]), font)
    yield from islice(blocks, _MOST_BLOCKS)
    if len(markdown) > _MOST_CHARS or next(blocks, None) is not None:
        yield _paragraph(_fonts(_CUT, font), _styles()["h3"], 0, "")


def _in_time(blocks: Iterable[Any], until: float) -> Iterator[Any]:
    for block in blocks:
        _check_time(until)
        yield block


def _check_time(until: float) -> None:
    if time.monotonic() > until:
        raise PdfUnavailable


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
            for markup in _inline(token.children or [], font):
                yield _paragraph(markup, styles[style], depth, sign)
                sign = ""
        elif token.type in ("fence", "code_block"):
            for markup in _code(token.content, font):
                yield _paragraph(markup, styles["text"], depth, "")


def _paragraph(markup: str, style: Any, depth: int, sign: str) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph

    indent = _INDENT * depth
    placed = ParagraphStyle("placed", style, leftIndent=indent, bulletIndent=indent - _INDENT) if depth else style
    return Paragraph(markup, placed, bulletText=sign or None)


def _inline(tokens: "Sequence[Token]", font: str) -> Iterator[str]:
    """Yield a block of text in pieces of reportlab's markup, in which only emphasis is more than text."""
    breaks = {"softbreak": " ", "hardbreak": "<br/>"}
    opened: list[str] = []
    parts: list[str] = []
    size = 0
    for token in tokens:
        name = {"strong": "b", "em": "i"}.get(token.tag)
        if name and token.nesting:
            parts.append(f"<{name}>" if token.nesting > 0 else f"</{name}>")
            opened = [*opened, name] if token.nesting > 0 else opened[:-1]
        for text in [""] if token.type in breaks else _PIECES.findall(token.content):
            parts.append(breaks.get(token.type) or _fonts(text, font))
            size += len(text) + 1
            if size > _PIECE_CHARS:
                yield "".join([*parts, *(f"</{each}>" for each in reversed(opened))])
                parts, size = [f"<{each}>" for each in opened], 0
    if size:
        yield "".join(parts)


def _code(text: str, font: str) -> Iterator[str]:
    """Yield code in pieces of reportlab's markup, some lines each."""
    lines: list[str] = []
    size = 0
    for line in text.splitlines():
        for piece in _PIECES.findall(line) or [""]:
            lines.append(_fonts(piece, font))
            size += len(piece) + _LINE_CHARS
            if size > _PIECE_CHARS:
                yield "<br/>".join(lines)
                lines, size = [], 0
    if lines:
        yield "<br/>".join(lines)


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


def _number_page(canvas: Any, document: Any, *, until: float) -> None:
    _check_time(until)
    canvas.setFont("Helvetica", 8)
    canvas.drawCentredString(document.pagesize[0] / 2, _MARGIN / 2, str(canvas.getPageNumber()))
