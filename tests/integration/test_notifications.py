"""Notifications over real processes and a real mail server, with workers that are killed in the middle."""

import os
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2

from local.stack import Stack
from tests.integration.conftest import StartStack
from tests.mailserver import mail_server

MAILS = 1000
WORKERS = ("worker", "worker-2", "worker-3", "worker-4")
KILL_EVERY = 2.0  # seconds
KILLS = 8
SECONDS = 120.0


def test_each_of_a_thousand_mails_arrives_once_while_workers_are_killed(start_stack: StartStack) -> None:
    """Every 2 s a kill -9 of a worker with all that it runs: a mail is sent and arrived once, or it is unknown."""
    with mail_server() as server:
        stack = start_stack(worker_ttl=5, mail_url=server.url, mail_from="Offstage <noreply@example.org>")
        with httpx2.Client(base_url=stack.url, timeout=40) as client:

            def notify(number: int) -> str:
                content = {"user_id": number, "email": f"user{number}@example.com", "notification_types": ["email"]}
                answer = client.post("/notify", json=content | {"subject": "测试", "message": f"{number}"})
                assert answer.status_code == 202, answer.text
                return str(answer.json()["deliveries"][0]["task_id"])

            with ThreadPoolExecutor(4) as pool:
                accepted = pool.map(notify, range(MAILS))
                kills = kill_workers(stack, client)
                ids = set(accepted)
            found = states(client)
        arrived = Counter(str(mail["Message-ID"]).partition("@")[0].lstrip("<") for mail in server.mails)
    assert kills >= 3
    assert len(ids) == MAILS
    assert found["sent"] | found["unknown"] == ids
    assert all(arrived[delivery] == 1 for delivery in found["sent"])
    assert all(arrived[delivery] <= 1 for delivery in found["unknown"])
    assert len(found["unknown"]) <= kills


def kill_workers(stack: Stack, client: httpx2.Client) -> int:
    """Kill and start one worker after the other, then let them end what waits; return how many were killed."""
    kills, deadline = 0, time.monotonic() + SECONDS
    for name in WORKERS[1:]:
        stack.start_process(name, like="worker")
    while time.monotonic() < deadline:
        due = time.monotonic() + KILL_EVERY
        while time.monotonic() < due:
            found = states(client)
            if not found["queued"] and sum(map(len, found.values())) == MAILS:
                return kills
        if kills == KILLS:
            continue
        name = WORKERS[kills % len(WORKERS)]
        os.kill(stack.processes.pids[name], signal.SIGKILL)
        assert stack.processes.ended(10)
        stack.start_process(name)
        kills += 1
    raise AssertionError("still waiting: " + str({name: len(ids) for name, ids in states(client).items()}))


def states(client: httpx2.Client) -> dict[str, set[str]]:
    """Return the deliveries by state."""
    found: dict[str, set[str]] = {name: set() for name in ("queued", "sent", "failed", "unknown", "skipped")}
    cursor = ""
    while True:
        page = client.get(f"/notifications?limit=100{cursor}").raise_for_status().json()
        for each in page["notifications"]:
            for delivery in each["deliveries"]:
                found[delivery["state"]].add(delivery["task_id"])
        if not page["next_cursor"]:
            return found
        cursor = f"&cursor={page['next_cursor']}"
