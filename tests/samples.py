"""Files that tests upload: small real ones, and small hostile ones. All are made here; none is kept."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from docx import Document
from pypdf import PdfReader, PdfWriter

EXAMPLES = Path(__file__).parents[1] / "examples"
ENGLISH_PDF = EXAMPLES / "handbook.en.pdf"
CHINESE_PDF = EXAMPLES / "handbook.zh.pdf"

EXE = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff\x00\x00" + bytes(48)
_ROOT, _TREE, _FONT, _FIRST_PAGE = 1, 2, 3, 4


def pdf(pages: Sequence[str]) -> bytes:
    """Return a PDF with a line of Latin text on each page; an empty string is a page without text."""
    return pdf_of_streams([_text_operators(text) for text in pages])


def pdf_of_streams(contents: Sequence[bytes], *, shared: int = 0) -> bytes:
    """Return a PDF with these content streams, one a page; with `shared`, so many pages of the first stream."""
    count = shared or len(contents)
    first_stream = _FIRST_PAGE + count
    streams = [0] * count if shared else list(range(count))
    kids = " ".join(f"{_FIRST_PAGE + n} 0 R" for n in range(count))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", f"<</Type/Pages/Count {count}/Kids[{kids}]>>".encode()]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>")
    objects += [_page(first_stream + stream) for stream in streams]
    objects += [_stream(zlib.compress(content, 9)) for content in contents]
    return _pdf_file(objects)


def looping_pdf() -> bytes:
    """Return a PDF whose page tree contains itself."""
    return _pdf_file([b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count 2/Kids[2 0 R 2 0 R]>>", b"<<>>"])


def encrypted_pdf(*, user: str, owner: str) -> bytes:
    """Return a PDF under AES-256; one with an empty user password opens without."""
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf(["Behind a password"]))))
    writer.encrypt(user, owner, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def docx(paragraphs: Iterable[str], table: Sequence[Sequence[str]] = (), after: Iterable[str] = ()) -> bytes:
    """Return a Word document: paragraphs, a table, more paragraphs."""
    document = Document()
    for text in paragraphs:
        document.add_paragraph(text)
    if table:
        grid = document.add_table(rows=0, cols=len(table[0]))
        for row in table:
            for cell, text in zip(grid.add_row().cells, row, strict=True):
                cell.text = text
    for text in after:
        document.add_paragraph(text)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def docx_with(members: dict[str, bytes]) -> bytes:
    """Return a Word document with members of its package replaced or added."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx(["x"]))) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            if name not in members:
                target.writestr(name, source.read(name))
        for name, content in members.items():
            target.writestr(name, content)
    return out.getvalue()


def _text_operators(text: str) -> bytes:
    return f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode("latin-1") if text else b""


def _page(stream: int) -> bytes:
    resources = f"/Resources<</Font<</F1 {_FONT} 0 R>>>>"
    return f"<</Type/Page/Parent {_TREE} 0 R/MediaBox[0 0 595 842]{resources}/Contents {stream} 0 R>>".encode()


def _stream(data: bytes) -> bytes:
    return b"<</Length %d/Filter/FlateDecode>>stream\n%s\nendstream" % (len(data), data)


def _pdf_file(objects: Sequence[bytes]) -> bytes:
    out, offsets = io.BytesIO(), []
    out.write(b"%PDF-1.7\n")
    for number, content in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, content))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(b"trailer<</Size %d/Root %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, _ROOT, start))
    return out.getvalue()


def zip_of(members: dict[str, bytes]) -> bytes:
    """Return a ZIP file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return out.getvalue()
