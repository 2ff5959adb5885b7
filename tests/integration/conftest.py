"""The whole service as real processes on free ports: gunicorn, worker, scheduler, and a Redis of its own."""

import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import httpx2
import pytest

from config import load_config
from local.ports import free_port
from local.stack import Stack

DASHBOARD_PASSWORD = "correct horse"
StartStack = Callable[..., Stack]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running service for all tests that break nothing in it."""
    with new_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running
    running.out.close()


@pytest.fixture
def start_stack(tmp_path: Path) -> Iterator[StartStack]:
    """Start services of this test's own, with settings: `start_stack(web_concurrency=1)`."""
    started: list[Stack] = []

    def start(**settings: object) -> Stack:
        running = new_stack(tmp_path / f"stack-{len(started)}", **settings)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        running.stop()
        running.out.close()


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx2.Client]:
    """An HTTP client of the running service."""
    with httpx2.Client(base_url=stack.url, timeout=40) as http:
        yield http


def new_stack(folder: Path, **settings: object) -> Stack:
    """Return a service with its data in a folder, not started yet."""
    folder.mkdir(exist_ok=True)
    given = {"data_dir": folder / "var", "port": free_port(), "web_concurrency": 1, "worker_concurrency": 1}
    given |= {"dashboard_password": DASHBOARD_PASSWORD} | settings
    environ = os.environ | {name.upper(): str(value) for name, value in given.items()}
    return Stack(load_config(**given), environ, (folder / "log").open("w", buffering=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the services' output with a failed test."""
    report = yield
    running = getattr(item, "funcargs", {}).get("stack")
    if report.failed and isinstance(running, Stack):
        log = Path(running.out.name).read_text(encoding="utf-8", errors="replace")
        report.sections.append(("the services' output", log[-20_000:]))
    return report
