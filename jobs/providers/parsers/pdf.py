"""PDF: the text of each page, by pypdf or by pdfium."""

import logging
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from jobs.domain.documents import Corrupt, Encrypted, Page, ParserLimit, TooManyPages

if TYPE_CHECKING:
    from pypdf import Configuration, PdfReader
    from pypdfium2 import PdfPage

# A dense page of a real manual unpacks to some 100 kB with 10,000 tokens; a map to a few MB. pypdf's own limits are
# 75 MB and 2,000,000, which let one page take 7 s and 350 MB before it is refused.
_MAX_STREAM_BYTES = 32_000_000
_MAX_STREAM_TOKENS = 600_000
_MAX_FORMS_A_PAGE = 1_000
_MAX_FILTERS = 8
# What pypdf raises on broken files, besides its own errors. Not `Exception`: a job's timeout is one, too.
_BROKEN = (ArithmeticError, AssertionError, AttributeError, LookupError, NotImplementedError, RecursionError,
           TypeError, ValueError, EOFError, struct.error, zlib.error)  # fmt: skip


def read_with_pypdf(path: Path, max_pages: int) -> Iterator[Page]:
    """Yield each page of a PDF. A page that is damaged by itself is yielded without text.

    Raises:
        Encrypted, Corrupt, TooManyPages, ParserLimit
    """
    from pypdf import apply_configuration
    from pypdf.errors import DependencyError, LimitReachedError, PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of each oddity of each file
    limits = _pypdf_limits()
    broken = 0
    with path.open("rb") as file:
        try:
            with apply_configuration(limits):
                reader = _open(file)
                total = len(reader.pages)
        except LimitReachedError:
            raise ParserLimit from None
        except (PyPdfError, DependencyError, *_BROKEN):
            raise Corrupt from None
        if total > max_pages:
            raise _too_many(total, max_pages)
        for index in range(total):
            try:
                with apply_configuration(limits):  # a generator shares its caller's context between two pages
                    text = reader.pages[index].extract_text()
            except LimitReachedError:
                raise ParserLimit from None
            except (PyPdfError, DependencyError, *_BROKEN):
                text, broken = "", broken + 1
            yield Page(index + 1, total, text)
        if total == 0 or broken == total:
            raise Corrupt


def read_with_pdfium(path: Path, max_pages: int) -> Iterator[Page]:
    """Yield each page of a PDF: some fifteen times as fast as pypdf, with no limits of its own on memory.

    Raises:
        Encrypted, Corrupt, TooManyPages
    """
    import pypdfium2
    from pypdfium2.raw import FPDF_ERR_PASSWORD

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        raise (Encrypted if error.err_code == FPDF_ERR_PASSWORD else Corrupt) from None
    with document:
        total = len(document)
        if total == 0:
            raise Corrupt
        if total > max_pages:
            raise _too_many(total, max_pages)
        broken = 0
        for index in range(total):
            try:
                text = _pdfium_text(document[index])
            except pypdfium2.PdfiumError:
                text, broken = "", broken + 1
            yield Page(index + 1, total, text)
        if broken == total:
            raise Corrupt


Engine = Callable[[Path, int], Iterator[Page]]
ENGINES: dict[str, Engine] = {"pypdf": read_with_pypdf, "pdfium": read_with_pdfium}


def _open(file: BinaryIO) -> "PdfReader":
    """Open a PDF that needs no password to be read."""
    from pypdf import PasswordType, PdfReader

    reader = PdfReader(file)
    if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
        raise Encrypted
    return reader


def _pypdf_limits() -> "Configuration":
    from pypdf import get_configuration

    return get_configuration().with_overwrites(
        maximum_declared_stream_length=_MAX_STREAM_BYTES,
        array_based_stream_maximum_output_length=_MAX_STREAM_BYTES,
        zlib_maximum_output_length=_MAX_STREAM_BYTES,
        lzw_maximum_output_length=_MAX_STREAM_BYTES,
        run_length_maximum_output_length=_MAX_STREAM_BYTES,
        brotli_maximum_output_length=_MAX_STREAM_BYTES,
        stream_decoding_work_maximum_length=2 * _MAX_STREAM_BYTES,
        stream_parsing_work_maximum_count=_MAX_STREAM_TOKENS,
        stream_filters_maximum_length=_MAX_FILTERS,
        xform_maximum_invocations_per_extraction=_MAX_FORMS_A_PAGE,
        jbig2dec_binary=None,
    )


def _pdfium_text(page: "PdfPage") -> str:
    with closing(page), closing(page.get_textpage()) as text:
        return str(text.get_text_bounded()).replace("\r\n", "\n")


def _too_many(total: int, max_pages: int) -> TooManyPages:
    return TooManyPages(f"The document has {total} pages; at most {max_pages} are taken.")
