"""`GET /usage`."""

import pytest
from flask.testing import FlaskClient

from config import LOCAL_TENANT, ConfigError, load_config
from jobs.domain.usage import Usage
from jobs.services import Services
from tests.unit.webapp.conftest import ACME


def record(services: Services, key: str, user_id: str | None = "1001", model: str = "small") -> None:
    services.usage.record(None, LOCAL_TENANT, user_id, model, Usage(1500, 250), "chat", key)


def test_usage_has_a_line_by_model_and_the_sum_of_all(local: FlaskClient, local_services: Services) -> None:
    """A cost is exact text with its currency; that of an unknown model is null."""
    record(local_services, "1")
    record(local_services, "2")
    record(local_services, "3", model="unheard-of")
    answer = local.get("/usage?by=model").json
    assert answer["usage"][0] == {
        "model": "small",
        "calls": 2,
        "prompt_tokens": 3000,
        "completion_tokens": 500,
        "total_tokens": 3500,
        "estimated_calls": 0,
        "cost": "0.00075",
        "unpriced_calls": 0,
    }
    assert (answer["usage"][1]["model"], answer["usage"][1]["cost"]) == ("unheard-of", None)
    assert (answer["total"]["calls"], answer["total"]["cost"], answer["total"]["unpriced_calls"]) == (3, "0.00075", 1)
    assert (answer["currency"], answer["next_cursor"]) == ("USD", None)


def test_pages_of_users_add_up_to_all_of_them(local: FlaskClient, local_services: Services) -> None:
    """Also right after those of no user."""
    users = [None, "1001", "王伟"]
    for user_id in users:
        record(local_services, f"of {user_id}", user_id)
    found, query = [], {"by": "user", "limit": 1}
    while query.get("cursor", "") is not None:
        answer = local.get("/usage", query_string=query).json
        found += [each["user"] for each in answer["usage"]]
        query["cursor"] = answer["next_cursor"]
    assert found == users


def test_usage_of_another_tenant_is_not_seen(keyed: FlaskClient, local_services: Services) -> None:
    record(local_services, "1")
    answer = keyed.get("/usage", headers={"Authorization": f"Bearer {ACME}"}).json
    assert answer["total"]["calls"] == 0


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("by=planet", 422),
        ("since=yesterday", 422),
        ("user_id=%00", 422),
        ("cursor=!!", 400),
        ("cursor=dXNlcjox", 400),  # one of another `by`
        ("limit=0", 422),
    ],
)
def test_bad_queries_are_refused(local: FlaskClient, query: str, status: int) -> None:
    assert local.get(f"/usage?{query}").status_code == status


def test_prices_come_from_the_settings_and_bad_ones_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON in the environment; a price has four places at most and is not negative."""
    monkeypatch.setenv("MODEL_PRICES", '{"small": {"input": 0.15, "output": 0.6}}')
    assert str(load_config().model_prices["small"].input) == "0.15"
    with pytest.raises(ConfigError, match="MODEL_PRICES"):
        load_config(model_prices={"small": {"input": -1, "output": 0}})
    with pytest.raises(ConfigError, match="MODEL_PRICES"):
        load_config(model_prices={"small": {"input": 0.00001, "output": 0}})
