"""One real browser for all browser tests; each test opens tabs of its own."""

from collections.abc import Iterator

import pytest

from tests.browser.chromium import Chromium


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A headless Chromium."""
    with Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser
