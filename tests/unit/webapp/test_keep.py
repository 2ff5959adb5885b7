"""How long a job is kept, as its request says."""

import pytest
from flask.testing import FlaskClient
from redis import Redis

from jobs.core import keys
from jobs.services import Services
from tests.fakes import run_jobs

pytestmark = pytest.mark.usefixtures("echo_job")


def test_a_request_says_how_long_its_job_is_kept(
    local: FlaskClient, local_services: Services, fake_redis: Redis
) -> None:
    """In seconds after its end; a job that is kept shortly takes nothing of the others with it."""
    old = local.post("/jobs/test.echo", json={"args": {"text": "x"}}).get_json()["task_id"]
    fake_redis.zadd(keys.jobs("local"), {old: 1.0})
    short = local.post("/jobs/test.echo", json={"args": {"text": "x"}, "keep": 60}).get_json()["task_id"]
    run_jobs(local_services)
    assert 0 < fake_redis.ttl(f"rq:job:{short}") <= 60
    assert fake_redis.ttl(f"rq:job:{old}") > 3600
    assert fake_redis.zrange(keys.jobs("local"), 0, -1) == [old.encode(), short.encode()]


@pytest.mark.parametrize("keep", [0, 59, -1, 10**10, "soon"])
def test_too_short_or_too_long_is_a_422(local: FlaskClient, keep: object) -> None:
    """A minute at least, a year at most."""
    answer = local.post("/jobs/test.echo", json={"args": {"text": "x"}, "keep": keep})
    assert (answer.status_code, answer.get_json()["errors"][0]["field"]) == (422, "keep")
