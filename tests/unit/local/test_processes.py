"""The processes of a Procfile: marked lines, ends that are told, and nothing left behind."""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import die_with_parent
from local.processes import Ended, Processes, read_procfile
from tests.processes import ended

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def out() -> io.StringIO:
    """Where the processes' lines go."""
    return io.StringIO()


@pytest.fixture
def processes(out: io.StringIO) -> Iterator[Processes]:
    """A set of processes that is stopped after the test."""
    started = Processes(out, ROOT)
    yield started
    started.stop()


def test_a_procfile_is_its_names_and_commands_in_order(tmp_path: Path) -> None:
    """Comments and blank lines are passed over; a command may have colons."""
    file = tmp_path / "Procfile"
    file.write_text("# ours\nweb: gunicorn -b :80\n\nworker:  python worker.py a b\n")
    assert list(read_procfile(file).items()) == [("web", "gunicorn -b :80"), ("worker", "python worker.py a b")]


def test_ours_has_the_four_lines_of_a_deploy() -> None:
    """A host starts each by its name; `release` migrates the database."""
    assert list(read_procfile(ROOT / "Procfile")) == ["web", "worker", "scheduler", "release"]


def test_lines_carry_the_name_and_the_end_its_code(processes: Processes, out: io.StringIO) -> None:
    """Of both outputs, with whatever is no UTF-8 replaced."""
    processes.start("web", r"sh -c 'echo 你好; printf \\377 >&2; exit 3'", os.environ)
    assert processes.ended(10) == Ended("web", 3)
    processes.stop()
    assert out.getvalue().splitlines() == ["web       | 你好", "web       | \ufffd"]


def test_nothing_has_ended_while_all_run(processes: Processes) -> None:
    """Asking does not wait for ever."""
    processes.start("web", "sleep 60", os.environ)
    assert processes.ended(0.01) is None


def test_stop_asks_first_and_kills_later(processes: Processes, out: io.StringIO) -> None:
    """One that will not end does not hold the others up; its children end with it."""
    stubborn = "trap '' TERM; sleep 61 & echo ready; wait; wait"
    processes.start("good", "sh -c 'trap \"echo bye; exit 0\" TERM; echo ready; sleep 60 & wait'", os.environ)
    processes.start("stubborn", f'sh -c "{stubborn}"', os.environ)
    pids = processes.pids
    while out.getvalue().count("ready") < 2:
        assert processes.ended(0.01) is None
    processes.stop(seconds=0.5)
    assert "good      | bye" in out.getvalue()
    assert all(ended(pid) for pid in pids.values())


def test_what_a_process_leaves_behind_ends_with_it(processes: Processes, out: io.StringIO) -> None:
    """Also when it holds its parent's output open."""
    processes.start("web", "sh -c 'sleep 62 & echo $!'", os.environ)
    assert processes.ended(10) == Ended("web", 0)
    processes.stop()
    assert ended(int(out.getvalue().split()[-1]))


def test_a_command_ends_with_its_parent_however_that_ends() -> None:
    """A parent that is killed cannot clean up: the kernel does."""
    script = "import subprocess, sys; from local import die_with_parent as d; "
    script += "print(subprocess.Popen(d.command('sleep', '63')).pid, flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, text=True, **pipes) as parent:
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    assert ended(child)


def test_a_command_whose_parent_is_gone_already_does_not_start(tmp_path: Path) -> None:
    """Between its start and its word to the kernel the parent can end."""
    command = die_with_parent.command("touch", tmp_path / "trace")
    command[3] = "1"  # another parent than the one that it has
    assert subprocess.run(command, timeout=10).returncode == 0
    assert not (tmp_path / "trace").exists()
