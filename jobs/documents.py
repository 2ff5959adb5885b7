"""Documents: take a file in, read it page by page, make it searchable, then give it vectors.

A receipt writes the file, then the row that names its job, then the job's own row, so that `documents.recover` can mend
whatever a kill between two of them leaves.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated
from uuid import uuid4

from pydantic import BaseModel, Field

from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.core.errors import JobCanceled
from jobs.core.spec import Failure, job
from jobs.core.view import JobNotFound, JobView
from jobs.core.webhooks import Webhook, follow
from jobs.domain.chunks import Passage, split_page
from jobs.domain.documents import DOCX, Page, ParserLimit, display_name
from jobs.providers.parsers import docx, parse
from jobs.providers.parsers.sniff import sniff
from jobs.services import Services
from jobs.stores.blobs import Source, Staged
from jobs.stores.documents import COMPLETED, FAILED, PROCESSING, Admission, Document, NewDocument

log = logging.getLogger(__name__)

PROCESS, EMBED, PURGE = "documents.process", "documents.embed", "documents.purge"
_FLUSH_SECONDS = 0.25  # between two commits: each costs a sync of the disk
_FLUSH_PAGES = 100
_ROUND = 200  # names looked up at once


DocumentId = Annotated[int, Field(ge=0, le=2**63 - 1)]  # what a database holds


class ProcessArgs(BaseModel):
    document_id: DocumentId


class ProcessResult(BaseModel):
    """What was read; nothing if the document was deleted meanwhile."""

    document_id: int
    pages: int = 0
    passages: int = 0


class EmbedArgs(BaseModel):
    document_id: DocumentId


class EmbedResult(BaseModel):
    document_id: int
    passages: int = 0


class PurgeArgs(BaseModel):
    document_id: DocumentId


class PurgeResult(BaseModel):
    """Whether this job removed the document; False if another one had."""

    document_id: int
    purged: bool


class RecoverArgs(BaseModel):
    """After how many seconds a document without a job, and a file without a row, are taken for left behind."""

    document_seconds: float = Field(default=60, ge=0)
    file_seconds: float = Field(default=3600, ge=0)


class RecoverResult(BaseModel):
    """How many documents were started again, purged again or given up, and how many files were deleted."""

    started: int = 0
    purges: int = 0
    failed: int = 0
    files: int = 0


def receive(
    services: Services,
    client: JobClient,
    tenant: str,
    stream: Source,
    filename: str | None,
    webhooks: Sequence[Webhook | None] = (),
) -> Document:
    """Take a file in and start reading it. The same content again is the same document, unless that has failed.

    `webhooks` is looked at when the file has been read: they are told when the document has been.

    Raises:
        TooLarge, EmptyFile, UnsupportedMedia, DocxBomb, Corrupt: the file is not taken; nothing of it is kept.
        StorageFull, StorageError: it could not be taken now; nothing of it is kept.
        TooManyWebhooks: the job that reads it has its share; the file is taken.
    """
    with services.blobs.stage(stream, services.config.max_upload_bytes) as staged:
        document = services.documents.find(tenant, staged.sha256)
        if document is None or document.status == FAILED:
            admission = _admit(services, tenant, staged, filename)
            document = admission.document
            if admission.spare_blob:
                services.documents.delete_blob(admission.spare_blob)
    # Of a known one, too: whoever put it there may not have come to this yet.
    given: list[Webhook | None] = [each for each in webhooks if each]
    for webhook in given or [None]:
        if document.status == PROCESSING:
            start_processing(client, document, webhook)
        elif webhook:
            follow(services.redis, tenant, document.job_id, webhook, ttl=services.config.result_ttl)
    return document


def _admit(services: Services, tenant: str, staged: Staged, filename: str | None) -> Admission:
    media_type = sniff(staged.path)
    if media_type == DOCX:
        docx.inspect(staged.path)
    blob = services.blobs.put(tenant, staged)
    name = display_name(filename)
    new = NewDocument(tenant, name, media_type, staged.size, staged.sha256, blob, job_id=uuid4().hex)
    try:
        return services.documents.admit(new)
    except Exception:
        services.documents.delete_blob(blob)
        raise


def start_processing(client: JobClient, document: Document, webhook: Webhook | None = None) -> None:
    """Start the job that the document names, unless it was started before."""
    args = ProcessArgs(document_id=document.id)
    client.start(PROCESS, args, tenant=document.tenant, job_id=document.job_id, webhook=webhook)


def remove(services: Services, client: JobClient, tenant: str, document_id: int) -> None:
    """Delete a document: it is gone for everybody now, and a job removes its file, its text and its vectors.

    Raises:
        DocumentNotFound: the tenant has none of that id.
    """
    document = services.documents.hide(tenant, document_id)
    _start_purge(client, document)


def _start_purge(client: JobClient, document: Document) -> None:
    client.start(PURGE, PurgeArgs(document_id=document.id), tenant=document.tenant, job_id=document.job_id)


def _mark_failed(ctx: JobContext, args: ProcessArgs, failure: Failure) -> None:
    ctx.services.documents.fail(ctx.tenant, args.document_id, ctx.job_id, failure.code, failure.message)


@job(PROCESS, timeout=600, isolated=True, describe=("document_id",), on_failure=_mark_failed)
def process(ctx: JobContext, args: ProcessArgs) -> ProcessResult:
    """Read a document and make it searchable, page by page; then have it embedded."""
    store, result = ctx.services.documents, ProcessResult(document_id=args.document_id)
    document = store.begin(ctx.tenant, args.document_id, ctx.job_id)
    if document is None:
        return result
    if document.status == PROCESSING:
        try:
            if not _read(ctx, document) or not store.complete(ctx.tenant, document.id, ctx.job_id):
                return result
        except JobCanceled:
            store.fail(ctx.tenant, document.id, ctx.job_id, JobCanceled.code, str(JobCanceled()))
            raise
        except MemoryError:
            raise ParserLimit from None
    _start_embedding(ctx, document)
    document = store.get(ctx.tenant, document.id)
    return ProcessResult(document_id=document.id, pages=document.page_count, passages=document.passage_count)


def _read(ctx: JobContext, document: Document) -> bool:
    """Store a document's pages as they come. Returns False if it is not this job's own any more."""
    config, store = ctx.services.config, ctx.services.documents
    with ctx.services.blobs.open(document.blob) as path:
        found = parse(path, document.media_type, pdf_engine=config.pdf_engine, max_pages=config.max_pages)
        for batch in _batches(found):
            if not store.add_pages(ctx.tenant, document.id, ctx.job_id, batch):
                return False
            page = batch[-1][0]
            ctx.progress(100 * page.number / page.total if page.total else 50, f"page {page.number}")
    return True


def _batches(found: Iterable[Page]) -> Iterator[list[tuple[Page, list[Passage]]]]:
    """Gather pages for a quarter of a second each."""
    batch: list[tuple[Page, list[Passage]]] = []
    due = time.monotonic() + _FLUSH_SECONDS
    for page in found:
        batch.append((page, split_page(page.number, page.text)))
        if len(batch) >= _FLUSH_PAGES or time.monotonic() >= due:
            yield batch
            batch, due = [], time.monotonic() + _FLUSH_SECONDS
    if batch:
        yield batch


def _start_embedding(ctx: JobContext, document: Document) -> str:
    return ctx.start(EMBED, EmbedArgs(document_id=document.id))


def _mark_unembedded(ctx: JobContext, args: EmbedArgs, _failure: Failure) -> None:
    ctx.services.documents.set_vector_status(ctx.tenant, args.document_id, FAILED)


@job(EMBED, queue="low", timeout=3600, retries=5, public=True, describe=("document_id",), on_failure=_mark_unembedded)
def embed(ctx: JobContext, args: EmbedArgs) -> EmbedResult:
    """Give a document's passages their vectors, which are used as they come."""
    search = ctx.services.search
    pending = total = search.pending(ctx.tenant, args.document_id)
    while pending:
        pending = search.embed_pending(ctx.tenant, args.document_id)
        ctx.progress(100 * (1 - pending / max(total, pending, 1)))
    ctx.services.documents.set_vector_status(ctx.tenant, args.document_id, COMPLETED)
    return EmbedResult(document_id=args.document_id, passages=total)


