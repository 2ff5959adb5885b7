"""Accepted means done: what was answered with 202 is done, whatever becomes of Redis meanwhile."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
from redis import Redis
from rq.suspension import suspend

from jobs.core.worker_parts.outage import until_back
from local.redis_server import RedisServer
from local.stack import Stack
from tests.integration.conftest import new_stack
from tests.integration.http import upload

SECONDS = 90.0  # for a round of the reconciler, and the work itself, on a busy machine
EMBED = "/jobs/documents.embed"  # of a document that there is not: a job that has nothing to do
BATCH = 300


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running service for the tests here, each of which heals what it breaks."""
    with new_stack(tmp_path_factory.mktemp("accepted")) as running:
        yield running
    running.out.close()


@pytest.fixture
def server(breakable: Stack) -> RedisServer:
    """The service's Redis."""
    assert breakable.redis is not None
    return breakable.redis


@pytest.fixture
def web(breakable: Stack) -> Iterator[httpx2.Client]:
    """A client of the service."""
    with httpx2.Client(base_url=breakable.url, timeout=30) as http:
        yield http


@contextmanager
def killed(server: RedisServer) -> Iterator[None]:
    """Have no Redis; it comes back with all that it had written."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def hung(server: RedisServer) -> Iterator[None]:
    """Have a Redis that takes connections and does not answer."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def suspended(server: RedisServer) -> None:
    """Let workers start nothing, until Redis is wiped."""
    with Redis.from_url(server.url) as redis:
        suspend(redis)


def wipe(server: RedisServer) -> None:
    """Take everything that Redis holds."""
    with Redis.from_url(server.url) as redis:
        until_back(redis.flushall)  # it may still be loading


def start(web: httpx2.Client, **headers: str) -> str:
    """Start a job, and return the id of the 202."""
    answer = web.post(EMBED, json={"args": {"document_id": 10**9}}, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def start_batch(web: httpx2.Client) -> str:
    """Start a batch, and return the id of the 202."""
    items = [{"document_id": 10**9 + number} for number in range(BATCH)]
    answer = web.post("/batches", json={"type": "documents.embed", "items": items})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["batch_id"])


def look(web: httpx2.Client, path: str) -> dict[str, Any]:
    """Return what was acknowledged; that is never a 404 or a 500."""
    answer = web.get(path)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text}"
    return dict(answer.json())


def until(web: httpx2.Client, path: str, done: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Look again and again until it is `done`."""
    end = time.monotonic() + SECONDS
    while not done(view := look(web, path)):
        assert time.monotonic() < end, f"{path} is still {view}"
        time.sleep(0.1)
    return view


def completed(view: dict[str, Any]) -> bool:
    """Whether a job or a batch has completed; an end of another kind fails the test."""
    assert view["state"] not in ("failed", "canceled"), view
    return bool(view["state"] == "completed")


def see_done(web: httpx2.Client, jobs: list[str], batch: str) -> None:
    """See the jobs completed, and the batch with its counts."""
    for job_id in jobs:
        until(web, f"/jobs/{job_id}", completed)
    view = until(web, f"/batches/{batch}", completed)
    assert (view["counts"]["completed"], view["total"]) == (BATCH, BATCH)


@pytest.mark.parametrize("away", [killed, hung])
def test_without_redis_work_is_accepted_shown_as_queued_and_done(
    web: httpx2.Client, server: RedisServer, away: Callable[[RedisServer], Any]
) -> None:
    """Jobs, uploads and batches alike; in the long form and in the short one."""
    with away(server):
        jobs = [start(web) for _ in range(3)]
        document = upload(web, "away.txt", f"accepted while Redis was {away.__name__}".encode())
        batch = start_batch(web)
        assert {look(web, f"/jobs/{job_id}")["state"] for job_id in jobs} == {"queued"}
        assert look(web, f"/task/{document['task_id']}")["status"] == "pending"
        assert look(web, f"/batches/{batch}")["counts"]["queued"] == BATCH
    see_done(web, [*jobs, document["task_id"]], batch)
    assert look(web, f"/documents/{document['document_id']}")["status"] == "completed"


def test_a_key_keeps_its_promise_without_redis(web: httpx2.Client, server: RedisServer) -> None:
    """The same request is the same job; another one, of a file with the same length too, is refused."""
    with killed(server):
        key = {"Idempotency-Key": "while-away"}
        assert start(web, **key) == start(web, **key)
        other = web.post(EMBED, json={"args": {"document_id": 7}}, headers=key)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
        key = {"Idempotency-Key": "file-while-away"}
        first, again, changed = (
            web.post("/upload", files={"file": ("a.txt", content)}, headers=key)
            for content in (b"first one", b"first one", b"other one")
        )
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["task_id"] == again.json()["task_id"]
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
    until(web, f"/jobs/{first.json()['task_id']}", completed)


def test_what_waited_in_a_wiped_redis_is_done(web: httpx2.Client, server: RedisServer) -> None:
    """From the answer on it is never unknown: the row speaks for it until a job does."""
    suspended(server)
    jobs = [start(web) for _ in range(20)]
    document = upload(web, "wiped.txt", b"accepted before Redis was wiped")
    batch = start_batch(web)
    wipe(server)
    assert {look(web, f"/jobs/{job_id}")["state"] for job_id in jobs} <= {"queued", "running", "completed"}
    see_done(web, [*jobs, document["task_id"]], batch)
    assert look(web, f"/documents/{document['document_id']}")["status"] == "completed"


def test_what_ran_when_redis_was_wiped_is_done(web: httpx2.Client, server: RedisServer) -> None:
    """The attempt that was under way, or one after it, ends it; the document has each of its pages once."""
    text = "\n\n".join(f"Paragraph {number} of a long document." for number in range(20_000)).encode()
    document = upload(web, "running.txt", text)
    batch = start_batch(web)
    until(web, f"/jobs/{document['task_id']}", lambda view: view["state"] != "queued")
    wipe(server)
    see_done(web, [document["task_id"]], batch)
    read = look(web, f"/documents/{document['document_id']}")
    assert (read["status"], read["content_length"]) == ("completed", len(text))


def test_an_end_is_remembered_without_redis(web: httpx2.Client, server: RedisServer) -> None:
    """State and result of an ended job, while Redis is away and when it has lost everything."""
    job_id = start(web)
    result = until(web, f"/jobs/{job_id}", completed)["result"]
    assert result["document_id"] == 10**9
    with killed(server):
        assert look(web, f"/jobs/{job_id}")["result"] == result
    wipe(server)
    assert look(web, f"/jobs/{job_id}")["result"] == result
    assert look(web, f"/task/{job_id}")["status"] == "completed"
