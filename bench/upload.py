"""How long `POST /upload` takes to its 202: by size, and with 2,000 jobs waiting.

Starts a Redis and a web server of its own on free ports, and no worker: what is measured is the answer, not the work.
Prints a table, then JSON. Run it with `python -m bench.upload`.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import quantiles

from redis import Redis

from bench.report import print_report
from config import load_config
from jobs.core.client import JobClient
from jobs.core.spec import discover
from jobs.stores.migrate import upgrade
from local.ports import free_port
from local.redis_server import RedisServer

BOUNDARY = "----offstage-bench"
QUEUED = 2000


def main() -> None:
    rows = []
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder) / "redis") as server,
        web_server(folder, server.url) as port,
    ):
        rows.append(measure("GET /health", 300, lambda n: get_health(port)))
        rows.append(measure("upload 1 MB", 100, lambda n: upload(port, text_of(1, n))))
        rows.append(measure("upload 20 MB", 20, lambda n: upload(port, text_of(20, n))))
        fill_queue(server.url)
        rows.append(measure(f"upload 1 MB, {QUEUED} jobs queued", 100, lambda n: upload(port, text_of(1, 1000 + n))))
        rows.append(measure(f"upload 20 MB, {QUEUED} jobs queued", 20, lambda n: upload(port, text_of(20, 1000 + n))))
    print_report("upload", rows)


@contextmanager
def web_server(folder: str, redis_url: str, app: str = "webapp:create_app()") -> Iterator[int]:
    """Run the web side as the Procfile does, and yield its port when it answers."""
    port = free_port()
    environment = os.environ | {"REDIS_URL": redis_url, "DATA_DIR": folder, "PORT": str(port), "API_KEYS": ""}
    upgrade(load_config(data_dir=Path(folder)).sqlalchemy_url)
    log = Path(folder) / "web.log"
    command = [sys.executable, "-m", "gunicorn", app]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as process:
        try:
            wait_until(lambda: answers(port), process)
            yield port
        finally:
            process.terminate()


def wait_until(ready: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers, or say that it ended."""
    until = time.monotonic() + 30
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit("the web server did not start")
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        get_health(port)
    except OSError:
        return False
    return True


def get_health(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()


def upload(port: int, content: bytes) -> None:
    """Upload a file and read the 202."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'.encode()
    body = head + content + f"\r\n--{BOUNDARY}--\r\n".encode()
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/upload", body, {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"})
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status != 202:
        raise SystemExit(f"{response.status}: {answer.decode()}")


def text_of(megabytes: int, seed: int) -> bytes:
    """Return text of a size that no other seed has."""
    line = f"{seed} {random.Random(seed).random()} 后台任务 background jobs\n".encode()
    return (line * (megabytes * 2**20 // len(line) + 1))[: megabytes * 2**20].decode(errors="ignore").encode()


def fill_queue(redis_url: str) -> None:
    """Put jobs on the queue that no worker takes."""
    discover()
    client = JobClient(Redis.from_url(redis_url), result_ttl=3600)
    for n in range(QUEUED):
        client.start("documents.process", {"document_id": 10**6 + n}, tenant="other")


def measure(name: str, times: int, act: Callable[[int], None]) -> dict[str, object]:
    """Call `act` a number of times, after one warm-up, and return its p50 and p99 in milliseconds."""
    act(10**6)
    taken = []
    for n in range(times):
        start = time.perf_counter()
        act(n)
        taken.append((time.perf_counter() - start) * 1000)
    cuts = quantiles(taken, n=100, method="inclusive")
    return {"what": name, "times": times, "p50 ms": round(cuts[49], 1), "p99 ms": round(cuts[98], 1)}


if __name__ == "__main__":
    main()
