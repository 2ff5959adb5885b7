"""The lines of docs/rq.md and of the README, run as they are printed, with the stock `rq`, on real jobs."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from local.stack import Stack
from tests.integration.conftest import StartStack

ROOT = Path(__file__).resolve().parents[2]
WITH_ADDRESS = ' --url "$REDIS_URL"'


def printed_lines(document: str) -> set[str]:
    """Return every `rq` line in the code blocks of a document."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / document).read_text(encoding="utf-8"), re.DOTALL)
    return {line for block in blocks for line in block.splitlines() if line.startswith("rq ")}


def run(line: str, stack: Stack) -> str:
    """Run a line in a shell as the documents set it up, and return what it prints."""
    assert line.startswith("rq ")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-euc", f'export RQ_REDIS_URL="$(cat var/redis/url)"\n{line}'],
        cwd=stack.config.data_dir.parent,
        env=os.environ | {"PATH": path, "REDIS_URL": stack.redis_url},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def upload(client: httpx2.Client, name: str, content: bytes) -> str:
    """Upload a document and return its job's id."""
    answer = client.post("/upload", files={"file": (name, content)})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["task_id"])


def ended(client: httpx2.Client, job_id: str) -> Any:
    """Return a job once it has ended."""
    job = client.get(f"/jobs/{job_id}", params={"wait": 30}).json()
    assert job["state"] in ("completed", "failed"), job
    return job


def failed_job(client: httpx2.Client, name: str) -> str:
    """Return the id of a job that has failed for good: a PDF cut off in its middle, unlike any other."""
    job_id = upload(client, name, b"%PDF-1.7\n" + name.encode() * 50)
    assert ended(client, job_id)["state"] == "failed"
    return job_id


def failures(client: httpx2.Client, job_id: str) -> int:
    """Return how many attempts of an ended job have failed."""
    return len(ended(client, job_id)["attempts"])


LINES = sorted(printed_lines("docs/rq.md") | printed_lines("README.md"))


def test_the_documents_print_what_is_tested_here() -> None:
    """A new line there needs a test here; the README's have the address in the line."""
    assert {line.replace(WITH_ADDRESS, "") for line in LINES} == {
        "rq info",
        "rq info --only-queues",
        "rq info --only-workers",
        "rq info --by-queue high default low",
        "rq requeue --queue default JOB_ID",
        "rq requeue --queue default --all",
        "rq suspend",
        "rq resume",
    }


@pytest.mark.parametrize("line", [line for line in LINES if "info" in line])
def test_info_lists_our_queues_and_our_worker(stack: Stack, client: httpx2.Client, line: str) -> None:
    """What each view is for stands in it."""
    ended(client, upload(client, "info.txt", line.encode()))
    shown = run(line, stack)
    if "workers" not in line:
        assert "default" in shown
    if "queues" not in line:
        assert re.search(r"idle|busy", shown)


@pytest.mark.parametrize("line", [line for line in LINES if "JOB_ID" in line])
def test_requeue_of_one_job_runs_that_job_once_more(stack: Stack, client: httpx2.Client, line: str) -> None:
    """And leaves the one beside it alone."""
    job_id, other = failed_job(client, f"one {line}.pdf"), failed_job(client, f"other {line}.pdf")
    run(line.replace("JOB_ID", job_id), stack)
    assert failures(client, job_id) == 2
    assert failures(client, other) == 1


@pytest.mark.parametrize("line", [line for line in LINES if "--all" in line])
def test_requeue_of_all_runs_every_failed_job_once_more(stack: Stack, client: httpx2.Client, line: str) -> None:
    """However many there are."""
    job_ids = [failed_job(client, f"{number} {line}.pdf") for number in range(3)]
    run(line, stack)
    assert [failures(client, job_id) for job_id in job_ids] == [2, 2, 2]


def test_suspend_holds_new_jobs_and_resume_does_them(start_stack: StartStack) -> None:
    """A job given meanwhile waits, and is done afterwards."""
    stack = start_stack()
    with httpx2.Client(base_url=stack.url, timeout=40) as client:
        run("rq suspend", stack)
        job_id = upload(client, "later.txt", b"It waits for a while.")
        assert client.get(f"/jobs/{job_id}", params={"wait": 2}).json()["state"] == "queued"
        run("rq resume", stack)
        assert ended(client, job_id)["state"] == "completed"
