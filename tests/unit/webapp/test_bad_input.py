"""Bad input to every route: a clear 4xx with a stable code, never a 500, and nothing is stored."""

import io
import json
import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis
from werkzeug.test import TestResponse

from config import load_config
from jobs.services import build_services
from jobs.stores.migrate import upgrade
from webapp import create_app

HUGE = 10**30
JSON = "application/json"


@pytest.fixture
def web(fake_redis: Redis, tmp_path: Path) -> FlaskClient:
    """A client of the whole application, with a database and files of its own."""
    config = load_config(data_dir=tmp_path / "var", max_upload_bytes=100_000, max_json_bytes=200_000)
    upgrade(config.sqlalchemy_url)
    return create_app(services=build_services(config, fake_redis)).test_client()


def problem(answer: TestResponse, status: int, code: str) -> dict[str, object]:
    """Assert that an answer is this problem, and return it."""
    body = dict(json.loads(answer.text))
    assert (answer.status_code, body["code"]) == (status, code), answer.text
    assert answer.mimetype == "application/problem+json"
    assert body["status"] == status
    assert body["request_id"] == answer.headers["X-Request-ID"]
    assert "Traceback" not in answer.text
    return body


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"question": NaN}',
        b'{"question": "\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 30_000,
        b"\xff\xfe{}",
    ],
    ids=["empty", "torn", "NaN", "lone surrogate", "deep list", "deep object", "not UTF-8"],
)
def test_a_body_that_is_no_json_is_a_400(web: FlaskClient, body: bytes) -> None:
    """Whatever is wrong with it."""
    problem(web.post("/ask", data=body, content_type=JSON), 400, "bad_request")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "question"),
        ({"question": ""}, "question"),
        ({"question": 5}, "question"),
        ({"question": None}, "question"),
        ({"question": "x" * 5000}, "question"),
        ({"question": "x", "document_id": "one"}, "document_id"),
        ({"question": "x", "document_id": -1}, "document_id"),
        ({"question": "x", "document_id": HUGE}, "document_id"),
        ({"question": "x", "tenant": "other"}, "tenant"),
        ({"question": "x", "tenant_id": "other", "status": "completed"}, "tenant_id"),
        ([], "body"),
        ("text", "body"),
        ({"question": "x", "document_id": 1.5}, "document_id"),
        (3, "body"),
    ],
)
def test_a_body_that_does_not_fit_is_a_422_that_names_the_field(web: FlaskClient, body: object, field: str) -> None:
    """Unknown fields too: a client that means to name a tenant is told that it cannot."""
    answer = problem(web.post("/ask", json=body), 422, "invalid")
    assert field in [error["field"] for error in answer["errors"]]  # type: ignore[attr-defined]


def test_a_body_of_another_type_is_a_415(web: FlaskClient) -> None:
    """JSON is asked for by name."""
    problem(web.post("/ask", data="question=x"), 415, "unsupported_media_type")


@pytest.mark.parametrize("size", [200_001, 5_000_000])
def test_an_oversize_body_is_a_413(web: FlaskClient, size: int) -> None:
    """Before it is read."""
    problem(web.post("/ask", data=b" " * size, content_type=JSON), 413, "too_large")


def test_an_oversize_file_is_a_413_and_nothing_is_kept(web: FlaskClient, tmp_path: Path) -> None:
    """One byte over the limit, or so far over it that the body is not even read."""
    for size in (100_001, 300_000):
        answer = web.post("/upload", data={"file": (io.BytesIO(b"a" * size), "a.txt")})
        problem(answer, 413, "too_large")
    assert web.get("/documents").get_json()["documents"] == []
    assert not [path for path in (tmp_path / "var").rglob("*") if path.is_file() and "offstage.db" not in path.name]


def test_a_body_without_a_length_is_a_411(web: FlaskClient) -> None:
    """What cannot be bounded is not read."""
    for path in ("/upload", "/ask"):
        answer = web.post(path, data=b"x", headers={"Transfer-Encoding": "chunked"}, content_type=JSON)
        problem(answer, 411, "length_required")


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"file": "just text"},
        {"wrong": (io.BytesIO(b"x"), "a.txt")},
    ],
)
def test_an_upload_without_a_file_is_a_422(web: FlaskClient, form: dict[str, object]) -> None:
    """It says where the file belongs."""
    problem(web.post("/upload", data=form, content_type="multipart/form-data"), 422, "missing_file")


