"""What reading a PDF costs here, against a bare loop over the same file with the same engine in the same run.

Three ways: the bare loop; `parse`, our generator; and the whole job, which also stores, cuts and indexes each page.
They take turns. Then ten documents with real worker processes, one and two. Starts a Redis of its own on a free port.
Run it with `python -m bench.extraction [FILE.pdf]`; without a file, with the English example, ten times over.
"""

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from pypdf import PdfReader, PdfWriter
from redis import Redis
from rq import Worker

from bench.report import print_report
from config import Config, load_config
from jobs import documents
from jobs.core.client import JobClient
from jobs.core.context import JobContext
from jobs.domain.documents import PDF
from jobs.providers.parsers import parse
from jobs.services import Services, build_services
from jobs.stores.documents import Document
from jobs.stores.migrate import upgrade
from local import die_with_parent
from local.redis_server import RedisServer

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "handbook.en.pdf"
COPIES = 10
ROUNDS = 5
DOCUMENTS = 10


def main() -> None:
    with tempfile.TemporaryDirectory() as name, RedisServer(Path(name) / "redis") as server:
        folder = Path(name)
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else repeated(EXAMPLE, folder / "long.pdf")
        extraction = [row for engine in ("pypdf", "pdfium") for row in compare(engine, path, folder, server.url)]
        print_report("extraction", extraction, file=path.name, rounds=ROUNDS)
        seconds = {count: with_workers(count, path, folder, server.url) for count in (1, 2)}
        rows = [
            {"workers": count, "seconds": round(taken, 2), "times as fast": round(seconds[1] / taken, 2)}
            for count, taken in seconds.items()
        ]
        print_report("documents in parallel", rows, file=path.name, documents=DOCUMENTS)


def compare(engine: str, path: Path, folder: Path, redis_url: str) -> list[dict[str, Any]]:
    """Time the three ways in turns, and return a row for each with its median."""
    services = fresh_services(folder / engine, redis_url, pdf_engine=engine)
    ways: dict[str, Callable[[], int]] = {
        f"bare {engine} loop": lambda: BARE[engine](path),
        f"parse, {engine}": lambda: sum(1 for _ in parse(path, PDF, pdf_engine=engine)),
        f"documents.process, {engine}": whole_jobs(services, path),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    pages = 0
    for _ in range(ROUNDS + 1):
        for name, way in ways.items():
            wall, cpu = time.perf_counter(), time.process_time()
            pages = way()
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = {  # the first round imports and warms up
        name: (median(wall for wall, _ in times[1:]), median(cpu for _, cpu in times[1:]))
        for name, times in taken.items()
    }
    bare_wall, bare_cpu = next(iter(medians.values()))
    return [
        {
            "way": name,
            "pages": pages,
            "wall s": round(wall, 3),
            "CPU s": round(cpu, 3),
            "pages/s": round(pages / wall, 1),
            "wall against bare": f"{wall / bare_wall - 1:+.1%}",
            "CPU against bare": f"{cpu / bare_cpu - 1:+.1%}",
        }
        for name, (wall, cpu) in medians.items()
    ]


def bare_pypdf(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for page in PdfReader(file).pages if page.extract_text() or True)


def bare_pdfium(path: Path) -> int:
    import pypdfium2

    with pypdfium2.PdfDocument(path) as document:
        return sum(1 for page in document if page.get_textpage().get_text_bounded() or True)


BARE = {"pypdf": bare_pypdf, "pdfium": bare_pdfium}


def whole_jobs(services: Services, path: Path) -> Callable[[], int]:
    """Return a way to run the job in this process, each time on another document that was received before."""
    client = JobClient(services.redis, result_ttl=60)
    received = iter([receive(services, client, path, n) for n in range(ROUNDS + 1)])

    def process_next() -> int:
        document = next(received)
        ctx = JobContext(job_id=document.job_id, tenant="local", attempt=1, services=services, client=client)
        return int(documents.process(ctx, documents.ProcessArgs(document_id=document.id)).pages)

    return process_next


def receive(services: Services, client: JobClient, path: Path, number: int) -> Document:
    """Take the file in with a comment behind it, so that its digest is its own."""
    content = io.BytesIO(path.read_bytes() + b"\n%% %d\n" % number)
    return documents.receive(services, client, "local", content, path.name)


def with_workers(count: int, path: Path, folder: Path, redis_url: str) -> float:
    """Return the seconds that so many worker processes take for ten documents, from the first upload on."""
    services = fresh_services(folder / f"workers-{count}", redis_url)
    client = JobClient(services.redis, result_ttl=60)
    with workers(count, services.config, redis_url):
        wait_until(lambda: Worker.count(services.redis) == count)
        started = time.perf_counter()
        uploaded = [receive(services, client, path, n) for n in range(DOCUMENTS)]
        wait_until(lambda: all(is_done(services, document) for document in uploaded))
        return time.perf_counter() - started


@contextmanager
def workers(count: int, config: Config, redis_url: str) -> Iterator[None]:
    """Run so many workers of the queue of documents; vectors are not part of what is measured."""
    environment = os.environ | {"REDIS_URL": redis_url, "DATA_DIR": str(config.data_dir)}
    log = (config.data_dir / "workers.log").open("wb")
    command = die_with_parent.command(sys.executable, "worker.py", "default")
    with ExitStack() as stack:
        stack.enter_context(log)
        started = [
            stack.enter_context(subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log))
            for _ in range(count)
        ]
        try:
            yield
        finally:
            for process in started:
                process.terminate()


def fresh_services(folder: Path, redis_url: str, **settings: Any) -> Services:
    """Return services on an empty database and an empty Redis."""
    folder.mkdir()
    config = load_config(data_dir=folder, redis_url=redis_url, **settings)
    upgrade(config.sqlalchemy_url)
    Redis.from_url(redis_url).flushall()
    return build_services(config)


def is_done(services: Services, document: Document) -> bool:
    status = services.documents.get(document.tenant, document.id).status
    if status == "failed":
        raise SystemExit("a document failed")
    return status == "completed"


def wait_until(ready: Callable[[], bool], seconds: float = 600) -> None:
    until = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > until:
            raise SystemExit("it took too long")
        time.sleep(0.02)


def repeated(source: Path, target: Path) -> Path:
    """Write a long document out of a short one."""
    writer = PdfWriter()
    for _ in range(COPIES):
        writer.append(PdfReader(source))  # a reader each: nothing is shared between the copies
    writer.write(target)
    return target


if __name__ == "__main__":
    main()
