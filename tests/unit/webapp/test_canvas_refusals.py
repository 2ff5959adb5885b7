"""Canvases over HTTP: what is refused, by name, content, size, number and tenant, and what is forgotten."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from config import load_config
from jobs.core.context import JobContext
from jobs.maintenance import Nothing, sweep_redis
from jobs.services import Services
from jobs.stores.schema import canvases
from tests.fakes import engine_services, job_client
from tests.unit.domain.canvas.samples import OBSIDIAN, TEXT_NODE
from tests.unit.webapp.conftest import ACME, OTHER
from webapp import create_app
from webapp.responses import encode_cursor

PLACE = "/canvases/微积分"
FIRST = "8132d4d894c80022"


@pytest.fixture
def web(local: FlaskClient) -> FlaskClient:
    """A client of a service with one canvas, as Obsidian wrote it."""
    assert local.put(PLACE, data=OBSIDIAN.encode()).status_code == 201
    return local


def as_tenant(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"\xff\xfe{\x00}\x00", "body"),
        (b'{"nodes":[{}]}', "nodes[0].type"),
        (json.dumps({"nodes": [{**TEXT_NODE, "width": "wide"}]}).encode(), "nodes[0].width"),
        (json.dumps({"edges": [{"id": "e", "fromNode": "x", "toNode": "y"}]}).encode(), "edges[0].fromNode"),
    ],
)
def test_an_invalid_canvas_is_a_422_that_names_the_fault(web: FlaskClient, content: bytes, field: str) -> None:
    refused = web.put(PLACE, data=content)
    assert (refused.status_code, refused.mimetype) == (422, "application/problem+json")
    assert (refused.get_json()["code"], refused.get_json()["errors"][0]["field"]) == ("invalid_canvas", field)
    assert web.get(PLACE).data == OBSIDIAN.encode()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ('{"color":"red"}', "color"),
        ('{"id":5}', "id"),
        ('{"type":null}', "type"),
        ('{"x":1e999}', "x"),
        ('{"zoom":1e999}', "body"),
        ("[]", "body"),
    ],
)
def test_an_invalid_node_is_a_422_that_names_the_fault(web: FlaskClient, body: str, field: str) -> None:
    """A new one, and a change that would make one of a node; the canvas stays as it is."""
    new = body if body == "[]" else f"{json.dumps(TEXT_NODE)[:-1]},{body[1:]}"
    for answer in (
        web.post(f"{PLACE}/nodes", data=new, content_type="application/json"),
        web.patch(f"{PLACE}/nodes/{FIRST}", data=body, content_type="application/json"),
    ):
        assert answer.status_code == 422
        assert [error["field"] for error in answer.get_json()["errors"]] == [field]
    assert web.get(PLACE).data == OBSIDIAN.encode()


def test_a_node_that_is_no_json_is_refused(web: FlaskClient) -> None:
    assert web.post(f"{PLACE}/nodes", data="{", content_type="application/json").status_code == 400
    assert web.post(f"{PLACE}/nodes", data="{}", content_type="text/plain").status_code == 415


@pytest.mark.parametrize(
    "name",
    [
        "..",
        ".",
        "%2e%2e",
        "..%2f..%2fetc%2fpasswd",
        "%2fetc%2fpasswd",
        "a%5Cb",
        "a%00b",
        "a%0Ab",
        "%ff",
        "x" * 201,
        ".canvas",
    ],
)
def test_a_name_never_leaves_its_place(web: FlaskClient, name: str) -> None:
    """It is refused, or it is a name like any other; nothing but a canvas is read or written."""
    written = web.put(f"/canvases/{name}", data="{}")
    if written.status_code == 201:
        assert written.get_json()["name"] == "\ufffd"  # what is no UTF-8
    else:
        assert written.status_code in (404, 405, 422)
        assert web.get(f"/canvases/{name}").status_code in (404, 405, 422)


@pytest.mark.parametrize("method", ["get", "delete"])
def test_what_another_tenant_has_is_not_there(keyed: FlaskClient, method: str) -> None:
    """The same 404 as for what nobody has, on every route."""
    keyed.put(PLACE, data=OBSIDIAN.encode(), headers=as_tenant(ACME))
    for place in (PLACE, f"{PLACE}/nodes/{FIRST}", f"{PLACE}/edges/6fa11ab87f90b8af"):
        answer = keyed.open(place, method=method, headers=as_tenant(OTHER))
        missing = keyed.open(place.replace("微积分", "nowhere"), method=method, headers=as_tenant(OTHER))
        assert answer.status_code == missing.status_code == 404
        assert answer.get_json()["code"] == missing.get_json()["code"] == "canvas_not_found"
    others = {"headers": as_tenant(OTHER)}
    assert keyed.get(f"{PLACE}/versions", **others).status_code == 404
    assert keyed.post(f"{PLACE}/restore", json={"version": 1}, **others).status_code == 404
    assert keyed.post(f"{PLACE}/nodes", json=TEXT_NODE, **others).status_code == 404
    assert keyed.post("/api/v1/review/generate", json={"canvas_name": "微积分"}, **others).status_code == 404
    assert keyed.get("/canvases", **others).get_json()["canvases"] == []
    assert keyed.put(PLACE, data="{}", **others).status_code == 201
    assert keyed.get(PLACE, headers=as_tenant(ACME)).data == OBSIDIAN.encode()


def test_a_canvas_may_be_larger_than_other_json_and_has_a_limit_too(local_services: Services) -> None:
    config = load_config(max_json_bytes=2000, max_canvas_bytes=20_000)
    base = local_services
    services = engine_services(base.redis, config, base.database)
    web = create_app(services=services).test_client()
    assert web.put(PLACE, data=json.dumps({"text": "x" * 10_000})).status_code == 201
    for answer in (
        web.put(PLACE, data=json.dumps({"text": "x" * 30_000})),
        web.post(f"{PLACE}/nodes", json={**TEXT_NODE, "text": "x" * 11_000}),
    ):
        assert answer.status_code == 413
    assert web.post("/api/v1/review/generate", json={"canvas_name": "x" * 3000}).status_code == 413


def test_there_is_a_limit_to_canvases(local_services: Services) -> None:
    config = load_config(max_canvases=1)
    web = create_app(services=engine_services(local_services.redis, config, local_services.database)).test_client()
    assert web.put("/canvases/one", data="{}").status_code == 201
    refused = web.put("/canvases/two", data="{}")
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_canvases")


def test_the_upkeep_forgets_what_was_deleted_long_ago(web: FlaskClient, local_services: Services) -> None:
    """After `DELETED_CANVAS_DAYS`; until then it can be restored."""
    web.delete(PLACE)
    client = job_client(local_services)
    ctx = JobContext(job_id="j", tenant="local", attempt=1, services=local_services, client=client)
    sweep_redis(ctx, Nothing())
    assert web.get(f"{PLACE}/versions").status_code == 200
    with local_services.database.write() as connection:
        connection.execute(update(canvases).values(deleted_at=datetime.now(UTC) - timedelta(days=31)))
    assert sweep_redis(ctx, Nothing()).forgotten == 1
    assert web.get(f"{PLACE}/versions").status_code == 404


@pytest.mark.parametrize("version", [2**31, 2**62, -1])
def test_a_cursor_beyond_all_versions_is_not_one_of_ours(web: FlaskClient, version: int) -> None:
    assert web.get(f"{PLACE}/versions?cursor={encode_cursor(version)}").status_code == 400
    assert web.get(f"{PLACE}/versions?cursor={encode_cursor(2**31 - 1)}").status_code == 200


def test_no_change_makes_a_canvas_of_very_many_values(local: FlaskClient) -> None:
    """Neither a file as a whole, nor what is added to one."""
    for number, status in ((130_000, 413), (120_000, 201)):
        assert local.put(PLACE, data='{"more":[' + ",".join(["[]"] * number) + "]}").status_code == status
    node = {**TEXT_NODE, "more": [[]] * 10_000}
    refused = local.post(f"{PLACE}/nodes", json=node)
    assert (refused.status_code, refused.get_json()["code"]) == (413, "canvas_too_large")
