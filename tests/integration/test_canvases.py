"""Canvases on a running service: the lines of the docs, and writers at the same time in several processes."""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2

from local.stack import Stack
from tests.integration.conftest import StartStack
from tests.integration.http import ended

DOCS = Path(__file__).resolve().parents[2] / "docs" / "canvases.md"


def test_the_lines_of_the_docs_work_as_printed(start_stack: StartStack, tmp_path: Path) -> None:
    """One after another, with curl, on a fresh start; the review that they ask for is made."""
    stack = start_stack()
    lines = re.findall(r"```bash\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
    here = lines.replace("http://localhost:8000", stack.url).replace("curl ", "curl -sS --fail-with-body -w '\\n' ")
    done = subprocess.run(["bash", "-ec", here], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        job = ended(client, client.get("/jobs?type=canvases.review").json()["jobs"][0]["id"])
        names = [canvas["name"] for canvas in client.get("/canvases").json()["canvases"]]
        assert names == [job["result"]["review_canvas_name"]]
        assert [canvas["name"] for canvas in client.get("/canvases?deleted=true").json()["canvases"]] == ["微积分"]


def test_writers_in_two_web_processes_lose_no_node(start_stack: StartStack) -> None:
    """A hundred nodes, fifty at once, with edges between them."""
    stack = start_stack(web_concurrency=2)
    place, node = "/canvases/课程", {"type": "text", "text": "课", "x": 0, "y": 0, "width": 1, "height": 1}
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        client.put(place, content=json.dumps({"nodes": [{"id": "root", **node}]})).raise_for_status()

    def write(number: int) -> str:
        with httpx2.Client(base_url=stack.url, timeout=40) as client:
            made = client.post(f"{place}/nodes", json=node).raise_for_status().json()["id"]
            client.post(f"{place}/edges", json={"fromNode": "root", "toNode": made}).raise_for_status()
            client.patch(f"{place}/nodes/{made}", json={"x": number}).raise_for_status()
            return str(made)

    with ThreadPoolExecutor(50) as pool:
        made = set(pool.map(write, range(100)))
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        canvas = client.get(place).json()
    assert {each["id"] for each in canvas["nodes"]} == {"root", *made}
    assert sorted(each["x"] for each in canvas["nodes"]) == [0, *range(100)]
    assert {edge["toNode"] for edge in canvas["edges"]} == made


def test_the_review_of_a_schedule_or_a_batch_is_a_job_like_any_other(stack: Stack) -> None:
    """The type is public: it is started by name, and a canvas that is not there fails it."""
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        started = client.post("/jobs/canvases.review", json={"args": {"canvas_name": "nowhere"}})
        job = ended(client, started.raise_for_status().json()["task_id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "canvas_not_found")
