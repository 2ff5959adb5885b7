"""What the tests of the providers share."""

from collections.abc import Iterator

import pytest

from tests.unit.providers.scripted import Server, scripted_server


@pytest.fixture
def server() -> Iterator[Server]:
    """An HTTP server that answers as the test says."""
    with scripted_server() as running:
        yield running
