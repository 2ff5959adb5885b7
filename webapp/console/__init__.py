"""The console at `/`: one page of static files that uses the API as any client does.

It holds nothing: what it shows comes from the API, with the key that its user has typed in. Texts are set as text,
never as HTML, and the policy below lets no script of another origin run.
"""

from pathlib import Path

from flask import Blueprint, Response, send_from_directory

PREFIX = "/console"
_STATIC = Path(__file__).parent / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

bp = Blueprint("console", __name__)


@bp.get("/")
def index() -> Response:
    """Return the console's page."""
    return send_from_directory(_STATIC, "index.html")


@bp.get(f"{PREFIX}/<path:name>")
def file(name: str) -> Response:
    """Return a script or the style sheet of the console."""
    return send_from_directory(_STATIC, name)


@bp.after_request
def guard(response: Response) -> Response:
    """Let the page load what is ours and nothing else, and be asked for anew after an upgrade."""
    response.headers["Content-Security-Policy"] = _POLICY
    response.headers["Cache-Control"] = "no-cache"
    return response
