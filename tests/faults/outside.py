"""The outside: a receiver that counts what reaches it, a mail server, and a model; the two behave as they are told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.mailserver import MailServer, mail_server

_NORMAL = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "The valve. [1]"}}]}
MODEL_MOODS = ("hangs", "trickles", "429", "nonsense")


@dataclass
class Outside:
    """`posts` are counted by serial; `told` has the ids of webhook messages by serial. `mood` is the model's, `asked`
    how often it was asked; `mail` is the mail server."""

    url: str = ""
    posts: Counter[int] = field(default_factory=Counter)
    told: dict[int, Counter[str]] = field(default_factory=dict)
    mood: str = "normal"
    mail: MailServer = field(default_factory=MailServer)
    asked: int = 0
    ending: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def post(self, serial: int) -> None:
        """Take note of an effect."""
        with self._lock:
            self.posts[serial] += 1

    def mails(self, subject: str) -> int:
        """Return how many mails of a subject the mail server has taken."""
        return sum(mail["Subject"] == subject for mail in self.mail.mails)

    def tell(self, serial: int, message_id: str) -> None:
        """Take note of a webhook's message."""
        with self._lock:
            self.told.setdefault(serial, Counter())[message_id] += 1


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that clients are killed is what this is about."""


@contextmanager
def outside() -> Iterator[Outside]:
    """Yield the running outside."""
    with mail_server() as mail:
        yield from _outside(Outside(mail=mail))


def _outside(this: Outside) -> Iterator[Outside]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kind, _, serial = self.path.strip("/").partition("/")
            if kind == "post":
                this.post(int(serial))
            elif kind == "hook":
                this.tell(int(serial), self.headers["webhook-id"])
            else:
                _speak(self, this)
                return
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    listener = _Listener(("127.0.0.1", 0), Handler)
    this.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield this
    finally:
        this.ending.set()
        listener.shutdown()
        listener.server_close()
        thread.join()


def _speak(handler: BaseHTTPRequestHandler, this: Outside) -> None:
    """Answer as the model would."""
    this.asked += 1
    mood, body = this.mood, json.dumps(_NORMAL).encode()
    if mood == "hangs":
        this.ending.wait(30)
        return
    if mood == "nonsense":
        body = b"<html>it works!</html>"
    handler.send_response(429 if mood == "429" else 200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if mood != "trickles":
        handler.wfile.write(body)
        return
    for byte in body:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        if this.ending.wait(0.5):
            return
        time.sleep(0)
