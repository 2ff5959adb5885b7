"""Reports as PDF: one at a time in each web process, beside its other requests."""

from functools import lru_cache, partial
from threading import BoundedSemaphore

from jobs.providers.report_pdf import PdfUnavailable, pdf_of
from webapp.aside import aside

WAIT_SECONDS = 10.0  # for one's turn
KEPT = 8


class Renderer:
    """Sets reports, and keeps the newest few: who asks again for one, or a crowd for the same, costs nothing."""

    def __init__(self, chinese_font: str, wait_seconds: float = WAIT_SECONDS) -> None:
        self._pdf_of = lru_cache(KEPT)(partial(pdf_of, chinese_font=chinese_font))
        self._turn = BoundedSemaphore()
        self._wait_seconds = wait_seconds

    def pdf(self, markdown: str) -> bytes:
        """Return a report as a PDF.

        Raises:
            PdfUnavailable: others were set meanwhile, or it took too long.
        """
        if not self._turn.acquire(timeout=self._wait_seconds):
            raise PdfUnavailable
        try:
            return aside(self._pdf_of, markdown)
        finally:
            self._turn.release()
