"""rq-dashboard at `/rq`: behind a login, reading our JSON jobs, and with its holes closed from outside.

rq-dashboard 0.9 has no login and no protection against other sites' pages, changes things on GET, reads jobs as
pickles, fails on jobs with dependencies and on busy workers, and writes what jobs say into its pages as HTML. Its files
stay as they are: the names that its views use are exchanged, requests are checked before they reach it, and its answers
are made safe behind it.
"""

import hmac
import html
import json
import re
import secrets
from typing import Any

import rq_dashboard.web as dashboard
from flask import Flask, Response, abort, current_app, request, url_for
from redis import Redis
from rq import Worker
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import Job, requeue_job
from rq.serializers import JSONSerializer

from config import Config
from webapp.auth import is_own_origin
from webapp.errors import problem

PREFIX = "/rq"
USER = "admin"
REGISTRIES = ("queued", "scheduled", "deferred", "started", "finished", "failed", "canceled")
MAX_PER_PAGE = 200
_QUEUE_NAME = re.compile(r"[\w.:-]{1,100}", re.ASCII)
_CHANGES = {
    f"rq_dashboard.{name}"
    for name in ("delete_job_view", "requeue_job_view", "requeue_all", "empty_queue", "compact_queue")
}
# Its templates write these answers into HTML as they are, except for the named fields, which they escape themselves.
_WRITTEN_AS_HTML: dict[str, set[str]] = {
    "rq_dashboard.job_info": set(),
    "rq_dashboard.list_jobs": {"description", "exc_info"},
    "rq_dashboard.list_queues": set(),
    "rq_dashboard.list_workers": {"description"},
}


def register_dashboard(app: Flask, config: Config, redis: Redis) -> None:
    """Serve the dashboard at `/rq` for the user `admin`; without DASHBOARD_PASSWORD every address there is a 404."""
    password = config.dashboard_password.get_secret_value() if config.dashboard_password else ""
    _adapt()
    app.redis_conn = redis  # type: ignore[attr-defined]
    app.config["RQ_DASHBOARD_REDIS_URL"] = ("Redis",)  # shown in its pages: a name, no address
    app.config["RQ_DASHBOARD_JSON_ENCODER"] = _Encoder
    app.register_blueprint(dashboard.blueprint, url_prefix=PREFIX)
    app.url_build_error_handlers.append(_favicon)

    @app.before_request
    def guard_dashboard() -> Response | None:
        if not _is_ours():
            return None
        if not password:
            abort(404)
        if not _logged_in(password):
            answer = problem(401, "unauthorized", f"Log in as `{USER}` with DASHBOARD_PASSWORD.")
            answer.headers["WWW-Authenticate"] = 'Basic realm="Offstage", charset="UTF-8"'
            return answer
        refused = _checked_change()
        if refused is None:
            _check_address(redis)
        return refused

    app.after_request(_make_safe)


def _is_ours() -> bool:
    return request.path == PREFIX or request.path.startswith(PREFIX + "/")


def _logged_in(password: str) -> bool:
    given = request.authorization
    if given is None or given.type != "basic":
        return False
    user = hmac.compare_digest((given.username or "").encode(), USER.encode())
    return hmac.compare_digest((given.password or "").encode(), password.encode()) and user


def _checked_change() -> Response | None:
    """Let only POSTs from our own pages change anything: a browser sends the login with other sites' requests too."""
    if request.endpoint in _CHANGES and request.method != "POST":
        answer = problem(405, "method_not_allowed", "This changes something: send a POST.")
        answer.headers["Allow"] = "POST"
        return answer
    if request.method == "POST" and not is_own_origin(request.headers.get("Origin", "")):
        abort(403, "Changes are taken from the dashboard's own pages only.")
    return None


