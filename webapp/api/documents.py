"""Documents: upload, watch, search, ask, delete."""

from typing import Annotated, NotRequired

from flask import g, request
from flask_openapi3 import APIBlueprint, Tag
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from jobs import documents
from jobs.answering import answer
from jobs.stores.documents import COMPLETED, FAILED, PROCESSING, Document
from webapp.api.jobs import ListQuery
from webapp.errors import problem
from webapp.extension import offstage
from webapp.multipart import file_part
from webapp.openapi.describing import describe
from webapp.responses import (
    MAX_PAGE,
    Accepted,
    Answer,
    NoContent,
    ProblemAnswer,
    accepted,
    decode_cursor,
    encode_cursor,
    row_id,
)
from webapp.shapes import documents as shapes
from webapp.webhooks import checked

bp = APIBlueprint("documents", __name__, abp_tags=[Tag(name="documents", description="Upload, search, ask")])

DocumentId = Annotated[int, Field(ge=0, le=2**63 - 1)]


_SAID = {
    PROCESSING: "文档上传成功，正在后台处理",
    COMPLETED: "文档已处理完成",
}  # the seed's words; the second of one sent again


class DocumentPath(BaseModel):
    """A document's id."""

    document_id: DocumentId


class UploadQuery(BaseModel):
    """`webhook_url`: told when the document has been read; it may be a field of the form as well."""

    webhook_url: str | None = Field(default=None, max_length=2000)


class UploadForm(TypedDict):
    """The document as a file: PDF, DOCX, HTML, Markdown or text."""

    file: Annotated[bytes, Field(json_schema_extra={"contentMediaType": "application/octet-stream"})]
    webhook_url: NotRequired[Annotated[str, Field(max_length=2000)]]


class AskBody(BaseModel):
    """A question; without `document_id` it goes to all of the caller's documents."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(min_length=1, max_length=4000)
    document_id: DocumentId | None = None


class SearchQuery(BaseModel):
    """`q`: what to look for, in any language."""

    model_config = ConfigDict(extra="forbid")

    q: str = Field(min_length=1, max_length=4000)
    document_id: DocumentId | None = None
    limit: int = Field(default=10, ge=1)


@bp.post("/upload")
@describe(form=UploadForm, problems=(415, 507))
def upload(query: UploadQuery) -> Accepted[shapes.Uploaded] | ProblemAnswer:
    """Take a document in and start reading it."""
    webhooks = [checked(query.webhook_url)]
    file = file_part(request, "file", lambda fields: webhooks.append(checked(fields.get("webhook_url"))))
    if file is None:
        return problem(
            422, "missing_file", "Send the document as a file in the multipart field `file`: `-F file=@NAME`."
        )
    app = offstage()
    document = documents.receive(app.services, app.client, g.tenant, file, file.filename, webhooks)
    g.content_sha256 = document.sha256
    return accepted(
        document.job_id,
        message=_SAID.get(document.status, _SAID[PROCESSING]),
        document_id=document.id,
        filename=document.filename,
        status=document.status,
    )


@bp.get("/documents")
def list_documents(query: ListQuery) -> Answer[shapes.Documents]:
    """List the caller's documents, newest first."""
    limit = min(query.limit, MAX_PAGE)
    before = decode_cursor(query.cursor, row_id)
    page = offstage().services.documents.list(g.tenant, before=before, limit=limit)
    cursor = encode_cursor(page[-1].id) if len(page) == limit else None
    return Answer(shapes.Documents(documents=[document_json(document) for document in page], next_cursor=cursor))


@bp.get("/documents/<int:document_id>")
def get_document(path: DocumentPath) -> Answer[shapes.Document]:
    """Return a document: how far its text and its vectors are, or why it failed."""
    return Answer(document_json(offstage().services.documents.get(g.tenant, path.document_id)))


@bp.delete("/documents/<int:document_id>")
def delete_document(path: DocumentPath) -> NoContent:
    """Remove a document: its file, its text and its vectors."""
    app = offstage()
    documents.remove(app.services, app.client, g.tenant, path.document_id)
    return NoContent()


@bp.post("/ask")
@describe(problems=(404,))
def ask(body: AskBody) -> Answer[shapes.Answered]:
    """Answer a question out of the caller's documents, with the pages that the answer rests on, or refuse."""
    app = offstage().services
    document = None if body.document_id is None else app.documents.get_completed(g.tenant, body.document_id)
    reply = answer(app, g.tenant, body.question, body.document_id)
    return Answer(
        shapes.Answered(
            question=body.question,
            answer=reply.text,
            document_id=body.document_id,
            document_name=document.filename if document else None,
            mode=reply.mode,
            refused=reply.refused,
            model_error=reply.model_error,
            citations=list(reply.citations),
        )
    )


@bp.get("/search")
def search(query: SearchQuery) -> Answer[shapes.Found]:
    """Return the passages that fit best, by words and by vectors."""
    limit = min(query.limit, MAX_PAGE)
    hits = offstage().services.search.search(g.tenant, query.q, document_id=query.document_id, limit=limit)
    return Answer(shapes.Found(query=query.q, hits=list(hits)))


def document_json(document: Document) -> shapes.Document:
    """Return a document as its owner sees it. Sizes are in bytes, `content_length` in characters."""
    return {
        "id": document.id,
        "filename": document.filename,
        "status": document.status,
        "content_length": document.content_length,
        "created_at": document.created_at.isoformat(),
        "completed_at": document.completed_at.isoformat() if document.completed_at else None,
        "error_message": document.error_message,
        "error_code": document.error_code,
        "media_type": document.media_type,
        "size": document.size,
        "pages": document.page_count,
        "passages": document.passage_count,
        "vectors": FAILED if document.status == FAILED else document.vector_status,
        "job_id": document.job_id,
        "links": {"self": f"/documents/{document.id}", "job": f"/jobs/{document.job_id}"},
    }
