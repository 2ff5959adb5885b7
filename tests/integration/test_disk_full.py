"""A disk that is full while a document comes in: the real web, under a limit of the kernel's on what it may write."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from local.stack import Stack
from tests.integration.conftest import StartStack
from tests.integration.http import read
from tests.processes import descendants

LIMIT = 32 * 2**20  # bytes: far above the database's files


@contextmanager
def full_for(stack: Stack, limit: int) -> Iterator[None]:
    """Let the web's files grow to so many bytes only: the write beyond fails half done, as on a full disk."""
    pid = stack.processes.pids["web"]
    pids = [pid, *descendants(pid)]
    before = {each: resource.prlimit(each, resource.RLIMIT_FSIZE) for each in pids}
    for each in pids:
        resource.prlimit(each, resource.RLIMIT_FSIZE, (limit, before[each][1]))
    yield
    for each in pids:
        resource.prlimit(each, resource.RLIMIT_FSIZE, before[each])


def test_an_upload_that_does_not_fit_is_507_and_leaves_nothing(start_stack: StartStack) -> None:
    """No file, no row, no job; what fits is taken meanwhile, and the same upload when there is room."""
    stack = start_stack()
    blobs = stack.config.data_dir / "blobs"
    big = b"The valve opens at 4 bar.\n" * (LIMIT // 26 + 1000)
    with httpx2.Client(base_url=stack.url, timeout=60) as client:
        with full_for(stack, LIMIT):
            refused = client.post("/upload", files={"file": ("big.txt", big)}, headers={"Idempotency-Key": "big"})
            assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
            assert [path for path in blobs.rglob("*") if path.is_file()] == []
            assert client.get("/documents").json()["documents"] == []
            assert client.get("/jobs").json()["jobs"] == []
            assert read(client, "small.txt", b"The valve opens at 4 bar.")["status"] == "completed"
        taken = client.post("/upload", files={"file": ("big.txt", big)}, headers={"Idempotency-Key": "big"})
        assert taken.status_code == 202
