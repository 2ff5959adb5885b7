"""The docs cannot fall behind: every setting, route, error code and job type stands in them."""

import re
from pathlib import Path

import pytest

from config import Config
from jobs.core.spec import discover
from tests.fakes import engine_services
from webapp import create_app
from webapp.errors import HTTP_CODES, STATUSES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_every_setting_is_documented_with_its_default() -> None:
    """`docs/settings.md` has a row for each, with the text that stands at the field."""
    settings = text("settings.md")
    for name, field in Config.model_fields.items():
        assert f"| `{name.upper()}` |" in settings, f"{name} is missing in docs/settings.md"
        assert (field.description or "") in settings, f"the text of {name} differs in docs/settings.md"


def test_no_setting_is_documented_that_does_not_exist() -> None:
    """A row without a field would send people looking."""
    rows = re.findall(r"^\| `([A-Z_]+)` \|", text("settings.md"), re.MULTILINE)
    assert set(rows) == {name.upper() for name in Config.model_fields}


def test_every_route_is_documented(fake_redis: object) -> None:
    """`docs/api.md` names each rule of the application with its methods."""
    api = text("api.md")
    app = create_app(services=engine_services(fake_redis))  # type: ignore[arg-type]
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?\w+_id>", "{id}", rule.rule)
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
        if path.startswith("/rq"):
            continue
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            assert f"`{method} {path}`" in api, f"{method} {path} is missing in docs/api.md"


def test_every_error_code_is_documented() -> None:
    """`docs/api.md` lists the stable codes."""
    api = text("api.md")
    codes = {kind.code for kind in STATUSES} | set(HTTP_CODES.values()) | {"invalid", "internal_error"}
    missing = sorted(code for code in codes if f"`{code}`" not in api)
    assert missing == []


def test_every_job_type_is_documented() -> None:
    """`docs/jobs.md` lists what the service can do."""
    jobs = text("jobs.md")
    ours = (kind for kind in discover().values() if kind.function.__module__.startswith("jobs."))
    missing = sorted(kind.name for kind in ours if f"`{kind.name}`" not in jobs)
    assert missing == []


@pytest.mark.parametrize("page", [*sorted(path.name for path in DOCS.glob("*.md")), "../README.md"])
def test_links_between_the_docs_lead_somewhere(page: str) -> None:
    """A link to a file that is not there helps nobody."""
    base = (DOCS / page).resolve()
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", base.read_text(encoding="utf-8")):
        assert (base.parent / target).exists(), f"{page} links to {target}"
