"""rq-dashboard behind our guard: who gets in, what changes things, and what does not break it."""

import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from rq import Queue, Worker
from rq.job import Dependency, Job
from rq.serializers import JSONSerializer

from config import load_config
from tests.fakes import engine_services
from webapp import create_app

PASSWORD = "correct horse"
OWN = {"Origin": "http://localhost"}
PAGES = ["/rq", "/rq/", "/rq/0/view/workers", "/rq/0/view/jobs", "/rq/static/js/jquery-3.5.1.min.js", "/rq/no-such"]


@pytest.fixture
def app(redis: Redis) -> Flask:
    """The application over a real Redis, with a dashboard password."""
    return create_app(services=engine_services(redis, load_config(dashboard_password=PASSWORD)))


@pytest.fixture
def admin(app: Flask) -> FlaskClient:
    """A client that is logged in."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = "Basic YWRtaW46Y29ycmVjdCBob3JzZQ=="
    return client


@pytest.fixture
def job(redis: Redis) -> Job:
    """A queued job of ours."""
    return enqueue(redis)


def enqueue(redis: Redis, **options: Any) -> Job:
    """Put a job of ours on its queue."""
    return Queue("default", connection=redis, serializer=JSONSerializer).enqueue(
        "jobs.core.runner.run",
        args=["documents.process", {"document_id": 1}],
        description="documents.process(document_id=1)",
        **options,
    )


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Yield method and address of every route of the dashboard."""
    values = {"instance_number": 0, "queue_name": "default", "registry_name": "failed", "per_page": 8, "order": "asc"}
    values |= {"page": 1, "job_id": "0" * 32, "filename": "css/main.css"}
    with app.test_request_context("http://localhost/"):
        adapter = app.url_map.bind("localhost")
        for rule in app.url_map.iter_rules():
            if rule.endpoint.startswith("rq_dashboard."):
                arguments = {name: values[name] for name in rule.arguments}
                for method in (rule.methods or set()) - {"OPTIONS"}:
                    yield method, adapter.build(rule.endpoint, arguments, method=method)


def test_no_route_answers_without_the_login(app: Flask) -> None:
    """Every route of the installed version, by every method, and what is no route too."""
    client = app.test_client()
    asked = [*routes(app), *(("GET", path) for path in PAGES)]
    assert len(asked) > 30
    answers = {(method, path): client.open(path, method=method, headers=OWN) for method, path in asked}
    assert {key: answer.status_code for key, answer in answers.items() if answer.status_code != 401} == {}
    assert all(answer.headers["WWW-Authenticate"].startswith("Basic") for answer in answers.values())


@pytest.mark.parametrize("login", [("admin", "wrong"), ("root", PASSWORD), ("admin", ""), ("", ""), ("admin", "密码")])
def test_a_wrong_login_is_refused(app: Flask, login: tuple[str, str]) -> None:
    """User and password must both be right."""
    assert app.test_client().get("/rq/", auth=login).status_code == 401


@pytest.mark.parametrize("header", ["Basic", "Basic !!", "Bearer correct horse", "Basic YWRtaW4="])
def test_a_broken_login_is_refused(app: Flask, header: str) -> None:
    """What is no login is none."""
    assert app.test_client().get("/rq/", headers={"Authorization": header}).status_code == 401


