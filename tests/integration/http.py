"""Talking to the running service as its clients do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2

from tests.live_reader import frames

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def upload(client: httpx2.Client, name: str, content: bytes) -> dict[str, Any]:
    """Upload a document and return the 202's body."""
    answer = client.post("/upload", files={"file": (name, content)})
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def ended(client: httpx2.Client, job_id: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    while True:
        view = dict(client.get(f"/jobs/{job_id}", params={"wait": 30}).raise_for_status().json())
        if view["ended_at"] or view["state"] == "canceled":
            return view


def read(client: httpx2.Client, name: str, content: bytes) -> dict[str, Any]:
    """Upload a document and return it once it has been read, or has failed."""
    accepted = upload(client, name, content)
    ended(client, accepted["task_id"])
    return dict(client.get(f"/documents/{accepted['document_id']}").raise_for_status().json())


def events(client: httpx2.Client, job_id: str, after: str | None = None) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield kind, data and id of a job's events as they come."""
    headers = {"Last-Event-ID": after} if after else {}
    with client.stream("GET", f"/jobs/{job_id}/events", headers=headers) as response:
        yield from frames(response)
