"""`make demo`, run as a person runs it, beside whatever this machine has set."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_reads_two_documents_and_answers_two_questions_with_pages(tmp_path: Path) -> None:
    """With exit code 0, on embedded defaults, and nothing left behind."""
    elsewhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "DATABASE_URL": "postgres://nowhere/x", "HOST": "0.0.0.0"}
    done = subprocess.run(
        [sys.executable, "-m", "local.demo"],
        cwd=ROOT,
        env=os.environ | elsewhere | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(re.findall(r"^POST /upload .*: 202 after \d+ ms", done.stdout, re.MULTILINE)) == 2
    assert done.stdout.count("100.0 %") == done.stdout.count("  completed\n") == 2
    english, chinese = done.stdout.split("\nQ: ")[1:]
    assert "168 hours" in english
    assert re.search(r"\[1\] handbook\.en\.pdf, page \d", english)
    assert "五十兆字节" in chinese
    assert re.search(r"\[1\] handbook\.zh\.pdf, page \d", chinese)
    assert list(tmp_path.iterdir()) == []