@pytest.mark.parametrize(
    "body",
    [
        b"--x\r\nnonsense",
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nthe body ends he',
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n',
    ],
)
def test_a_torn_upload_is_a_400_and_nothing_is_kept(web: FlaskClient, body: bytes) -> None:
    """A multipart body that says it is one and is not, or that ends within the file."""
    answer = web.post("/upload", data=body, content_type="multipart/form-data; boundary=x")
    problem(answer, 400, "bad_request")
    assert web.get("/documents").get_json()["documents"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/documents/0", 404),
        ("GET", f"/documents/{HUGE}", 422),
        ("GET", "/documents/abc", 404),
        ("GET", "/documents/-1", 404),
        ("GET", "/documents/1.5", 404),
        ("DELETE", f"/documents/{HUGE}", 422),
        ("DELETE", "/documents/7", 404),
        ("GET", "/search", 422),
        ("GET", "/search?q=", 422),
        ("GET", f"/search?q=x&document_id={HUGE}", 422),
        ("GET", "/search?q=x&limit=0", 422),
        ("GET", "/documents?cursor=%00", 400),
        ("GET", "/documents?cursor=" + "9" * 150, 400),
        ("GET", "/documents?limit=x", 422),
        ("GET", "/jobs?cursor=bmFu", 400),
        ("GET", "/jobs?cursor=aW5m", 400),
        ("GET", "/jobs/" + "x" * 300, 404),
        ("GET", "/jobs/%2e%2e%2fetc", 404),
        ("GET", "/task/nope", 404),
        ("POST", "/jobs/nope/cancel", 404),
        ("GET", "/nowhere", 404),
        ("PUT", "/upload", 405),
        ("GET", "/ask", 405),
    ],
)
def test_every_route_turns_bad_input_away(web: FlaskClient, method: str, path: str, status: int) -> None:
    """With a problem, and a code in snake case."""
    answer = web.open(path, method=method)
    assert answer.status_code == status, answer.text
    assert re.fullmatch(r"[a-z][a-z0-9_]+", answer.get_json(force=True)["code"])
    assert answer.mimetype == "application/problem+json"


@pytest.mark.parametrize(
    "query",
    ['"', '""', "AND", "a OR", "NEAR(", "*", "a*", "-", "x:y", "%", "_", "\\", "'; DROP TABLE documents; --", "\x00",
     "好" * 4000, "a " * 2000, "🙂", "\u202e", "NULL", "{}", "()"],
)  # fmt: skip
def test_any_text_is_a_valid_search_and_question(web: FlaskClient, query: str) -> None:
    """Operators of the databases mean nothing here."""
    assert web.get("/search", query_string={"q": query}).status_code == 200
    answer = web.post("/ask", json={"question": query})
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["refused"] is True


def test_a_request_id_is_kept_if_it_is_a_good_one(web: FlaskClient) -> None:
    """Anything else could forge log lines."""
    assert web.get("/health", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    for bad in ("a b", "x" * 65, "<script>"):
        assert web.get("/health", headers={"X-Request-ID": bad}).headers["X-Request-ID"].startswith("req-")


def test_health_touches_nothing_and_readiness_looks(web: FlaskClient) -> None:
    """Both answer; readiness names what it asked."""
    assert web.get("/livez").get_json() == {"status": "ok"}
    assert web.get("/readyz").get_json() == {"status": "ok", "checks": {"redis": True, "database": True}}
    assert [queue["name"] for queue in web.get("/queues").get_json()["queues"]] == ["high", "default", "low"]


def test_the_description_for_machines_is_whole(web: FlaskClient) -> None:
    """OpenAPI 3.1 with every route of the API."""
    spec = web.get("/openapi.json").get_json()
    assert spec["openapi"].startswith("3.1")
    assert {"/upload", "/ask", "/documents/{document_id}", "/jobs/{job_id}", "/jobs/{job_id}/events"} <= set(
        spec["paths"]
    )


def test_a_question_to_document_0_is_not_one_to_all(web: FlaskClient) -> None:
    problem(web.post("/ask", json={"question": "?", "document_id": 0}), 404, "document_not_found")


@pytest.mark.parametrize("number", [-1, 2**63, HUGE])
def test_a_job_takes_no_id_that_no_database_holds(web: FlaskClient, number: int) -> None:
    """It would start, and overflow in the worker."""
    body = {"args": {"document_id": number}}
    problem(web.post("/jobs/documents.embed", json=body), 422, "invalid_arguments")


@pytest.mark.parametrize("zone", ["Nowhere", "Asia", "../UTC", "", "上海"])
def test_a_time_zone_that_is_none_is_refused(web: FlaskClient, zone: str) -> None:
    """Also a folder or a path among those of the zones."""
    wishes = {"quiet_hours": {"start": "22:00", "end": "07:00", "timezone": zone}}
    said = problem(web.put("/users/1/preferences", json=wishes), 422, "invalid")
    assert said["errors"] == [{"field": "quiet_hours.timezone", "message": "no time zone is called that"}]
