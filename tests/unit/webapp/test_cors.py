"""Pages of other sites: refused by default, let in by setting, and told what they may see."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from redis import Redis

from config import ConfigError, load_config
from jobs.stores.database import Database
from tests.fakes import engine_services
from tests.unit.webapp.conftest import ACME, ACME_ENTRY
from webapp import create_app

FRIEND, STRANGER = "https://app.example.com", "https://evil.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}


@pytest.fixture
def make_client(fake_redis: Redis, sqlite_database: Database) -> Callable[..., FlaskClient]:
    def make(**settings: str) -> FlaskClient:
        services = engine_services(fake_redis, load_config(**settings), sqlite_database)
        return create_app(services=services).test_client()

    return make


def test_by_default_no_other_site_is_let_in(make_client: Callable[..., FlaskClient]) -> None:
    """Neither asked for by a browser's preflight nor answered."""
    client = make_client(api_keys=ACME_ENTRY)
    asked = client.options("/jobs", headers={"Origin": FRIEND} | PREFLIGHT)
    assert "Access-Control-Allow-Origin" not in asked.headers
    answer = client.get("/jobs", headers={"Origin": FRIEND, "Authorization": f"Bearer {ACME}"})
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("keys", [ACME_ENTRY, ""], ids=["with keys", "without keys"])
def test_a_named_site_may_use_the_api_and_another_may_not(make_client: Callable[..., FlaskClient], keys: str) -> None:
    """Without keys too, where every other site's request is refused."""
    client = make_client(cors_origins=f"{FRIEND}, https://other.example.com/", api_keys=keys)
    key = {"Authorization": f"Bearer {ACME}"} if keys else {}
    asked = client.options("/research", headers={"Origin": FRIEND} | PREFLIGHT)
    assert asked.status_code == 200
    assert asked.headers["Access-Control-Allow-Origin"] == FRIEND
    assert {each.strip().lower() for each in asked.headers["Access-Control-Allow-Headers"].split(",")} == {
        "authorization",
        "content-type",
    }
    answer = client.get("/jobs", headers={"Origin": FRIEND} | key)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == FRIEND
    seen = answer.headers["Access-Control-Expose-Headers"]
    assert {"X-Task-ID", "X-Request-ID", "X-Model-Name", "Retry-After", "Location"} <= set(seen.split(", "))
    assert "Access-Control-Allow-Credentials" not in answer.headers
    for strange in (
        client.options("/research", headers={"Origin": STRANGER} | PREFLIGHT),
        client.get("/jobs", headers={"Origin": STRANGER} | key),
    ):
        assert "Access-Control-Allow-Origin" not in strange.headers
    assert client.get("/jobs", headers={"Origin": STRANGER} | key).status_code == (200 if keys else 403)


@pytest.mark.parametrize("written", ["https://APP.example.com", "HTTPS://App.Example.Com"])
def test_a_site_is_the_same_in_capitals(make_client: Callable[..., FlaskClient], written: str) -> None:
    """In the setting and in the header."""
    for setting, origin in ((FRIEND, written), (written, FRIEND)):
        client = make_client(cors_origins=setting)
        assert client.options("/jobs", headers={"Origin": origin} | PREFLIGHT).status_code == 200
        answer = client.get("/jobs", headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"].lower() == FRIEND


def test_errors_can_be_read_by_the_page(make_client: Callable[..., FlaskClient]) -> None:
    """Else it would see a network error where there is a 401."""
    client = make_client(cors_origins=FRIEND, api_keys=ACME_ENTRY)
    for answer in (client.get("/jobs", headers={"Origin": FRIEND}), client.get("/nowhere", headers={"Origin": FRIEND})):
        assert answer.status_code == 401
        assert answer.headers["Access-Control-Allow-Origin"] == FRIEND


def test_the_dashboard_is_for_its_own_pages_only(make_client: Callable[..., FlaskClient]) -> None:
    """It has a login that browsers send along."""
    client = make_client(cors_origins=FRIEND, api_keys=ACME_ENTRY, dashboard_password="x")
    for path in ("/rq", "/rq/0/data/queues.json"):
        assert "Access-Control-Allow-Origin" not in client.get(path, headers={"Origin": FRIEND}).headers


@pytest.mark.parametrize("origins", ["app.example.com", "https://app.example.com/path", "ftp://x", "*"])
def test_settings_that_would_not_work_or_open_too_much_are_refused(origins: str) -> None:
    """Every site, and no keys: any web page could use a service on its visitor's machine."""
    with pytest.raises(ConfigError):
        load_config(cors_origins=origins)
    if origins == "*":
        assert load_config(cors_origins="*", api_keys=ACME_ENTRY).cors_origins == ("*",)