@job(PURGE, queue="low", timeout=3600, isolated=True, describe=("document_id",))
def purge(ctx: JobContext, args: PurgeArgs) -> PurgeResult:
    """Remove what a deleted document had, a little at a time; one that was broken off goes on."""
    purged = ctx.services.documents.purge(ctx.tenant, args.document_id, ctx.job_id, ctx.checkpoint)
    return PurgeResult(document_id=args.document_id, purged=purged)


@job("documents.recover", queue="low", timeout=600, isolated=True, every=300)
def recover(ctx: JobContext, args: RecoverArgs) -> RecoverResult:
    """Start what was accepted and has no job, give up what its job gave up, delete files that nothing names."""
    services, result = ctx.services, RecoverResult()
    client = JobClient(services.redis, result_ttl=services.config.result_ttl, work=services.work)
    for document in services.documents.in_work(args.document_seconds):
        _recover_reading(services, client, document, result)
    for document in services.documents.without_vectors(args.document_seconds):
        _recover_vectors(services, client, document)
    for document in services.documents.hidden(args.document_seconds):
        result.purges += _recover_purge(services, client, document)
    result.files = _delete_orphans(services, args.file_seconds)
    return result


def _recover_vectors(services: Services, client: JobClient, document: Document) -> None:
    """Start embedding under the same id as before: a job that exists is left as it is."""
    owner = JobContext(job_id=document.job_id, tenant=document.tenant, attempt=1, services=services, client=client)
    _start_embedding(owner, document)


def _recover_reading(services: Services, client: JobClient, document: Document, result: RecoverResult) -> None:
    try:
        view = client.get(document.tenant, document.job_id)
    except JobNotFound:
        start_processing(client, document)
        result.started += 1
        return
    if view.ended:
        code, message = _reason(view)
        result.failed += services.documents.fail(document.tenant, document.id, document.job_id, code, message)


def _recover_purge(services: Services, client: JobClient, document: Document) -> bool:
    """Start a purge that has no job, or whose job has ended without it. Returns False if it is under way."""
    try:
        if not client.get(document.tenant, document.job_id).ended:
            return False
    except JobNotFound:
        log.info("a deleted document had no job", extra={"document": document.id})
    renewed = services.documents.reassign(document)
    if renewed:
        _start_purge(client, renewed)
    return renewed is not None


def _reason(view: JobView) -> tuple[str, str]:
    if view.error:
        return view.error.code, view.error.message
    return JobCanceled.code, str(JobCanceled())


def _delete_orphans(services: Services, older_than: float) -> int:
    """Delete files that no row names. A young one may be about to get its row."""
    count = services.blobs.delete_stale_uploads(older_than)
    names = [blob.name for blob in services.blobs.list() if blob.changed_at < time.time() - older_than]
    for start in range(0, len(names), _ROUND):
        some = names[start : start + _ROUND]
        orphans = set(some) - services.documents.named_blobs(some) - services.exports.named_blobs(some)
        for name in orphans:
            services.documents.delete_blob(name)
        count += len(orphans)
    return count
