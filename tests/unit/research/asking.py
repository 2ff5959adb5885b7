"""Research over HTTP in tests: two tenants, requests, and what a stream holds."""

import json
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from jobs.services import Services
from tests.fakes import run_jobs
from webapp.auth import new_key

KEY, ENTRY = new_key("acme")
OTHER, OTHER_ENTRY = new_key("other")
QUERY = "How does sleep affect memory?"
MINE = {"Authorization": f"Bearer {KEY}"}
THEIRS = {"Authorization": f"Bearer {OTHER}"}
LIVE = {"Accept": "text/event-stream"}


def post(client: FlaskClient, headers: dict[str, str] = MINE, **body: Any) -> TestResponse:
    return client.post("/research", json={"query": QUERY} | body, headers=headers)


def done(client: FlaskClient, services: Services, **body: Any) -> str:
    """Ask for research, have it done, and return its id."""
    accepted = post(client, **body)
    assert accepted.status_code == 202, accepted.json
    run_jobs(services)
    return str(accepted.json["task_id"])  # type: ignore[index]


def frames(response: TestResponse) -> list[tuple[str, Any, str]]:
    """Return kind, data and id of the events of a stream that ends."""
    found = []
    for block in response.get_data(as_text=True).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in fields:
            found.append((fields["event"], json.loads(fields["data"]), fields.get("id", "")))
    return found


def text_of(events: list[tuple[str, Any, str]]) -> str:
    pieces: list[str] = []
    for kind, data, _ in events:
        if kind == "output":
            pieces[data["n"] :] = [data["text"]]
    return "".join(pieces)