def _check_address(redis: Redis) -> None:
    """Answer 404 where the dashboard would fail, or write the address into its page's script."""
    args = request.view_args or {}
    numbers = (str(args.get("per_page", 1)), str(args.get("page", 1)))
    fits = (
        args.get("instance_number", 0) == 0
        and _QUEUE_NAME.fullmatch(args.get("queue_name") or "default")
        and args.get("registry_name", "queued") in REGISTRIES
        and args.get("order", "asc") in ("asc", "dsc")
        and all(re.fullmatch("[1-9][0-9]{0,5}", number) for number in numbers)
        and int(numbers[0]) <= MAX_PER_PAGE
    )
    if not fits or ("job_id" in args and not redis.exists(Job.key_for(args["job_id"]))):
        abort(404)


def _make_safe(response: Response) -> Response:
    """Let no text of a job run as a script: escaped where it becomes HTML, and no script without our nonce runs."""
    if not _is_ours():
        return response
    if request.endpoint in _WRITTEN_AS_HTML and response.status_code == 200:
        response.set_data(json.dumps(_escaped(response.get_json(), _WRITTEN_AS_HTML[request.endpoint])))
    nonce = secrets.token_urlsafe(16)
    if response.mimetype == "text/html":
        page = response.get_data(as_text=True).replace("<script src=", f'<script nonce="{nonce}" src=')
        response.set_data(page.replace('<script type="text/javascript">', f'<script nonce="{nonce}">'))
    response.headers["Content-Security-Policy"] = (
        # Its templates are compiled with Function(): unsafe-eval, of what stands in the page itself.
        f"default-src 'none'; script-src 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    response.headers["X-Frame-Options"] = "DENY"
    return response


def _escaped(value: Any, except_fields: set[str]) -> Any:
    if isinstance(value, dict):
        return {key: item if key in except_fields else _escaped(item, except_fields) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item, except_fields) for item in value]
    return html.escape(value) if isinstance(value, str) else value


def _favicon(error: Exception, endpoint: str, _values: dict[str, Any]) -> str:
    """Its pages name the application's static folder, which we have not."""
    if endpoint == "static":
        return url_for("rq_dashboard.favicon")
    raise error


class _Job(Job):
    """A job as the dashboard sees it: JSON, named by its description, with a property that RQ 3 has dropped."""

    @classmethod
    def fetch(cls, id: str, connection: Redis | None = None, serializer: Any = None) -> "_Job":
        return super().fetch(id, connection=connection, serializer=JSONSerializer)  # type: ignore[return-value]

    @property
    def dependency_ids(self) -> list[bytes]:  # type: ignore[override]
        return [job_id.encode() for job_id in self._dependency_ids]

    def get_meta(self, refresh: bool = True) -> dict[str, Any]:
        return self.meta  # as `fetch` has just read it: also what is not JSON

    def get_call_string(self) -> str | None:
        return self.description


class _Worker(Worker):
    """A worker as the dashboard sees it: its current job is JSON, and may be gone by now."""

    @classmethod
    def all(cls, connection: Redis | None = None, *_: Any, **__: Any) -> list[Worker]:  # type: ignore[override]
        return super().all(connection, job_class=_Job, serializer=JSONSerializer)  # type: ignore[return-value]

    def get_current_job(self) -> Job | None:
        try:
            return super().get_current_job()
        except NoSuchJobError:
            return None


class _Encoder(json.JSONEncoder):
    """Shows what is not JSON, such as a foreign job's pickle, as text."""

    def default(self, value: Any) -> str:
        return repr(value)


def _requeue(job_id: str, connection: Redis) -> None:
    """Requeue a failed job. In a list, one that is no longer failed is passed over."""
    try:
        requeue_job(job_id, connection=connection, serializer=JSONSerializer)
    except (NoSuchJobError, InvalidJobOperation):
        if request.endpoint == "rq_dashboard.requeue_job_view":
            abort(409, "Only a failed job can be requeued.")


def _adapt() -> None:
    dashboard.config.serializer = JSONSerializer
    dashboard.Job, dashboard.Worker, dashboard.requeue_job = _Job, _Worker, _requeue
    # Its own would open a new connection for each request, without the settings of ours.
    dashboard.from_url = lambda *_, **__: (None, current_app.redis_conn)  # type: ignore[attr-defined]