@pytest.mark.parametrize("path", PAGES)
def test_without_a_password_there_is_no_dashboard(redis: Redis, path: str) -> None:
    """Nothing is open by omission."""
    app = create_app(services=engine_services(redis))
    assert app.test_client().get(path, auth=("admin", "")).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_get_changes_nothing(admin: FlaskClient, method: str) -> None:
    """rq-dashboard requeues a whole queue on GET."""
    answer = admin.open("/rq/requeue/default", method=method)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("headers", [{}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Origin": ""}])
@pytest.mark.parametrize("action", ["job/{id}/delete", "queue/default/queued/empty", "requeue/default"])
def test_another_sites_post_is_refused(
    admin: FlaskClient, redis: Redis, job: Job, headers: dict[str, str], action: str
) -> None:
    """A browser sends the login along with other sites' forms."""
    assert admin.post("/rq/" + action.format(id=job.id), headers=headers).status_code == 403
    assert redis.exists(job.key)


def test_our_own_post_works(admin: FlaskClient, redis: Redis, job: Job) -> None:
    """The page's own button, as a browser sends it."""
    assert admin.post(f"/rq/job/{job.id}/delete", headers=OWN).get_json() == {"status": "OK"}
    assert not redis.exists(job.key)


def test_requeue_all_passes_over_a_stale_id(admin: FlaskClient, redis: Redis) -> None:
    """One id whose job is gone does not stop the rest of the list."""
    failed = [enqueue(redis) for _ in range(3)]
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    for job in failed:
        queue.remove(job)
        job.set_status("failed")
        queue.failed_job_registry.add(job, ttl=1000)
    redis.delete(failed[1].key)
    assert admin.post("/rq/requeue/default", headers=OWN).status_code == 200
    assert set(queue.job_ids) == {failed[0].id, failed[2].id}


def test_requeue_of_a_job_that_has_not_failed_is_a_conflict(admin: FlaskClient, job: Job) -> None:
    """And no server error."""
    assert admin.post(f"/rq/job/{job.id}/requeue", headers=OWN).status_code == 409


def test_jobs_with_dependencies_are_shown(admin: FlaskClient, redis: Redis, job: Job) -> None:
    """rq-dashboard 0.9 answers 500 for them on RQ 3."""
    child = enqueue(redis, depends_on=Dependency(jobs=[job]))
    answer = admin.get(f"/rq/0/data/job/{child.id}.json").get_json()
    assert (answer["depends_on"], answer["depends_on_status"]) == ([job.id], ["active"])


@pytest.mark.parametrize("gone", [False, True])
def test_a_busy_worker_is_shown_with_its_job(admin: FlaskClient, redis: Redis, job: Job, gone: bool) -> None:
    """Its job is JSON, read by its description, and may vanish in between."""
    worker = Worker(["default"], connection=redis, serializer=JSONSerializer, name="worker-1")
    worker.register_birth()
    worker.prepare_execution(job)
    if gone:
        redis.delete(job.key)
    (shown,) = admin.get("/rq/0/data/workers.json").get_json()["workers"]
    assert shown["name"] == "worker-1"
    if gone:
        assert shown["current_job"] == "idle"
    else:
        assert shown["current_job"]["call_string"] == "documents.process(document_id=1)"


@pytest.mark.parametrize(
    "path",
    [
        "1/view/queues",
        "0/view/job/no-such-job",
        "0/data/job/no-such-job.json",
        "0/data/jobs/default/no-such-registry/8/asc/1.json",
        "0/data/jobs/default/queued/eight/asc/1.json",
        "0/data/jobs/default/queued/0/asc/1.json",
        "0/data/jobs/default/queued/100000/asc/1.json",
        "0/data/jobs/default/queued/8/sideways/1.json",
        "0/data/jobs/default/queued/8/asc/0.json",
        "0/view/jobs/');alert(1);('/queued/8/asc/1",
    ],
)
def test_an_address_that_would_break_it_is_a_404(admin: FlaskClient, path: str) -> None:
    """rq-dashboard answers 500, or writes a queue's name into its script as it stands in the address."""
    assert admin.get(f"/rq/{path}").status_code == 404


def test_what_becomes_html_is_escaped_once(admin: FlaskClient, redis: Redis) -> None:
    """The job page writes the answer into the page as it is; the list escapes by itself."""
    text = "<b>&</b>"
    job = enqueue(redis, meta={"text": text})
    job.description = text
    job.save()
    assert admin.get(f"/rq/0/data/job/{job.id}.json").get_json()["description"] == "&lt;b&gt;&amp;&lt;/b&gt;"
    assert "<" not in admin.get(f"/rq/0/data/job/{job.id}.json").get_json()["metadata"]
    listed = admin.get("/rq/0/data/jobs/default/queued/8/asc/1.json").get_json()["jobs"]
    assert listed[0]["description"] == text


def test_every_page_has_a_policy_and_a_nonce_of_its_own(admin: FlaskClient) -> None:
    """Scripts run by nonce alone; no other site may frame the page."""
    first, second = (admin.get("/rq/") for _ in range(2))
    policy = first.headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy.partition("script-src")[2].partition(";")[0]
    assert "frame-ancestors 'none'" in policy
    assert policy != second.headers["Content-Security-Policy"]
    nonce = policy.partition("'nonce-")[2].partition("'")[0]
    assert first.text.count(f'nonce="{nonce}"') == 5


class Exploit:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("field", ["data", "meta", "result"])
def test_a_forged_pickle_is_not_unpickled(
    admin: FlaskClient, redis: Redis, job: Job, tmp_path: Path, field: str
) -> None:
    """Whoever can write to Redis must not run code in the web process by it."""
    redis.hset(job.key, field, pickle.dumps(Exploit(tmp_path / "trace")))
    for path in (f"view/job/{job.id}", f"data/job/{job.id}.json", "data/jobs/default/queued/8/asc/1.json"):
        assert admin.get(f"/rq/0/{path}").status_code == 200
    assert not (tmp_path / "trace").exists()
