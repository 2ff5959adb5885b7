"""What the tests of documents do again and again."""

import io
from pathlib import Path
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import update

from jobs import documents
from jobs.core.context import JobContext
from jobs.services import Services
from jobs.stores.documents import Document, DocumentStore
from jobs.stores.schema import documents as table
from tests.fakes import job_client

CHINESE = "这是一篇关于 Python 的文档。Python 是一种高级编程语言。".encode()


class NoClient:
    """A job client whose Redis is away."""

    def start(self, *_args: Any, **_options: Any) -> str:
        raise RedisConnectionError


class DeletedMeanwhile(DocumentStore):
    """A store whose owner deletes the document just before its first page is written."""

    def __init__(self, services: Services) -> None:
        super().__init__(services.database, services.blobs, services.search)

    def add_pages(self, tenant: str, document_id: int, job_id: str, found: Any) -> bool:
        self.hide(tenant, document_id)
        return super().add_pages(tenant, document_id, job_id, found)


class OutOfMemory(DeletedMeanwhile):
    def add_pages(self, tenant: str, document_id: int, job_id: str, found: Any) -> bool:
        raise MemoryError


def receive(services: Services, content: bytes, name: str | None = "手册.pdf") -> Document:
    return documents.receive(services, job_client(services), "local", io.BytesIO(content), name)


def now(services: Services, document: Document) -> Document:
    return services.documents.get(document.tenant, document.id)


def context(services: Services, document: Document) -> JobContext:
    return JobContext(job_id=document.job_id, tenant="local", attempt=1, services=services, client=job_client(services))


def recover(services: Services, *, file_seconds: float = 0) -> documents.RecoverResult:
    ctx = JobContext(job_id="0" * 32, tenant="local", attempt=1, services=services, client=job_client(services))
    return documents.recover(ctx, documents.RecoverArgs(document_seconds=0, file_seconds=file_seconds))


def delete(services: Services, document: Document) -> None:
    documents.remove(services, job_client(services), document.tenant, document.id)


def files(services: Services) -> list[Path]:
    return [path for path in (services.config.data_dir / "blobs").rglob("*") if path.is_file()]


def set_processing(services: Services, document: Document) -> None:
    """As if the process had been killed before it could say how its work had ended."""
    with services.database.write() as connection:
        connection.execute(update(table).where(table.c.id == document.id).values(status="processing"))
