"""Canvases over HTTP: files, nodes, edges, versions, conditions, and what is refused."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from config import load_config
from jobs.services import Services
from tests.fakes import engine_services
from tests.unit.domain.canvas.samples import OBSIDIAN, TEXT_NODE
from tests.unit.webapp.conftest import ACME, OTHER
from webapp import create_app

PLACE = "/canvases/微积分"
FIRST = "8132d4d894c80022"


@pytest.fixture
def web(local: FlaskClient) -> FlaskClient:
    """A client of a service with one canvas, as Obsidian wrote it."""
    assert local.put(PLACE, data=OBSIDIAN.encode()).status_code == 201
    return local


def nodes(client: FlaskClient, place: str = PLACE) -> list[str]:
    return [node["id"] for node in client.get(place).get_json()["nodes"]]


def as_tenant(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_a_file_comes_back_byte_for_byte(web: FlaskClient) -> None:
    """Under its name with and without the extension, with its ETag."""
    for place in (PLACE, f"{PLACE}.canvas"):
        answer = web.get(place)
        assert (answer.data, answer.mimetype) == (OBSIDIAN.encode(), "application/json")
        assert answer.headers["ETag"].startswith('"')


def test_writing_says_what_it_has_come_to(local: FlaskClient) -> None:
    """201 and 200, the version, the ETag that a reader sees then."""
    made = local.put(PLACE, data="{}")
    assert (made.status_code, made.headers["Location"]) == (201, "/canvases/%E5%BE%AE%E7%A7%AF%E5%88%86")
    changed = local.put(PLACE, data=OBSIDIAN.encode())
    assert changed.get_json() == {
        "name": "微积分",
        "version": 2,
        "links": {"self": made.headers["Location"], "versions": f"{made.headers['Location']}/versions"},
    }
    assert (changed.status_code, changed.headers["ETag"]) == (200, local.get(PLACE).headers["ETag"])
    assert made.headers["ETag"] != changed.headers["ETag"]


def test_a_reader_who_has_it_already_gets_304(web: FlaskClient) -> None:
    """Of the file, and of a node."""
    for place in (PLACE, f"{PLACE}/nodes/{FIRST}"):
        etag = web.get(place).headers["ETag"]
        again = web.get(place, headers={"If-None-Match": etag})
        assert (again.status_code, again.data) == (304, b"")
        assert web.get(place, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_write_can_ask_for_the_version_that_its_client_knows(web: FlaskClient) -> None:
    """`If-Match` on each kind of write; nothing is changed by one that is refused."""
    old = web.get(PLACE).headers["ETag"]
    added = web.post(f"{PLACE}/nodes", json=TEXT_NODE, headers={"If-Match": old})
    assert added.headers["ETag"] == web.get(PLACE).headers["ETag"] != old
    writes = [
        lambda headers: web.put(PLACE, data="{}", headers=headers),
        lambda headers: web.post(f"{PLACE}/nodes", json={**TEXT_NODE, "id": "n2"}, headers=headers),
        lambda headers: web.patch(f"{PLACE}/nodes/new", json={"x": 5}, headers=headers),
        lambda headers: web.delete(f"{PLACE}/nodes/new", headers=headers),
        lambda headers: web.post(f"{PLACE}/restore", json={"version": 1}, headers=headers),
        lambda headers: web.delete(PLACE, headers=headers),
    ]
    for write in writes:
        refused = write({"If-Match": old})
        assert (refused.status_code, refused.get_json()["code"]) == (412, "precondition_failed")
    assert web.get(PLACE).headers["ETag"] == added.headers["ETag"]
    assert (
        web.patch(
            f"{PLACE}/nodes/new", json={"x": 5}, headers={"If-Match": f"{old}, {added.headers['ETag']}"}
        ).status_code
        == 200
    )
    assert web.delete(PLACE, headers={"If-Match": "*"}).status_code == 204


def test_a_canvas_can_be_created_without_writing_over_one(web: FlaskClient) -> None:
    assert web.put(PLACE, data="{}", headers={"If-None-Match": "*"}).status_code == 412
    assert web.put("/canvases/new", data="{}", headers={"If-Match": "*"}).status_code == 412
    assert web.put("/canvases/new", data="{}", headers={"If-None-Match": "*"}).status_code == 201


def test_nodes_and_edges_are_added_changed_and_removed(web: FlaskClient) -> None:
    """Each answers the item as the file has it, and the new ETag; the rest of the file stays."""
    node = web.post(f"{PLACE}/nodes", json={name: TEXT_NODE[name] for name in TEXT_NODE if name != "id"})
    node_id = node.get_json()["id"]
    assert (node.status_code, node.headers["Location"].rpartition("/")[2]) == (201, node_id)
    assert len(node_id) == 16
    assert set(node_id) <= set("0123456789abcdef")
    assert next(iter(node.get_json())) == "id"
    edge = web.post(f"{PLACE}/edges", json={"fromNode": FIRST, "toNode": node_id, "label": "见"})
    assert edge.status_code == 201
    assert web.get(edge.headers["Location"]).data == edge.data
    changed = web.patch(f"{PLACE}/nodes/{node_id}", json={"color": "4", "text": "懂了"})
    assert (changed.status_code, changed.get_json()["color"]) == (200, "4")
    assert web.get(node.headers["Location"]).data == changed.data
    assert web.patch(edge.headers["Location"], json={"label": None}).get_json()["toNode"] == node_id
    gone = web.delete(node.headers["Location"])
    assert (gone.status_code, gone.headers["ETag"]) == (204, web.get(PLACE).headers["ETag"])
    assert web.get(edge.headers["Location"]).get_json()["code"] == "edge_not_found"
    assert web.get(PLACE).data == OBSIDIAN.encode()


def test_a_merge_patch_may_say_that_it_is_one(web: FlaskClient) -> None:
    patched = web.patch(
        f"{PLACE}/nodes/{FIRST}", data='{"color":null}', headers={"Content-Type": "application/merge-patch+json"}
    )
    assert "color" not in patched.get_json()


def test_any_id_that_a_file_has_can_be_reached(web: FlaskClient) -> None:
    """Also one with slashes and quotes."""
    made = web.post(f"{PLACE}/nodes", json={**TEXT_NODE, "id": 'a/b "中" %?#'})
    assert web.patch(made.headers["Location"], json={"x": 9}).get_json()["id"] == 'a/b "中" %?#'


def test_fifty_writers_at_once_lose_no_node(local_services: Services, web: FlaskClient) -> None:
    app = create_app(services=local_services)

    def add(number: int) -> int:
        with app.test_client() as client:
            return client.post(f"{PLACE}/nodes", json={**TEXT_NODE, "id": f"n{number}"}).status_code

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(add, range(50))) == {201}
    assert set(nodes(web)) >= {f"n{number}" for number in range(50)}
    assert len(nodes(web)) == 55


def test_a_node_that_is_sent_again_with_its_key_is_there_once(web: FlaskClient) -> None:
    body = {name: TEXT_NODE[name] for name in TEXT_NODE if name != "id"}
    first, again = (web.post(f"{PLACE}/nodes", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (again.status_code, again.data, again.headers["ETag"]) == (201, first.data, first.headers["ETag"])
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len(nodes(web)) == 6


def test_an_equal_node_may_come_twice_and_another_of_its_id_may_not(web: FlaskClient) -> None:
    for _ in range(2):
        assert web.post(f"{PLACE}/nodes", json=TEXT_NODE).status_code == 201
    taken = web.post(f"{PLACE}/nodes", json={**TEXT_NODE, "x": 100})
    assert (taken.status_code, taken.get_json()["code"]) == (409, "node_exists")


def test_versions_are_listed_read_and_restored_also_of_a_deleted_canvas(web: FlaskClient) -> None:
    web.delete(f"{PLACE}/nodes/{FIRST}")
    assert web.delete(PLACE).status_code == 204
    assert web.get(PLACE).get_json()["code"] == "canvas_not_found"
    assert [canvas["name"] for canvas in web.get("/canvases?deleted=true").get_json()["canvases"]] == ["微积分"]
    listed = web.get(f"{PLACE}/versions").get_json()["versions"]
    assert [(version["version"], version["nodes"]) for version in listed] == [(2, 4), (1, 5)]
    assert listed[0]["deleted_at"]
    assert web.get(f"{PLACE}?version=1").data == OBSIDIAN.encode()
    restored = web.post(f"{PLACE}/restore", json={"version": 1})
    assert (restored.status_code, restored.get_json()["version"]) == (201, 3)
    assert web.get(PLACE).data == OBSIDIAN.encode()
    for missing in (web.post(f"{PLACE}/restore", json={"version": 9}), web.get(f"{PLACE}?version=9")):
        assert (missing.status_code, missing.get_json()["code"]) == (404, "version_not_found")


def test_canvases_and_versions_come_in_pages(local: FlaskClient) -> None:
    for name in ("one", "two", "三"):
        for content in ("{}", '{"nodes":[]}'):
            local.put(f"/canvases/{name}", data=content)
    for place, key, field in (("/canvases", "canvases", "name"), ("/canvases/one/versions", "versions", "version")):
        found, query = [], {"limit": 1}
        while query.get("cursor", "") is not None:
            page = local.get(place, query_string=query).get_json()
            found += [each[field] for each in page[key]]
            query["cursor"] = page["next_cursor"]
        assert found == {"canvases": ["三", "two", "one"], "versions": [2, 1]}[key]
    assert local.get("/canvases?cursor=!!").status_code == 400


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
