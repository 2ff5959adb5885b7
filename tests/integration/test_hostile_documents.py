"""Files made to exhaust their reader bring down one process; the worker that started it lives on."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import load_config
from jobs import documents
from jobs.core.client import JobClient
from jobs.services import Services, build_services
from jobs.stores.documents import Document
from jobs.stores.migrate import upgrade
from local.redis_server import RedisServer
from tests import samples

ROOT = Path(__file__).parents[2]
LIMITS = {"isolated_cpu_seconds": 3, "isolated_memory_mb": 256}
DENSE_PAGE = b"BT /F1 12 Tf 72 720 Td (x) Tj ET\n" * 20_000


@pytest.fixture(params=["pypdf", "pdfium"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Services, "subprocess.Popen[bytes]"]]:
    """Services and a worker on a Redis of their own, with tight limits."""
    with RedisServer(tmp_path / "redis") as server:
        config = load_config(data_dir=tmp_path, redis_url=server.url, pdf_engine=request.param, **LIMITS)
        upgrade(config.sqlalchemy_url)
        settings = {name.upper(): str(value) for name, value in LIMITS.items()}
        settings |= {"REDIS_URL": server.url, "DATA_DIR": str(tmp_path), "PDF_ENGINE": request.param}
        command = [sys.executable, "worker.py", "default"]
        with (tmp_path / "worker.log").open("wb") as log:
            worker = subprocess.Popen(command, cwd=ROOT, env=os.environ | settings, stdout=log, stderr=log)
        services = build_services(config)
        try:
            yield services, worker
        finally:
            worker.terminate()
            worker.wait(30)
            services.database.engine.dispose()
            services.redis.close()


def test_hostile_files_fail_and_the_worker_reads_the_next(
    stack: tuple[Services, "subprocess.Popen[bytes]"],
) -> None:
    services, worker = stack
    hostile = {
        "200 pages of one dense stream": samples.pdf_of_streams([DENSE_PAGE], shared=200),
        "a page that unpacks to 60 MB": samples.pdf_of_streams([b"BT (x) Tj ET\n" * 4_600_000]),
        "a page tree that loops": samples.looping_pdf(),
        "a password": samples.encrypted_pdf(user="secret", owner="boss"),
    }
    ended = {name: wait_for(services, receive(services, content)) for name, content in hostile.items()}
    good = wait_for(services, receive(services, samples.ENGLISH_PDF.read_bytes()))
    assert (good.status, good.page_count) == ("completed", 4)
    assert worker.poll() is None
    codes = {name: document.error_code for name, document in ended.items() if document.status == "failed"}
    assert codes.pop("a password") == "pdf_encrypted"
    if services.config.pdf_engine == "pypdf":
        assert codes == {
            "200 pages of one dense stream": "resource_limit",
            "a page that unpacks to 60 MB": "resource_limit",
            "a page tree that loops": "corrupt",
        }


def receive(services: Services, content: bytes) -> Document:
    client = JobClient(services.redis, result_ttl=services.config.result_ttl)
    return documents.receive(services, client, "local", io.BytesIO(content), "innocent.pdf")


def wait_for(services: Services, document: Document) -> Document:
    """Return the document when it is read or given up."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        now = services.documents.get(document.tenant, document.id)
        if now.status != "processing":
            return now
        time.sleep(0.05)
    raise AssertionError("the document is still being read")
