"""Documents: what is taken in, under which name it is shown, and why one is refused.

An error's docstring is its public text. Its `code` is stable: clients may rely on it.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import ClassVar

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
HTML = "text/html"
MARKDOWN = "text/markdown"
TEXT = "text/plain"
MEDIA_TYPES = (PDF, DOCX, HTML, MARKDOWN, TEXT)

MAX_FILENAME_CHARS = 200
UNNAMED = "document"
_EXTENSION_CHARS = 12


@dataclass(frozen=True)
class Page:
    """The text of one page. `number` counts from 1; `total` is the number of pages, 0 where it is not known."""

    number: int
    total: int
    text: str


class DocumentError(Exception):
    """The document cannot be used."""

    code: ClassVar[str] = "document_error"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").splitlines()[0])


class DocumentNotFound(DocumentError):
    """There is no such document."""

    code = "document_not_found"


class DocumentNotReady(DocumentError):
    """The document has not been read to its end."""

    code = "document_not_ready"

    def __init__(self, status: str) -> None:
        super().__init__(f"The document cannot be asked{'' if status == 'failed' else ' yet'}: its status is {status}.")


class TooLarge(DocumentError):
    """The file is larger than this service takes."""

    code = "too_large"


class UnsupportedMedia(DocumentError):
    """The file is none of: PDF, Word (docx), HTML, Markdown, plain text."""

    code = "unsupported_media_type"


class EmptyFile(DocumentError):
    """The file is empty."""

    code = "empty_file"


class UnreadableDocument(DocumentError):
    """The document cannot be read."""

    code = "unreadable"


class Encrypted(UnreadableDocument):
    """The PDF is protected by a password. Remove it and upload the file again."""

    code = "pdf_encrypted"


class NoText(UnreadableDocument):
    """The document holds no text; scanned pages are images only. Upload a version with a text layer."""

    code = "no_text"


class Corrupt(UnreadableDocument):
    """The file is damaged or incomplete."""

    code = "corrupt"


class TooManyPages(UnreadableDocument):
    """The document has more pages than this service takes."""

    code = "too_many_pages"


class ParserLimit(UnreadableDocument):
    """The document needs more memory or time to read than one document may use."""

    code = "resource_limit"


class DocxBomb(UnreadableDocument):
    """The Word file unpacks to more than one document may hold, or defines entities."""

    code = "docx_bomb"


class UnknownEncoding(UnreadableDocument):
    """The text's encoding could not be told. Save it as UTF-8 and upload it again."""

    code = "unknown_encoding"


def display_name(filename: str | None) -> str:
    """Return a client's file name as text to show: no folders, no control characters, at most 200 characters.

    It is never part of a path. An empty or meaningless name becomes `document`.
    """
    text = (filename or "").encode("utf-8", "replace").decode()
    text = "".join(c if unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") else " " for c in text)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")  # overrides of direction hide an extension
    text = " ".join(re.split(r"[/\\]", text)[-1].split())
    return _shorten(text) if text.strip(". ") else UNNAMED


def _shorten(name: str) -> str:
    """Cut a long name in its middle, so that the extension stays."""
    if len(name) <= MAX_FILENAME_CHARS:
        return name
    stem, dot, extension = name.rpartition(".")
    if not dot or len(extension) > _EXTENSION_CHARS:
        return name[:MAX_FILENAME_CHARS]
    return f"{stem[: MAX_FILENAME_CHARS - len(extension) - 1]}.{extension}"
