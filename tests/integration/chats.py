"""Many conversations over real processes while workers are killed: what was answered is held against what was logged.

`python -m tests.integration.chats --chats 10000` runs it at length and prints the figures; the suite has a shorter one.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import httpx2

from local.stack import Stack
from tests.integration.conftest import new_stack

USERS = 7
CLIENTS = 4
SECONDS = 120.0  # that logging may take after the last answer


@dataclass(frozen=True)
class Figures:
    """What came of it: conversations and tokens, as they were answered, counted, logged; in how many transactions."""

    answered: int
    answered_tokens: int
    counted: int
    counted_tokens: int
    logged: int
    sessions: int
    logging_transactions: int
    kills: int
    seconds: float

    @property
    def agree(self) -> bool:
        """Whether all of it is the same to the unit."""
        same = self.answered == self.counted == self.logged == self.sessions
        return same and self.answered_tokens == self.counted_tokens


def chat_over_kills(stack: Stack, chats: int, kills: int, seed: int = 1) -> Figures:
    """Send so many chats, kill workers meanwhile, wait until the statistics agree, and count everything."""
    began, random = time.monotonic(), Random(seed)
    with httpx2.Client(base_url=stack.url, timeout=40) as client, ThreadPoolExecutor(CLIENTS) as pool:
        answers = [pool.submit(_chat, client, number) for number in range(chats)]
        for kill in range(1, kills + 1):
            answers[min(chats - 1, round(chats * kill / (kills + 1)))].result()
            time.sleep(random.uniform(0, 0.3))  # somewhere in the work of a quarter of a second
            os.kill(stack.processes.pids["worker"], signal.SIGKILL)
            if not stack.processes.ended(10):
                raise RuntimeError("the worker did not end")
            stack.start_process("worker")
        tokens = [answer.result() for answer in answers]
        until = time.monotonic() + SECONDS
        while _counted(client) != (chats, sum(tokens)) and time.monotonic() < until:
            time.sleep(0.2)
        counted, counted_tokens = _counted(client)
        logged = [message for user in range(USERS) for message in _pages(client, f"/history/{user}", "conversations")]
        sessions = [each for user in range(USERS) for each in _pages(client, f"/history/{user}/analysis", "sessions")]
        jobs = list(_pages(client, "/jobs", "jobs", "&type=conversations.log"))
    if len({each["message"] for each in logged}) != len(logged):
        raise AssertionError("a conversation is in the log twice")
    return Figures(
        answered=chats,
        answered_tokens=sum(tokens),
        counted=counted,
        counted_tokens=counted_tokens,
        logged=len(logged),
        sessions=sum(each["exchanges"] for each in sessions),
        logging_transactions=sum(each["result"]["rounds"] for each in jobs if each["state"] == "completed"),
        kills=kills,
        seconds=round(time.monotonic() - began, 1),
    )


def _chat(client: httpx2.Client, number: int) -> int:
    body = {"user_id": number % USERS, "message": f"你好 {number}", "session_id": f"s{number % (USERS * 20)}"}
    tokens = client.post("/chat", json=body).raise_for_status().json()["tokens"]
    return int(tokens["prompt"] + tokens["completion"])


def _counted(client: httpx2.Client) -> tuple[int, int]:
    found = [client.get(f"/stats/{user}").raise_for_status().json() for user in range(USERS)]
    return sum(each["total_conversations"] for each in found), sum(each["total_tokens"] for each in found)


def _pages(client: httpx2.Client, path: str, name: str, query: str = "") -> Iterator[dict[str, Any]]:
    cursor = ""
    while True:
        page = client.get(f"{path}?limit=100{query}{cursor}").raise_for_status().json()
        yield from page[name]
        if not page["next_cursor"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def main() -> int:
    """Return 1 if anything was lost or counted twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chats", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, new_stack(Path(folder) / "stack", worker_ttl=5) as stack:
        figures = chat_over_kills(stack, options.chats, options.kills, options.seed)
    stack.out.close()
    print(json.dumps({"seed": options.seed, **asdict(figures)}, indent=1))  # noqa: T201 - a program for the terminal
    return 0 if figures.agree else 1


if __name__ == "__main__":
    sys.exit(main())
