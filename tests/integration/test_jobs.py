"""Any job over HTTP, run by real worker processes."""

import io
import os
import signal
import threading
import time
from pathlib import Path

import httpx2
from pypdf import PdfReader, PdfWriter

from tests.integration.conftest import StartStack
from tests.integration.http import EXAMPLES, ended, events, upload


def long_pdf(copies: int) -> bytes:
    """Return the handbook many times over: seconds of work that tells its progress."""
    writer, reader = PdfWriter(), PdfReader(EXAMPLES / "handbook.en.pdf")
    for _ in range(copies):
        writer.append(reader)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_an_upload_is_answered_at_once_and_watched_to_its_end(client: httpx2.Client) -> None:
    """202 with its address; live progress that only grows; the end event; then the state is final for everybody."""
    answer = client.post("/upload", files={"file": ("long.pdf", long_pdf(12))})
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/jobs/{answer.json()['task_id']}"
    job_id = answer.headers["X-Task-ID"]
    seen = list(events(client, job_id))
    percents = [data["percent"] for kind, data, _ in seen if kind == "progress"]
    assert percents == sorted(percents)
    assert percents[-1] == 100
    assert seen[-1][:2] == ("end", {"state": "completed"})
    assert client.get(f"/jobs/{job_id}").json()["state"] == "completed"


def test_a_stream_goes_on_exactly_after_the_last_event(client: httpx2.Client) -> None:
    """Dropped after every second event and taken up again, live: each event once, as for one who never left."""
    job_id = upload(client, "drop.pdf", long_pdf(16))["task_id"]
    whole: list[str] = []
    follower = threading.Thread(target=lambda: whole.extend(i for _, _, i in events(client, job_id) if i))
    follower.start()
    pieces: list[str] = []
    kind = ""
    while kind != "end":
        stream = events(client, job_id, pieces[-1] if pieces else None)
        for count, (kind, _, event_id) in enumerate(stream):  # noqa: B007 - kind ends the outer loop
            pieces += [event_id] if event_id else []
            if count == 2:
                break
        stream.close()
    follower.join(timeout=60)
    assert len(whole) > 4
    assert pieces == whole
    done = client.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": pieces[-1]})
    assert done.status_code == 204  # which stops a browser's EventSource


def test_a_stream_survives_the_death_of_its_web_process(start_stack: StartStack) -> None:
    """kill -9 of the process that serves it: the next one goes on after the last event, and none is missing."""
    stack = start_stack(web_concurrency=1)
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        job_id = upload(client, "kill.pdf", long_pdf(16))["task_id"]
        before: list[str] = []
        try:
            for _kind, _data, event_id in events(client, job_id):
                before += [event_id] if event_id else []
                if len(before) == 2:
                    for pid in web_workers(stack.processes.pids["web"]):
                        os.kill(pid, signal.SIGKILL)
        except httpx2.HTTPError:
            pass
        wait_for_web(client)
        after = [event_id for _, _, event_id in events(client, job_id, before[-1]) if event_id]
        whole = [event_id for _, _, event_id in events(client, job_id) if event_id]
        assert before + after == whole


def test_a_stream_goes_on_over_the_death_of_its_worker(start_stack: StartStack) -> None:
    """kill -9 of the worker with all it runs: open streams stay, and say what the next worker does, each event once."""
    stack = start_stack(worker_ttl=5)
    with httpx2.Client(base_url=stack.url, timeout=60) as client:
        job_id = upload(client, "orphan.pdf", long_pdf(30))["task_id"]
        seen: list[tuple[str, str]] = []
        for kind, data, event_id in events(client, job_id):  # noqa: B007 - the last data are looked at
            seen += [(kind, event_id)] if event_id else []
            if len(seen) == 2:
                os.kill(stack.processes.pids["worker"], signal.SIGKILL)
                assert stack.processes.ended(10)
                stack.start_process("worker")
        assert data["state"] == "completed"
        assert "status" in [kind for kind, _ in seen]  # the attempt that was lost
        assert [event_id for _, event_id in seen] == [event_id for _, _, event_id in events(client, job_id) if event_id]
        view = client.get(f"/jobs/{job_id}").json()
        assert [attempt["code"] for attempt in view["attempts"]] == ["worker_died"]


def test_a_running_job_is_canceled_within_seconds(client: httpx2.Client) -> None:
    """Its document fails as canceled; canceling again changes nothing."""
    accepted = upload(client, "cancel.pdf", long_pdf(60))
    job_id = accepted["task_id"]
    for kind, _, _ in events(client, job_id):
        if kind == "progress":
            break
    asked = time.monotonic()
    client.post(f"/jobs/{job_id}/cancel").raise_for_status()
    view = ended(client, job_id)
    assert view["state"] == "canceled"
    assert time.monotonic() - asked < 5
    assert client.post(f"/jobs/{job_id}/cancel").json()["state"] == "canceled"
    until = time.monotonic() + 30
    while (document := client.get(f"/documents/{accepted['document_id']}").json())["status"] == "processing":
        assert time.monotonic() < until
    assert (document["status"], document["error_code"]) == ("failed", "canceled")


def test_the_web_keeps_its_latency_while_the_workers_are_busy(client: httpx2.Client) -> None:
    """A slow job takes no web worker: with long documents queued, an upload and a health check answer at once."""
    accepted = [upload(client, f"busy{n}.pdf", long_pdf(20) + bytes(n)) for n in range(3)]
    taken = []
    for n in range(20):
        start = time.monotonic()
        client.get("/health").raise_for_status()
        upload(client, "quick.txt", f"quick {n}".encode())
        taken.append(time.monotonic() - start)
    assert sorted(taken)[10] < 1
    for one in accepted:
        client.post(f"/jobs/{one['task_id']}/cancel")


def test_the_short_form_of_a_real_job(client: httpx2.Client) -> None:
    """The id of a 202 answers at /task, too."""
    job_id = upload(client, "short.txt", b"short form")["task_id"]
    ended(client, job_id)
    task = client.get(f"/task/{job_id}").json()
    assert (task["status"], task["retry_count"], task["error"]) == ("completed", 0, None)


def web_workers(master: int) -> list[int]:
    """Return gunicorn's worker processes."""
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [int(pid) for pid in children]


def wait_for_web(client: httpx2.Client) -> None:
    """Wait until the web side answers again."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.HTTPError:
            continue
    raise AssertionError("the web side did not come back")


def test_a_running_job_is_paused_frees_its_worker_and_goes_on(client: httpx2.Client) -> None:
    """Pause at a checkpoint; the one worker does something else meanwhile; resumed, the whole document is there."""
    accepted = upload(client, "pause.pdf", long_pdf(30))
    job_id = accepted["task_id"]
    for kind, _, _ in events(client, job_id):
        if kind == "progress":
            break
    client.post(f"/jobs/{job_id}/pause").raise_for_status()
    until = time.monotonic() + 10
    while (state := client.get(f"/jobs/{job_id}").json()["state"]) != "paused":
        assert time.monotonic() < until, state
    assert ended(client, upload(client, "between.txt", b"in between")["task_id"])["state"] == "completed"
    assert client.get(f"/jobs/{job_id}").json()["state"] == "paused"
    client.post(f"/jobs/{job_id}/resume").raise_for_status()
    view = ended(client, job_id)
    assert (view["state"], view["attempts"], view["result"]["pages"]) == ("completed", [], 120)
