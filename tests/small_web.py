"""A small web on loopback: a search in SearXNG's form, and the pages that it finds; both count, and fail on demand."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit


@dataclass
class SmallWeb:
    """`pages` are HTML by path, or PDFs, with a character for each byte.

    A search finds those that hold one of its words; it and each page take `seconds`. A path in `broken` answers 500; a
    query that holds a word of `broken_queries` does, too. `searched` counts the queries, `read` the pages.
    """

    url: str = ""
    seconds: float = 0.0
    pages: dict[str, str] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    broken_queries: set[str] = field(default_factory=set)
    robots: str = ""
    searched: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    begun: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event = field(default_factory=threading.Event)
    under_way: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.hold.set()

    def find(self, query: str) -> list[dict[str, Any]]:
        """Return the pages that hold one of the query's words, or two of its Chinese characters in a row."""
        words = {word for word in query.casefold().split() if len(word) > 3}
        words |= {query[i : i + 2] for i in range(len(query) - 1) if ord(query[i]) > 0x2E80}
        return [
            {"url": f"{self.url}{quote(path)}", "title": f"Page {path}", "content": f"About {path}."}
            for path, html in self.pages.items()
            if any(word in html.casefold() for word in words)
        ]


@contextmanager
def small_web(**settings: Any) -> Iterator[SmallWeb]:
    """Yield a running server."""
    web = SmallWeb(**settings)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path = unquote(parts.path)
            if path == "/robots.txt":
                self._send(200, web.robots, "text/plain")
            elif path == "/search":
                self._search(parse_qs(parts.query)["q"][0])
            else:
                self._page(path)

        def _search(self, query: str) -> None:
            with web.lock:
                web.searched[query] += 1
                web.under_way += 1
                web.most = max(web.most, web.under_way)
            web.begun.set()
            time.sleep(web.seconds)
            web.hold.wait(30)
            with web.lock:
                web.under_way -= 1
            if any(word in query for word in web.broken_queries):
                self._send(500, "", "text/plain")
            else:
                self._send(200, json.dumps({"query": query, "results": web.find(query)}), "application/json")

        def _page(self, path: str) -> None:
            with web.lock:
                web.read[path] += 1
            time.sleep(web.seconds)
            status = 500 if path in web.broken else 200 if path in web.pages else 404
            is_pdf = path.endswith(".pdf")
            media_type = "application/pdf" if is_pdf else "text/html; charset=utf-8"
            self._send(status, web.pages.get(path, ""), media_type, "latin-1" if is_pdf else "utf-8")

        def _send(self, status: int, text: str, media_type: str, charset: str = "utf-8") -> None:
            body = text.encode(charset)
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing: clients that are killed are what some tests are about."""

    listener = Listener(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{listener.server_address[1]}"
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.hold.set()
        listener.shutdown()
        listener.server_close()
        thread.join()
