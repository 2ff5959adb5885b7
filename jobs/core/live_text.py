"""A text that a job writes for its watchers, live, and that all of them end up with, byte for byte.

The text goes out in pieces, as events `output {n, text}`: piece `n` of the text takes the place of whatever a reader
has from its n-th piece on. So a reader's whole work is `pieces[n:] = [text]`, and nothing that a job does twice, says
otherwise the second time or loses can leave it with a wrong text: the writer looks at what readers have and says what
makes it right. docs/decisions/0018-research.md has the reasons.
"""

import time
from collections.abc import Callable, Iterable
from uuid import uuid4

from jobs.core.context import JobContext
from jobs.core.events import Event, become_writer, read_events

OUTPUT = "output"
GATHER_SECONDS = 0.04  # of writing that go out together
MAX_PIECE_CHARS = 40_000  # under what an event may hold, whatever the characters
_REPEAT_SHARE = 1 / 3  # of the events, and of the bytes, that are kept of a job: after so many all is sent again


class LiveText:
    """A job's text, as it is written and as its readers have it.

    Begin it anew in each attempt and write the same text again: as far as readers have that already, nothing is sent.
    The newest one is the only one that is heard: an older attempt that goes on is interrupted.
    """

    def __init__(self, ctx: JobContext, clock: Callable[[], float] = time.monotonic) -> None:
        self._ctx = ctx
        self._clock = clock
        self._writer = uuid4().hex
        become_writer(ctx.services.redis, ctx.tenant, ctx.job_id, self._writer)  # before the look at what was told
        events = read_events(ctx.services.redis, ctx.tenant, ctx.job_id)
        self._told = pieces_of(events)
        self._same = 0  # of these, those that the text begins with
        self._offset = 0  # and their length
        self._text = ""
        self._sent_at = -GATHER_SECONDS
        self._events, self._bytes = len(events), 0  # since all was sent

    @property
    def text(self) -> str:
        """All that was written so far."""
        return self._text

    def write(self, piece: str) -> None:
        """Go on with the text; readers have it within some 40 ms, or with the next piece."""
        self._text += piece
        self._pass_over()
        if self._offset < len(self._text) and not self._is_known() and self._clock() >= self._sent_at + GATHER_SECONDS:
            self._send_rest()

    def back_to(self, length: int) -> None:
        """Take back all but the first `length` characters: what follows them is written anew."""
        self._text = self._text[:length]
        self._same = self._offset = 0
        self._pass_over()

    def flush(self) -> None:
        """Send what readers have not got yet."""
        if self._offset < len(self._text) and not self._is_known():
            self._send_rest()

    def end(self) -> None:
        """Send the rest; after it readers have this text and nothing else."""
        if self._offset < len(self._text) or self._same < len(self._told):
            self._send_rest()

    def _pass_over(self) -> None:
        """Step over the pieces that readers have already."""
        while self._same < len(self._told) and self._text.startswith(self._told[self._same], self._offset):
            self._offset += len(self._told[self._same])
            self._same += 1

    def _is_known(self) -> bool:
        """Say whether the rest is the beginning of a piece that readers have already."""
        return self._same < len(self._told) and self._told[self._same].startswith(self._text[self._offset :])

    def _send_rest(self) -> None:
        self._send(self._text[self._offset :])
        config = self._ctx.services.config
        if self._events > config.max_events * _REPEAT_SHARE or self._bytes > config.max_events_bytes * _REPEAT_SHARE:
            self._same = 0
            self._send(self._text)  # the oldest pieces will be dropped: who comes late finds all of it here
            self._events = self._bytes = 0
        self._sent_at = self._clock()

    def _send(self, rest: str) -> None:
        for piece in cuts_of(rest):
            self._ctx.emit(OUTPUT, {"n": self._same, "text": piece}, writer=self._writer)
            self._told[self._same :] = [piece]
            self._same += 1
            self._events += 1
            self._bytes += len(piece.encode())
        self._offset = len(self._text)


def cuts_of(text: str) -> list[str]:
    """Return a text in pieces that fit into events, at least one."""
    return [text[start : start + MAX_PIECE_CHARS] for start in range(0, max(1, len(text)), MAX_PIECE_CHARS)]


def pieces_of(events: Iterable[Event]) -> list[str]:
    """Return the pieces that a reader of these events has. Of what went before the first of them it has nothing."""
    pieces: list[str] = []
    for event in events:
        if event.kind == OUTPUT and isinstance(n := event.data.get("n"), int):
            pieces += [""] * (n - len(pieces))
            pieces[n:] = [event.data["text"]]
    return pieces
