"""The short form of the harness: the commonest faults on one running service. `make faults` runs all of them."""

from pathlib import Path

import pytest

from tests.faults.__main__ import run_all
from tests.faults.faults import FAULTS

SHORT = [fault for fault in FAULTS if fault.short]


def test_what_was_acknowledged_is_done_once_whatever_dies(tmp_path: Path) -> None:
    """After each fault: nothing lost, nothing repeated, no answer 500, all done within 60 s."""
    verdicts = run_all(SHORT, seed=1, folder=tmp_path / "stack", short=True)
    broken = [f"{verdict.row}\n  " + "\n  ".join(verdict.details[:10]) for verdict in verdicts if not verdict.passed]
    if broken:
        log = (tmp_path / "stack" / "sqlite" / "log").read_text(encoding="utf-8", errors="replace")
        pytest.fail("\n".join([*broken, log[-5_000:]]))
    assert [verdict.fault for verdict in verdicts] == [fault.name for fault in SHORT]
