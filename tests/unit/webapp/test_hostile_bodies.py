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
