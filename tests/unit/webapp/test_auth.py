"""Who may ask, and as whom."""

import pytest
from flask.testing import FlaskClient

from config import ConfigError, load_config
from tests.unit.webapp.conftest import ACME


def test_without_keys_loopback_serves_the_local_tenant(local: FlaskClient) -> None:
    """A default start needs no header at all."""
    assert local.get("/jobs").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {ACME}"},
        {"Authorization": "Bearer "},
        {"Authorization": ACME},
    ],
)
def test_with_keys_a_request_without_a_good_one_is_refused(keyed: FlaskClient, headers: dict[str, str]) -> None:
    """401 with the scheme named, as a problem with a stable code."""
    answer = keyed.get("/jobs", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.mimetype == "application/problem+json"
    assert answer.get_json()["code"] == "unauthorized"


def test_a_key_in_the_query_is_not_looked_at(keyed: FlaskClient) -> None:
    """Queries end up in logs."""
    assert keyed.get(f"/jobs?key={ACME}&api_key={ACME}").status_code == 401


def test_a_good_key_is_let_in_and_health_needs_none(keyed: FlaskClient) -> None:
    """Probes carry no keys."""
    assert keyed.get("/jobs", headers={"Authorization": f"Bearer {ACME}"}).status_code == 200
    assert keyed.get("/health").status_code == 200


def test_keys_are_known_by_their_hash_only() -> None:
    """What stands in the settings does not open the door."""
    config = load_config(api_keys="a" * 64 + ":acme")
    assert ACME not in config.model_dump_json()


@pytest.mark.parametrize("entry", ["secret:acme", "a" * 64, "a" * 64 + ":", "a" * 64 + ":b/c"])
def test_a_bad_entry_is_named_at_the_start(entry: str) -> None:
    """The message says what an entry looks like."""
    with pytest.raises(ConfigError, match="API_KEYS"):
        load_config(api_keys=entry)


def test_without_keys_other_addresses_are_refused() -> None:
    """The message says how to mend it; with keys, or on loopback, there is nothing to refuse."""
    with pytest.raises(ConfigError, match="Set API_KEYS"):
        load_config().check_bind("0.0.0.0")
    load_config().check_bind("127.0.0.1")
    load_config().check_bind("::1")
    load_config(api_keys="a" * 64 + ":acme").check_bind("0.0.0.0")


def test_without_keys_pages_of_other_sites_are_refused(local: FlaskClient) -> None:
    """A page elsewhere could otherwise upload through its visitor's browser; a rebound name could read answers."""
    assert local.post("/jobs/x/cancel", headers={"Origin": "https://evil.example"}).status_code == 403
    assert local.get("/jobs", headers={"Host": "evil.example"}).status_code == 421
    assert local.get("/jobs", headers={"Origin": "http://localhost"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://[", "null", "http://localhost:1", "http://localhost.evil.example"])
def test_odd_origins_are_refused(local: FlaskClient, origin: str) -> None:
    """Never a 500."""
    assert local.get("/jobs", headers={"Origin": origin}).status_code == 403
