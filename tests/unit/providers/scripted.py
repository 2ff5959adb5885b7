"""A real HTTP server on loopback that answers as a test says, faults included."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    path: str
    headers: dict[str, str]
    body: Any


Script = Callable[["Exchange"], None]


@dataclass
class Exchange:
    """One request, and the ways to answer it."""

    request: Request
    handler: BaseHTTPRequestHandler
    ending: threading.Event

    def json(self, value: Any, status: int = 200, **headers: str) -> None:
        self.raw(json.dumps(value).encode(), status, **headers)

    def raw(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name.replace("_", "-"), value)
        self.handler.send_header("Content-Length", str(len(body)))
        self.handler.end_headers()
        self.handler.wfile.write(body)

    def events(self, *events: Any) -> None:
        self.raw(b"".join(b"data: %s\n\n" % _data(event) for event in events), Content_Type="text/event-stream")

    def hang(self) -> None:
        """Say nothing until the test ends."""
        self.ending.wait(30)

    def trickle(self) -> None:
        """Send a byte of a long body every 20 ms until the test ends: no single read takes long."""
        self.handler.send_response(200)
        self.handler.send_header("Content-Length", "1000000")
        self.handler.end_headers()
        while not self.ending.wait(0.02):
            self.handler.wfile.write(b" ")
            self.handler.wfile.flush()


@dataclass
class Server:
    url: str
    script: Script
    requests: list[Request] = field(default_factory=list)


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that gives up on us is what some tests are about."""


@contextmanager
def scripted_server() -> Iterator[Server]:
    """Yield a running server; set its `script` before the first call."""
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.answer(None)

        def do_POST(self) -> None:
            self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

        def answer(self, body: Any) -> None:
            request = Request(self.path, dict(self.headers), body)
            server.requests.append(request)
            try:
                server.script(Exchange(request, self, ending))
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = _Listener(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{listener.server_address[1]}", lambda exchange: exchange.json({}))
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    ending.set()
    listener.shutdown()
    listener.server_close()
    thread.join()


def _data(event: Any) -> bytes:
    return event.encode() if isinstance(event, str) else json.dumps(event).encode()
