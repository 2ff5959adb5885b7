"""What is answered about documents."""

from typing import Annotated, Literal

from typing_extensions import TypedDict

from jobs.domain.answers import Citation
from jobs.domain.chunks import Hit
from webapp.shapes.common import Cursor, Started, Time, one_of

DocumentStatus = Annotated[str, one_of("processing", "completed", "failed")]


class Uploaded(Started):
    """A document that was taken in; `filename` is what it is called here."""

    message: str
    document_id: int
    filename: str
    status: DocumentStatus


class DocumentLinks(TypedDict):
    """A document, and the job that reads it."""

    self: str
    job: str


class Document(TypedDict):
    """A document. `size` is in bytes, `content_length` in characters."""

    id: int
    filename: str
    status: DocumentStatus
    content_length: int
    created_at: Time
    completed_at: Time | None
    error_message: str | None
    error_code: str | None
    media_type: str
    size: int
    pages: int
    passages: int
    vectors: Annotated[str, one_of("pending", "completed", "failed")]
    job_id: str
    links: DocumentLinks


class Documents(TypedDict):
    """Documents, newest first."""

    documents: list[Document]
    next_cursor: Cursor


class Answered(TypedDict):
    """An answer out of the documents, or a refusal; each `[n]` in it is the n-th citation."""

    question: str
    answer: str
    document_id: int | None
    document_name: str | None
    mode: Literal["extractive", "model"]
    refused: bool
    model_error: str | None
    citations: list[Citation]


class Found(TypedDict):
    """The passages that fit a query best."""

    query: str
    hits: list[Hit]
