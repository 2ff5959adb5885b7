"""Canvases over HTTP: files, nodes, edges, versions, and conditions."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask.testing import FlaskClient

from jobs.services import Services
from tests.unit.domain.canvas.samples import OBSIDIAN, TEXT_NODE
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


def test_a_read_can_ask_for_the_version_that_its_client_knows(web: FlaskClient) -> None:
    """Another one is refused, without its content."""
    for place in (PLACE, f"{PLACE}/nodes/{FIRST}"):
        etag = web.get(place).headers["ETag"]
        for wanted in (etag, "*", f'"other", {etag}'):
            assert web.get(place, headers={"If-Match": wanted}).status_code == 200
        assert web.get(place, headers={"If-Match": etag, "If-None-Match": etag}).status_code == 304
        refused = web.get(place, headers={"If-Match": '"other"'})
        assert (refused.status_code, refused.mimetype) == (412, "application/problem+json")
        assert refused.get_json()["code"] == "precondition_failed"
        head = web.head(place, headers={"If-Match": '"other"'})
        assert (head.status_code, head.data) == (412, b"")


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
    for version in listed:
        kept = web.get(version["links"]["self"])
        assert (kept.headers["ETag"], len(kept.data)) == (version["etag"], version["size"])
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
