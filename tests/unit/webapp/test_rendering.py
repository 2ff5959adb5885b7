"""Setting reports as PDF in a web process: one at a time, and none twice."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event, Thread

import pytest

from jobs.providers.report_pdf import PdfUnavailable
from webapp.rendering import Renderer


class Slow(Renderer):
    """Sets a report when it is told to; counts how many it is at."""

    def __init__(self, wait_seconds: float = 30) -> None:
        super().__init__("", wait_seconds)
        self.begun, self.go_on = Event(), Event()
        self.most = self.under_way = 0
        self._pdf_of = self._slowly  # type: ignore[assignment]

    def _slowly(self, markdown: str) -> bytes:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.begun.set()
        self.go_on.wait(30)
        self.under_way -= 1
        return markdown.encode()


def test_one_report_is_set_at_a_time() -> None:
    """The others wait for their turn."""
    renderer = Slow()
    with ThreadPoolExecutor(4) as pool:
        pdfs = [pool.submit(renderer.pdf, str(n)) for n in range(4)]
        renderer.begun.wait(30)
        renderer.go_on.set()
        assert [pdf.result(30) for pdf in pdfs] == [b"0", b"1", b"2", b"3"]
    assert renderer.most == 1


def test_who_waits_too_long_is_told_to_come_again() -> None:
    """A long report of one tenant holds up nobody else's request for ever."""
    renderer = Slow(wait_seconds=0.05)
    first = Thread(target=renderer.pdf, args=("first",))
    first.start()
    renderer.begun.wait(30)
    with pytest.raises(PdfUnavailable):
        renderer.pdf("second")
    renderer.go_on.set()
    first.join(30)


def test_a_report_that_was_set_is_kept() -> None:
    """The same Markdown gives the same file, and is not set again."""
    renderer = Renderer("")
    assert renderer.pdf("# T") is renderer.pdf("# T")
