"""Bodies that fit a client's limit and mean harm: refused early, shortly, and with nothing kept."""

import pytest
from flask.testing import FlaskClient

from jobs.services import Services

TYPE = "canvases.review"
NUL = "a\0b"


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (f"/jobs/{TYPE}", {"args": {"canvas_name": "n"}, "depends_on": [NUL]}, "depends_on.0"),
        (f"/jobs/{TYPE}", {"args": {"canvas_name": "n"}, "depends_on": ["a\nb"]}, "depends_on.0"),
        ("/batches", {"jobs": [{"type": TYPE, "depends_on": [NUL]}]}, "jobs.0.depends_on.0"),
        ("/batches", {"type": TYPE, "items": [{}], "options": {"depends_on": [NUL]}}, "options.depends_on.0"),
        ("/batches", {"type": TYPE, "items": [{}], "name": NUL}, "name"),
        ("/schedules", {"name": NUL, "type": TYPE, "args": {"canvas_name": "n"}, "every": 60}, "name"),
    ],
)
def test_an_id_or_a_name_has_no_characters_that_a_database_refuses(
    local: FlaskClient, local_services: Services, path: str, body: object, field: str
) -> None:
    """It is refused before anything is kept: a row that cannot be read would stay."""
    answer = local.post(path, json=body)
    assert (answer.status_code, answer.get_json(force=True)["errors"][0]["field"]) == (422, field)
    with local_services.database.read() as connection:
        counts = [connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar() for table in ("work", "batches")]
    assert counts == [0, 0]


def test_an_answer_names_only_the_first_faults_of_a_body(local: FlaskClient) -> None:
    """However many there are, and however long the names: the answer stays short."""
    many = {f"{number}{'x' * 50}": 1 for number in range(10_000)}
    for path, body in (("/jobs/canvases.review", many), ("/batches", many), ("/jobs/canvases.review", {"args": many})):
        answer = local.post(path, json=body)
        assert (answer.status_code, len(answer.data) < 10_000) == (422, True)
        assert "more faults" in answer.get_json(force=True)["detail"]


def test_a_body_of_very_many_values_is_refused_before_it_is_read(local: FlaskClient) -> None:
    body = '{"type":"canvases.review","items":[' + ",".join(["{}"] * 200_000) + "]}"
    answer = local.post("/batches", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json(force=True)["code"]) == (413, "too_large")
