"""Event streams: what a reader is told of dropped events, and the limit on open ones."""

import pytest
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from config import load_config
from jobs.core.events import add_event
from jobs.core.keys import events
from jobs.services import Services
from tests.fakes import engine_services, job_client
from tests.unit.webapp.conftest import ACME, ACME_ENTRY, OTHER, OTHER_ENTRY
from tests.unit.webapp.test_jobs import frames
from webapp import create_app

pytestmark = pytest.mark.usefixtures("echo_job")


@pytest.fixture
def services(fake_redis: Redis) -> Services:
    return engine_services(fake_redis, load_config(max_events=10, max_streams=5))


@pytest.fixture
def web(services: Services) -> FlaskClient:
    return create_app(services=services).test_client()


def talkative(web: FlaskClient, services: Services, events: int) -> str:
    """Return a job that said a lot and was canceled."""
    job_id = job_client(services).start("test.echo", {"text": "x"}, tenant="local")
    for n in range(1, events + 1):
        add_event(services.redis, services.config, "local", job_id, "output", {"n": n})
    web.post(f"/jobs/{job_id}/cancel")
    return job_id


def test_a_reader_is_told_first_how_much_was_dropped(web: FlaskClient, services: Services) -> None:
    """From the start, and from an event in the gap; one that has seen what is left is told nothing."""
    job_id = talkative(web, services, 25)
    whole = frames(web.get(f"/jobs/{job_id}/events").text)
    assert [kind for kind, _, _ in whole] == ["status", "dropped", *["output"] * 10, "end"]
    assert whole[1] == ("dropped", {"missing": 15}, "")
    first = whole[2][2]
    within = f"{first.split('-')[0]}-7"
    assert frames(web.get(f"/jobs/{job_id}/events?after={within}").text)[1] == ("dropped", {"missing": 8}, "")
    rest = frames(web.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": first}).text)
    assert [kind for kind, _, _ in rest] == ["status", *["output"] * 9, "end"]


def test_nothing_is_said_where_nothing_was_dropped(web: FlaskClient, services: Services) -> None:
    """Also with exactly as many events as are kept."""
    job_id = talkative(web, services, 10)
    kinds = [kind for kind, _, _ in frames(web.get(f"/jobs/{job_id}/events").text)]
    assert kinds == ["status", *["output"] * 10, "end"]


def test_an_end_that_was_not_the_last_is_not_told(web: FlaskClient, services: Services) -> None:
    """A reader who hears of an end goes away; of a job that failed and was requeued it would miss the rest."""
    job_id = talkative(web, services, 2)
    services.redis.xadd(events("local", job_id), {"kind": "output", "data": '{"n": 3}'})
    services.redis.xadd(events("local", job_id), {"kind": "end", "data": '{"state": "completed"}'})
    told = frames(web.get(f"/jobs/{job_id}/events").text)
    assert [kind for kind, _, _ in told] == ["status", *["output"] * 3, "end"]
    assert told[-1][1] == {"state": "completed"}


def test_streams_over_the_limit_are_told_to_come_back(web: FlaskClient, services: Services) -> None:
    """503 with `Retry-After`; a waiting GET is answered at once; a stream that ends makes room."""
    job_id = job_client(services).start("test.echo", {"text": "x"}, tenant="local")
    open_streams = [web.get(f"/jobs/{job_id}/events", buffered=False) for _ in range(5)]
    for _ in range(2):
        refused = web.get(f"/jobs/{job_id}/events")
        assert (refused.status_code, refused.get_json()["code"]) == (503, "too_many_streams")
        assert refused.headers["Retry-After"]
    assert web.get(f"/jobs/{job_id}?wait=30").get_json()["state"] == "queued"
    open_streams[0].close()
    again = web.get(f"/jobs/{job_id}/events", buffered=False)
    assert again.status_code == 200
    for stream in (again, *open_streams[1:]):
        stream.close()


def test_one_tenant_leaves_room_for_the_others(fake_redis: Redis) -> None:
    """Where there are several, each may have half of the streams."""
    config = load_config(max_streams=4, api_keys=f"{ACME_ENTRY},{OTHER_ENTRY}")
    services = engine_services(fake_redis, config)
    web = create_app(services=services).test_client()

    def follow(tenant: str, key: str) -> TestResponse:
        job_id = job_client(services).start("test.echo", {"text": "x"}, tenant=tenant)
        headers = {"Authorization": f"Bearer {key}"}
        return web.get(f"/jobs/{job_id}/events", headers=headers, buffered=False)

    streams = [follow("acme", ACME), follow("acme", ACME)]
    assert follow("acme", ACME).status_code == 503
    streams.append(follow("other", OTHER))
    assert streams[-1].status_code == 200
    for stream in streams:
        stream.close()
