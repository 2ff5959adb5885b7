"""Canvases over HTTP, against the goals of the seed: health, the read of a canvas, the write of a node.

Starts a Redis and a web server of its own on free ports. Prints a table, then JSON. Run it with
`python -m bench.canvases`.
"""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from bench.report import print_report
from bench.upload import get_health, measure, web_server
from jobs.domain.canvas.file import write_canvas
from local.redis_server import RedisServer

TIMES = 300
ROUNDS, WRITERS = 10, 50
SIZES = (100, 1000, 5000)
TEXT = "极限描述函数在一点附近的行为。A limit says how a function behaves near a point. " * 3


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        RedisServer(Path(folder) / "redis") as server,
        web_server(folder, server.url) as port,
    ):
        rows = [_row("GET /health", measure("", TIMES, lambda n: get_health(port)), "", 10)]
        for size in SIZES:
            place, file = f"/canvases/size-{size}", canvas(size)
            send(port, "PUT", place, file)
            about = f"{size:,} nodes, {len(file) // 1024} KiB"
            etag = send(port, "GET", place).headers["ETag"] or ""
            rows += [
                _row("read the canvas", measure("", TIMES, partial(read, port, place)), about, 50),
                _row("the same, unchanged", measure("", TIMES, partial(unchanged, port, place, etag)), about, 50),
                _row("add a node", measure("", TIMES, partial(add, port, place)), about, 100),
                _row("change a node", measure("", TIMES, partial(change, port, place)), about, 100),
            ]
            at_once = measure("", ROUNDS, partial(add_at_once, port, place))
            rows.append(_row(f"add {WRITERS} nodes at once, until the last answer", at_once, about, None))
    print_report("canvases", rows)


def canvas(size: int) -> bytes:
    """Return a canvas with so many nodes, each tied to the one before, as Obsidian writes it."""
    nodes = [node(f"{number:016x}") for number in range(size)]
    edges = [
        {"id": f"e{number:015x}", "fromNode": f"{number:016x}", "fromSide": "right", "toNode": f"{number - 1:016x}"}
        for number in range(1, size)
    ]
    return write_canvas(nodes, edges).encode()


def node(node_id: str) -> dict[str, Any]:
    return {"id": node_id, "type": "text", "text": TEXT, "x": 0, "y": 0, "width": 250, "height": 60, "color": "1"}


def send(
    port: int, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
) -> HTTPResponse:
    """Send a request and read its answer to the end."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, body, {"Content-Type": "application/json"} | (headers or {}))
    response = connection.getresponse()
    answer = response.read()
    connection.close()
    if response.status >= 400:
        raise SystemExit(f"{response.status}: {answer.decode()}")
    return response


def read(port: int, place: str, _number: int) -> None:
    send(port, "GET", place)


def unchanged(port: int, place: str, etag: str, _number: int) -> None:
    if send(port, "GET", place, headers={"If-None-Match": etag}).status != 304:
        raise SystemExit("not a 304")


def add(port: int, place: str, number: int) -> None:
    send(port, "POST", f"{place}/nodes", json.dumps(node(f"new{number}")).encode())


def add_at_once(port: int, place: str, number: int) -> None:
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(lambda writer: add(port, place, 10_000_000 + 1000 * number + writer), range(WRITERS)))


def change(port: int, place: str, number: int) -> None:
    send(port, "PATCH", f"{place}/nodes/{5:016x}", json.dumps({"x": number, "color": str(number % 6 + 1)}).encode())


def _row(what: str, measured: dict[str, object], about: str, goal: int | None) -> dict[str, object]:
    taken = {name: measured[name] for name in ("p50 ms", "p99 ms")}
    return {"what": what, "canvas": about, **taken, "goal ms": goal or ""}


if __name__ == "__main__":
    main()
