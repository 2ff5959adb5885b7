"""What the local stack makes of its settings, before anything is started."""

import os
from pathlib import Path

import pytest

from config import load_config
from local.demo import demo_settings
from local.processes import Ended
from local.stack import Stack, _dashboard_password, describe


@pytest.mark.parametrize(
    ("host", "url"),
    [("", "http://127.0.0.1:8000"), ("0.0.0.0", "http://127.0.0.1:8000"), ("::", "http://[::1]:8000")],
)
def test_the_address_is_one_that_a_browser_can_open(host: str, url: str) -> None:
    """An address to listen on is not always one to go to."""
    assert Stack(load_config(host=host)).url == url


def test_a_named_redis_is_used_and_none_started() -> None:
    """REDIS_URL decides."""
    assert Stack(load_config(redis_url="redis://elsewhere/0")).redis is None
    assert Stack(load_config()).redis is not None


def test_a_given_dashboard_password_is_kept_nowhere(tmp_path: Path) -> None:
    """Only one that we have made ourselves is stored."""
    assert _dashboard_password(load_config(dashboard_password="given", data_dir=tmp_path)) == "given"
    assert list(tmp_path.iterdir()) == []


def test_the_dashboard_password_is_made_once(tmp_path: Path) -> None:
    """The same at every start, long, and readable by its owner alone."""
    config = load_config(data_dir=tmp_path / "var")
    first = _dashboard_password(config)
    assert len(first) >= 16
    assert _dashboard_password(config) == first
    assert (tmp_path / "var" / "dashboard-password").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("code", "text"),
    [(1, "worker ended with exit code 1."), (-9, "worker ended by SIGKILL."), (0, "worker ended with exit code 0.")],
)
def test_an_end_is_told_in_words(code: int, text: str) -> None:
    """Signals by their names."""
    assert describe(Ended("worker", code)) == text


def test_the_demo_takes_nothing_but_the_models_from_the_environment(tmp_path: Path) -> None:
    """It neither needs nor touches a running service."""
    try:
        os.environ |= {"REDIS_URL": "redis://elsewhere/0", "API_KEYS": "nonsense"}
        os.environ |= {"LLM_URL": "http://model/v1", "LLM_MODEL": "small"}
        config, environ = demo_settings(tmp_path)
    finally:
        for name in ("LLM_URL", "LLM_MODEL"):
            os.environ.pop(name)
    assert (config.redis_url, config.api_keys, config.data_dir) == ("", {}, tmp_path / "var")
    assert not {"REDIS_URL", "API_KEYS"} & (environ.keys() | os.environ.keys())
    assert environ["LLM_URL"] == config.llm_url == "http://model/v1"
