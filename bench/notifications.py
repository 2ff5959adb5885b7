"""Notifications: from the 202 to the mail server on an idle system, and how many mails a second two workers send.

Starts a Redis, a mail server, a web server and workers of its own on free ports. The rate stands beside that of a bare
`smtplib` loop with as many connections, in the same run. Prints a table, then JSON: `python -m bench.notifications`.
"""

import os
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.message import EmailMessage
from pathlib import Path
from statistics import quantiles
from typing import Any

import httpx2

from bench.report import print_report
from bench.upload import web_server
from local.redis_server import RedisServer
from tests.mailserver import MailServer, mail_server

MAILS = int(os.environ.get("BENCH_MAILS", "10000"))
IDLE = 200
WORKERS = 2
SECONDS = 900.0


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder) / "redis") as redis, mail_server() as mail:
        os.environ |= {
            "MAIL_URL": mail.url,
            "MAIL_FROM": "Offstage <noreply@example.org>",
            "NOTIFICATION_HOURLY_LIMIT": "0",
        }
        with web_server(folder, redis.url) as port, httpx2.Client(base_url=f"http://127.0.0.1:{port}") as client:
            bare = rate(lambda: bare_loop(mail))
            mail.mails.clear()
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(lambda number: notify(client, number), range(MAILS)))
            with workers(redis.url, folder):
                ours = rate(lambda: wait_for(lambda: len(mail.mails) >= MAILS))
                idle = [hand_over(client, mail, number) for number in range(IDLE)]
    cuts = quantiles(idle, n=100, method="inclusive")
    print_report(
        "notifications",
        [
            {
                "what": "202 to mail server, ms",
                "p50": round(cuts[49], 1),
                "p99": round(cuts[98], 1),
                "mails/s": "",
            },
            {"what": f"{MAILS} mails, {WORKERS} workers", "p50": "", "p99": "", "mails/s": round(ours)},
            {"what": f"bare smtplib, {WORKERS} connections", "p50": "", "p99": "", "mails/s": round(bare)},
        ],
        share=round(ours / bare, 2),
    )


def notify(client: httpx2.Client, number: int) -> None:
    """Have a mail sent."""
    content: dict[str, Any] = {"user_id": number, "email": f"user{number}@example.com", "notification_types": ["email"]}
    answer = client.post("/notify", json=content | {"subject": "测试", "message": "你好" * 50})
    if answer.status_code != 202:
        raise SystemExit(f"{answer.status_code} {answer.text}")


def hand_over(client: httpx2.Client, mail: MailServer, number: int) -> float:
    """Return the milliseconds from a 202 until the mail server has the mail."""
    before = len(mail.mails)
    notify(client, number)
    accepted = time.perf_counter()
    wait_for(lambda: len(mail.mails) > before)
    return (time.perf_counter() - accepted) * 1000


def bare_loop(mail: MailServer) -> None:
    """Send as many mails, over as many connections, with nothing but smtplib."""

    def send(count: int) -> None:
        content = EmailMessage()
        content["From"], content["To"], content["Subject"] = "noreply@example.org", "user@example.com", "测试"
        content.set_content("你好" * 50)
        with smtplib.SMTP("127.0.0.1", mail.port) as server:
            for _ in range(count):
                server.send_message(content)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(send, [MAILS // WORKERS] * WORKERS))


def rate(act: Callable[[], None]) -> float:
    """Return mails a second."""
    began = time.perf_counter()
    act()
    return MAILS / (time.perf_counter() - began)


def wait_for(ready: Callable[[], bool]) -> None:
    until = time.monotonic() + SECONDS
    while not ready():
        if time.monotonic() > until:
            raise SystemExit("the mails do not come")
        time.sleep(0.0005)


@contextmanager
def workers(redis_url: str, folder: str) -> Iterator[None]:
    """Run workers as the Procfile does."""
    environ = os.environ | {"REDIS_URL": redis_url, "DATA_DIR": folder}
    command = [sys.executable, "worker.py", "high", "default", "low"]
    running = [subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL) for _ in range(WORKERS)]
    try:
        yield
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


if __name__ == "__main__":
    main()
