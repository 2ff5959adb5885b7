"""A client of a live report: it applies events by the rule in docs/research.md, leaves, and comes back."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

SECONDS = 120.0


@dataclass
class Reader:
    """Follows one report over any number of connections. `kinds` are those of all the events that it has seen."""

    path: str
    pieces: list[str] = field(default_factory=list)
    last: str = ""
    ended: bool = False
    kinds: list[str] = field(default_factory=list)
    connections: int = 0

    @property
    def text(self) -> str:
        """What it has of the report."""
        return "".join(self.pieces)

    def follow(self, url: str, events: int | None = None, **request: Any) -> None:
        """Read `events` more events with an id, or to the end. Returns early if the connection breaks."""
        left = events
        try:
            for kind, data, event_id in self._events(url, **request):
                self._apply(kind, data, event_id)
                if left is not None and event_id:
                    left -= 1
                if self.ended or left == 0:
                    return
        except httpx2.HTTPError:  # the web process was killed
            return

    def follow_to_the_end(self, *urls: str) -> None:
        """Come back, to one address after the other, until the end is told."""
        until = time.monotonic() + SECONDS
        while not self.ended and time.monotonic() < until:
            self.follow(urls[self.connections % len(urls)])

    def _apply(self, kind: str, data: Any, event_id: str) -> None:
        self.kinds.append(kind)
        self.last = event_id or self.last
        if kind == "output":
            self.pieces += [""] * (data["n"] - len(self.pieces))
            self.pieces[data["n"] :] = [data["text"]]
        self.ended = kind == "end"

    def _events(self, url: str, method: str = "GET", **request: Any) -> Iterator[tuple[str, Any, str]]:
        self.connections += 1
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self.last} if self.last else {})
        with (
            httpx2.Client(timeout=30) as client,
            client.stream(method, f"{url}{self.path}", headers=headers, **request) as response,
        ):
            if response.status_code == 204:
                self.ended = True
                return
            response.raise_for_status()
            yield from frames(response)


def frames(response: httpx2.Response) -> Iterator[tuple[str, Any, str]]:
    """Yield kind, data and id of a stream's events as they come."""
    fields: dict[str, str] = {}
    for line in response.iter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], json.loads(fields["data"]), fields.get("id", "")
            fields = {}
