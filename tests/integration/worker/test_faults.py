"""The short form of `faults.py`: a few kills of each kind."""

import pytest
from redis import Redis

from tests.integration.worker.faults import KINDS, run
from tests.integration.worker.fleet import Fleet


@pytest.mark.parametrize("kind", KINDS)
def test_kills_lose_nothing(redis: Redis, fleet: Fleet, kind: str) -> None:
    """No job is lost, stuck, or started again without having been under way."""
    report = run(kind, 8, redis, fleet)
    assert report.clean, report
    assert report.finished == report.jobs


@pytest.mark.parametrize("kind", ["kill -9 both", "SIGTERM group"])
def test_kills_of_threaded_workers_lose_nothing(redis: Redis, fleet: Fleet, kind: str) -> None:
    """The same with four jobs at once in each worker."""
    report = run(kind, 5, redis, fleet, threads=4)
    assert report.clean, report
    assert report.finished == report.jobs
