"""A receiver of webhooks on loopback, which does what a test says: accept, refuse, hang, drop."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


@dataclass
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its `webhook-id`."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Any:
        """Return the message; a signature that does not fit is an error."""
        return Webhook(secret).verify(self.body, self.headers)


@dataclass
class Receiver:
    """`answers` are taken one after the other, then 204: a status, with headers if wanted, `hang` or `drop`."""

    url: str
    answers: list[Any] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that gives up on us is what some tests are about."""


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Yield a running receiver."""
    ending = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            running.requests.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            answer = running.answers.pop(0) if running.answers else 204
            if answer == "hang":
                ending.wait(30)
            elif answer == "drop":
                self.connection.shutdown(socket.SHUT_RDWR)
            else:
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = _Listener(("127.0.0.1", 0), Handler)
    running = Receiver(f"http://127.0.0.1:{listener.server_address[1]}/hook?token=hunter2")
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield running
    ending.set()
    listener.shutdown()
    listener.server_close()
    thread.join()
