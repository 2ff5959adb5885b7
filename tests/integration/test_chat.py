"""Conversations over real processes: logged and counted to the unit, whatever dies."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.integration.conftest import StartStack

CHATS = 1500
USERS = 7
KILLS = 5
SECONDS = 90.0


def test_every_conversation_is_logged_and_counted_once_while_workers_are_killed(start_stack: StartStack) -> None:
    """The sums of the answers, of the log and of the statistics agree, in conversations and in tokens."""
    stack = start_stack(worker_ttl=5)
    with httpx2.Client(base_url=stack.url, timeout=40) as client:

        def chat(number: int) -> tuple[int, int]:
            said = client.post(
                "/chat", json={"user_id": number % USERS, "message": f"你好 {number}"}
            ).raise_for_status()
            tokens = said.json()["tokens"]
            return number % USERS, tokens["prompt"] + tokens["completion"]

        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(chat, range(CHATS))
            for _ in range(KILLS):
                time.sleep(1)  # the load goes on meanwhile: the kills fall where they fall
                os.kill(stack.processes.pids["worker"], signal.SIGKILL)
                assert stack.processes.ended(10)
                stack.start_process("worker")
            expected = [(0, 0)] * USERS
            for user, tokens in answers:
                expected[user] = (expected[user][0] + 1, expected[user][1] + tokens)
        until = time.monotonic() + SECONDS
        while (found := [figures(client, user) for user in range(USERS)]) != expected:
            assert time.monotonic() < until, (found, expected)
        assert [len(history(client, user)) for user in range(USERS)] == [count for count, _ in expected]


def figures(client: httpx2.Client, user: int) -> tuple[int, int]:
    stats = client.get(f"/stats/{user}").raise_for_status().json()
    return stats["total_conversations"], stats["total_tokens"]


def history(client: httpx2.Client, user: int) -> set[str]:
    """Return all of a user's messages."""
    found: list[str] = []
    cursor = ""
    while True:
        page = client.get(f"/history/{user}?limit=100{cursor}").raise_for_status().json()
        found += [each["message"] for each in page["conversations"]]
        if not page["next_cursor"]:
            assert len(found) == len(set(found))
            return set(found)
        cursor = f"&cursor={page['next_cursor']}"
