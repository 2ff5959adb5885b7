"""A scripted language model over HTTP: it counts the calls under way and what it was asked, and fails when told to."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class ModelServer:
    """An OpenAI-compatible endpoint on loopback. Each call takes `seconds`, and a streamed one `piece_seconds` a word.

    With `breaks` a streamed one ends with an error. `answer` makes the answer of the last message; a number instead is
    an HTTP status. `most` is how many calls were under way at once, `asked` how often each message came.
    """

    url: str = ""
    seconds: float = 0.0
    piece_seconds: float = 0.0
    breaks: bool = False
    answer: Callable[[str], str | int] = lambda message: f"answer to {message}"
    most: int = 0
    under_way: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, body: dict[str, Any]) -> str:
        message = str(body["messages"][-1]["content"])
        with self.lock:
            self.bodies.append(body)
            self.asked[message] += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        return message

    def end(self) -> None:
        with self.lock:
            self.under_way -= 1


class _Listener(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that are killed are what some tests are about."""


@contextmanager
def model_server(**settings: Any) -> Iterator[ModelServer]:
    """Yield a running server."""
    server = ModelServer(**settings)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = server.begin(body)
            try:
                time.sleep(server.seconds)
                answer = server.answer(message)
                if body.get("stream") and isinstance(answer, str):
                    self._stream(answer)
            finally:
                server.end()
            if isinstance(answer, int):
                self._send(answer, {"error": {"message": "as asked"}})
            elif not body.get("stream"):
                usage = {"prompt_tokens": 7, "completion_tokens": 5}
                self._send(200, {"choices": [{"message": {"content": answer}}], "usage": usage})

        def _stream(self, answer: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            began = time.monotonic()
            for number, piece in enumerate(re.findall(r"\S+\s*|\s+", answer), 1):
                self._event({"choices": [{"delta": {"content": piece}}]})
                time.sleep(max(0.0, began + number * server.piece_seconds - time.monotonic()))  # however it is read
            end = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
            self._event({"error": "as asked"} if server.breaks else end)
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

        def _event(self, value: Any) -> None:
            self.wfile.write(b"data: %s\n\n" % json.dumps(value).encode())
            self.wfile.flush()

        def _send(self, status: int, value: Any) -> None:
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    listener = _Listener(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
