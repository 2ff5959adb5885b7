"""Redis or the database is away: what is accepted is accepted, what is not is a 503, and nothing is a 500."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fakeredis import FakeRedis, FakeServer
from flask.testing import FlaskClient
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from jobs.core.reconcile import reconcile
from jobs.services import Services
from jobs.stores.database import Database, is_away
from jobs.stores.requests import RequestStore
from jobs.stores.work import WorkStore
from tests.fakes import engine_services, run_jobs
from webapp import create_app

pytestmark = pytest.mark.usefixtures("echo_job")

START = "/jobs/test.echo"
BODY = {"args": {"text": "x"}}
BATCH = {"type": "test.echo", "items": [{"text": "a"}, {"text": "b"}]}


@pytest.fixture
def server() -> FakeServer:
    """A Redis whose plug can be pulled: `connected`."""
    return FakeServer(server_type="redis", version=(7, 0))


@pytest.fixture
def services(server: FakeServer, sqlite_database: Database) -> Iterator[Services]:
    """The engine over that Redis."""
    with FakeRedis(server=server) as redis:
        yield engine_services(redis, database=sqlite_database)


@pytest.fixture
def web(services: Services) -> FlaskClient:
    """A client of the service."""
    return create_app(services=services).test_client()


@pytest.fixture
def without_database(services: Services) -> FlaskClient:
    """A client of a service whose database refuses connections."""
    database = Database("postgresql+psycopg://nobody@127.0.0.1:1/none")
    stores = {"work": WorkStore(database), "requests": RequestStore(database)}
    return create_app(services=replace(services, database=database, **stores)).test_client()  # type: ignore[arg-type]


def test_without_redis_work_is_accepted_and_shown(web: FlaskClient, services: Services, server: FakeServer) -> None:
    """In each of its forms, also to a client that waits for the end; it is done when Redis is back."""
    server.connected = False
    started = web.post(START, json=BODY)
    assert started.status_code == 202
    job_id = started.get_json()["task_id"]
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}?wait=5"):
        assert (web.get(path).status_code, web.get(path).get_json()["state"]) == (200, "queued")
    assert web.get(f"/task/{job_id}").get_json()["status"] == "pending"
    batch = web.post("/batches", json=BATCH)
    assert batch.status_code == 202
    assert web.get(batch.headers["Location"]).get_json()["counts"]["queued"] == 2
    server.connected = True
    reconcile(services.redis, services.work, young=0)
    run_jobs(services)
    assert web.get(f"/jobs/{job_id}").get_json()["result"] == "x"
    assert web.get(batch.headers["Location"]).get_json()["counts"]["completed"] == 2


def test_how_it_is_known_is_not_shown(web: FlaskClient, server: FakeServer) -> None:
    """A job has the same fields with and without Redis."""
    job_id = web.post(START, json=BODY).get_json()["task_id"]
    before = web.get(f"/jobs/{job_id}").get_json()
    server.connected = False
    assert set(web.get(f"/jobs/{job_id}").get_json()) == set(before)


def test_a_key_holds_without_redis(web: FlaskClient, server: FakeServer) -> None:
    """The same request is the same job, another one is refused."""
    server.connected = False
    key = {"Idempotency-Key": "k"}
    first, again = (web.post(START, json=BODY, headers=key) for _ in range(2))
    assert first.get_json()["task_id"] == again.get_json()["task_id"]
    assert web.post(START, json={"args": {"text": "y"}}, headers=key).status_code == 422


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}])
@pytest.mark.parametrize(("path", "body"), [(START, BODY), ("/batches", BATCH)])
def test_without_the_database_nothing_is_accepted(
    without_database: FlaskClient, services: Services, path: str, body: dict[str, object], headers: dict[str, str]
) -> None:
    """A 503 that says when to come again; nothing is left half done."""
    answer = without_database.post(path, json=body, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert not services.redis.keys("rq:*")


def test_without_both_a_look_at_a_job_is_a_503(without_database: FlaskClient, server: FakeServer) -> None:
    """Nobody knows whether there is such a job."""
    server.connected = False
    assert without_database.get("/jobs/unknown").status_code == 503


def test_a_database_whose_connections_are_all_taken_is_away() -> None:
    """They wait for its answer, so there will be none for this request either."""
    assert is_away(PoolTimeout())
    assert not is_away(ValueError())


def test_a_canceled_batch_that_redis_had_lost_stays_canceled(web: FlaskClient, services: Services) -> None:
    """None of its jobs comes back."""
    batch = web.post("/batches", json=BATCH).headers["Location"]
    services.redis.flushall()
    assert web.post(f"{batch}/cancel").get_json()["counts"]["canceled"] == 2
    reconcile(services.redis, services.work, young=0)
    run_jobs(services)
    assert web.get(batch).get_json()["counts"]["canceled"] == 2


class Hung(Redis):
    """A Redis that takes its time not to answer; `asked` counts how often it was waited for."""

    asked = 0

    def execute_command(self, *args: object, **options: object) -> object:
        type(self).asked += 1
        raise RedisTimeoutError


def test_a_redis_that_hangs_is_waited_for_once_and_not_by_each_request(services: Services) -> None:
    """Jobs and batches, accepted and looked at: who comes within the second after is answered from the rows."""
    Hung.asked, requests = 0, 0
    web = create_app(services=replace(services, redis=Hung())).test_client()
    for _ in range(5):
        for path, body in ((START, BODY), ("/batches", BATCH)):
            accepted = web.post(path, json=body)
            assert (accepted.status_code, web.get(accepted.headers["Location"]).status_code) == (202, 200)
            requests += 2
    assert 2 <= Hung.asked < requests
