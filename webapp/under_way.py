"""Which requests with a key this process is at: said again and again, so that those of a dead process are seen soon."""

import logging
import time
from threading import Lock, Thread

from sqlalchemy.exc import SQLAlchemyError

from jobs.stores.requests import RequestStore

IN_FLIGHT_SECONDS = 15  # without a word; then the request's process is taken for dead
BEAT_SECONDS = 5.0
MAX_SECONDS = 900  # for which one request is spoken for
log = logging.getLogger(__name__)


class UnderWay:
    """Speaks for requests from `add` to `remove`, every `beat` seconds; short ones cost nothing."""

    def __init__(self, store: RequestStore, beat: float = BEAT_SECONDS) -> None:
        self._store, self._beat = store, beat
        self._since: dict[str, float] = {}
        self._lock = Lock()
        self._speaker: Thread | None = None

    def add(self, token: str) -> None:
        """Speak for a request, by its token."""
        with self._lock:
            self._since[token] = time.monotonic()
            if self._speaker is None:
                self._speaker = Thread(target=self._speak, daemon=True, name="under-way")
                self._speaker.start()

    def remove(self, token: str) -> None:
        """Speak for it no more."""
        self._since.pop(token, None)

    def _speak(self) -> None:
        while self._go_on():
            time.sleep(self._beat)
            now = time.monotonic()
            some = [token for token, at in list(self._since.items()) if self._beat / 2 < now - at < MAX_SECONDS]
            try:
                if some:
                    self._store.touch(some)
            except SQLAlchemyError as error:
                log.warning("requests under way are not spoken for: %s", type(error).__name__)

    def _go_on(self) -> bool:
        with self._lock:
            if not self._since:
                self._speaker = None
            return bool(self._since)
