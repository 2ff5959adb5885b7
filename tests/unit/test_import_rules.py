"""The import rules for the two modules that stand alone; `.importlinter` has those for the packages."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"config", "jobs", "local", "webapp", "worker", "tests"}


def imported(module: str) -> set[str]:
    """Return the top-level names that a module imports, also inside its functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    return names


def test_config_imports_nothing_of_ours() -> None:
    """Everything may import the settings, so they import nothing back."""
    assert not imported("config.py") & OURS


@pytest.mark.parametrize("package", ["flask", "werkzeug", "gunicorn", "gevent", "webapp"])
def test_the_worker_imports_nothing_of_the_web(package: str) -> None:
    """A worker starts and forks fast because the web side is not in it."""
    assert package not in imported("worker.py")
