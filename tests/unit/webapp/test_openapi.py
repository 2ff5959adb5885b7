"""The description for machines: valid, whole, and without two things under one name.

That it is true is held by every test beside this one: see `answers_are_as_described`.
"""

import inspect
import io
import json
import re
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import validate

from config import load_config
from jobs.services import Services
from tests.fakes import engine_services, run_jobs
from tests.unit.domain.canvas.samples import OBSIDIAN
from tests.unit.webapp.conftest import ACME_ENTRY, Build
from webapp import create_app
from webapp.openapi.document import document_of
from webapp.openapi.operations import FOR_PEOPLE, operations_of


@pytest.fixture
def app(local_services: Services) -> Flask:
    return create_app(services=local_services)


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    return dict(app.test_client().get("/openapi.json").get_json())


def operations(document: dict[str, Any]) -> dict[str, Any]:
    paths = document["paths"].items()
    return {f"{method.upper()} {path}": said for path, each in paths for method, said in each.items()}


def test_it_is_valid_with_keys_and_without(app: Flask, document: dict[str, Any]) -> None:
    """By the specification's own schemas."""
    validate(document)
    validate(document_of(app, keys=True))


def test_every_route_stands_in_it(app: Flask, document: dict[str, Any]) -> None:
    """But for the pages that are for people."""
    described = {re.sub("{.+?}", "{}", name) for name in operations(document)}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] not in FOR_PEOPLE:
            path = re.sub("<.+?>", "{}", rule.rule)
            assert {f"{method} {path}" for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}} <= described


def test_no_two_paths_are_one(document: dict[str, Any]) -> None:
    """OpenAPI tells them apart by what is fixed in them, not by the names of their parts."""
    fixed = [re.sub("{.+?}", "{}", path) for path in document["paths"]]
    assert len(set(fixed)) == len(fixed)


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    """Clients that are generated call their methods by them."""
    names = [said["operationId"] for said in operations(document).values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", name) for name in names)


def test_two_shapes_of_one_name_are_one_shape(document: dict[str, Any]) -> None:
    """Two of one name would be told apart by their modules, `webapp__api__...`, or by `-Input` and `-Output`."""
    assert [name for name in document["components"]["schemas"] if not name.isalpha()] == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for place, name in set(re.findall(r'"\$ref": "#/components/(\w+)/([\w-]+)"', text)):
        assert name in document["components"][place]


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    """As `application/problem+json`, also those that are not listed; `GET /readyz` alone says what does not answer."""
    for name, said in operations(document).items():
        listed = {status: answer for status, answer in said["responses"].items() if status >= "4"}
        assert "default" in listed
        for status, answer in listed.items():
            assert "$ref" in answer or (name, status) == ("GET /readyz", "503")
    for answer in document["components"]["responses"].values():
        assert list(answer["content"]) == ["application/problem+json"]


def test_every_success_says_what_it_holds(document: dict[str, Any]) -> None:
    """A schema for each media type; nothing at all where nothing is answered."""
    for name, said in operations(document).items():
        successes = {status: answer for status, answer in said["responses"].items() if status < "4"}
        assert successes, name
        for status, answer in successes.items():
            assert ("content" in answer) == (status not in ("204", "304")), name
            assert all(media["schema"] for media in answer.get("content", {}).values()), name


def test_what_starts_work_says_where_to_look(document: dict[str, Any]) -> None:
    accepted = [said["responses"]["202"] for said in operations(document).values() if "202" in said["responses"]]
    assert len(accepted) > 10
    assert all({"Location", "Retry-After"} <= set(answer["headers"]) for answer in accepted)


def test_every_post_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    """And can answer that its first request is under way."""
    for name, said in operations(document).items():
        taken = {"$ref": "#/components/parameters/Idempotency-Key"} in said.get("parameters", [])
        assert taken == name.startswith("POST ")
        assert not taken or {"409", "422"} <= set(said["responses"])


def test_a_key_is_asked_for_where_there_are_keys(app: Flask, document: dict[str, Any]) -> None:
    """Not of those who look whether the service is alive; without keys it may be sent, and need not."""
    assert document["security"] == [{}, {"bearer": []}]
    keyed = document_of(app, keys=True)
    assert keyed["security"] == [{"bearer": []}]
    described = operations(keyed)
    for name, said in described.items():
        assert ("401" in said["responses"]) == (said.get("security") != []), name
    open_to_all = {name for name, said in described.items() if "security" in said}
    assert open_to_all == {"GET /livez", "GET /health", "GET /readyz", "GET /openapi.json"}


def test_an_upload_is_a_form_with_a_file(document: dict[str, Any]) -> None:
    [media_type, media] = next(iter(operations(document)["POST /upload"]["requestBody"]["content"].items()))
    form = document["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
    assert (media_type, form["required"]) == ("multipart/form-data", ["file"])
    assert form["properties"]["file"]["format"] == "binary"


def test_conditions_and_places_in_streams_are_parameters(document: dict[str, Any]) -> None:
    described = operations(document)

    def taken(name: str) -> set[str]:
        return {each["$ref"].rpartition("/")[2] for each in described[name]["parameters"] if "$ref" in each}

    for method in ("PUT", "GET"):
        assert taken(f"{method} /canvases/{{name}}") == {"If-Match", "If-None-Match"}
    assert taken("GET /jobs/{job_id}/events") == {"Last-Event-ID"}
    assert "412" in described["PUT /canvases/{name}"]["responses"]
    assert "304" in described["GET /canvases/{name}"]["responses"]


def test_no_parameter_can_be_null(document: dict[str, Any]) -> None:
    """There is no way to write that in an address."""
    for said in operations(document).values():
        assert '"null"' not in json.dumps(said.get("parameters", []))


def test_it_can_be_read_without_a_key(sqlite_database: Any, fake_redis: Any) -> None:
    """It says of this start that the others need one."""
    config = load_config(api_keys=ACME_ENTRY)
    keyed = create_app(services=engine_services(fake_redis, config, sqlite_database))
    assert keyed.test_client().get("/openapi.json").get_json() == json.loads(json.dumps(document_of(keyed, keys=True)))


def test_every_view_says_what_it_answers(app: Flask) -> None:
    """In its return type; `Any` would say nothing."""
    for each in operations_of(app):
        assert each.said, each.view
        assert inspect.getdoc(each.view), each.view
        assert Any not in [said.shape for said in each.said], each.view


def test_what_the_other_tests_do_not_ask_for_is_as_described(build: Build) -> None:
    """So that each answer that is described has been seen."""
    services = build()
    web = create_app(services=services).test_client()
    place = web.post("/upload", data={"file": (io.BytesIO("文件".encode()), "a.txt")}).get_json()["document_id"]
    run_jobs(services)
    assert web.get(f"/documents/{place}").get_json()["status"] == "completed"
    assert web.delete(f"/documents/{place}").status_code == 204
    assert web.get("/events").get_json()["events"]
    web.put("/users/1/preferences", json={"channels": {"sms": False}})
    assert web.get("/users/1/preferences").get_json()["channels"] == {"sms": False}
    web.put("/canvases/a", data=OBSIDIAN.encode())
    assert web.post("/canvases/a/restore", json={"version": 1}).status_code == 200
    edge = f"/canvases/a/edges/{web.get('/canvases/a').get_json()['edges'][0]['id']}"
    etag = web.get(edge).headers["ETag"]
    assert web.get(edge, headers={"If-None-Match": etag}).status_code == 304
    assert web.delete(edge).status_code == 204
