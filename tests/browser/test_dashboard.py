"""rq-dashboard in a real browser: it shows our jobs, its buttons work, and no text of a job ever runs as a script."""

import base64
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.job import Dependency, Job
from rq.results import Result
from rq.serializers import JSONSerializer
from werkzeug.serving import make_server

from config import load_config
from tests.browser.chromium import Chromium, Page
from tests.fakes import engine_services
from webapp import create_app

PASSWORD = "correct horse"
LOGIN = {"Authorization": "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()}
ATTACKS = (
    "<script>window.hacked = 'script'</script>"
    "<img src=x onerror=\"window.hacked = 'image'\">"
    "<svg onload=\"window.hacked = 'svg'\"></svg>"
    "\"' onmouseover=window.hacked=1 x='</pre></div><iframe srcdoc=\"<script>top.hacked = 'frame'</script>\"></iframe>"
    "{{ 7 * 7 }}<%= window.hacked = 'template' %>"
)


@pytest.fixture
def address(redis: Redis) -> Iterator[str]:
    """The dashboard's address, served by this process over a real Redis."""
    app = create_app(services=engine_services(redis, load_config(dashboard_password=PASSWORD)))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/rq"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(chromium: Chromium) -> Page:
    """A tab that is logged in."""
    return chromium.page(LOGIN)


def new_job(redis: Redis, text: str, **options: Any) -> Job:
    """Enqueue a job of ours, with `text` wherever a client's text can come to stand."""
    return Queue("default", connection=redis, serializer=JSONSerializer).enqueue(
        "jobs.core.runner.run",
        args=["documents.process", {"document_id": text}],
        description=f"documents.process(document_id={text})",
        meta={"tenant": text, "type": text},
        **options,
    )


def fail(redis: Redis, job: Job, error: str) -> None:
    """Let a queued job have failed."""
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    queue.remove(job)
    job.set_status("failed")
    queue.failed_job_registry.add(job, ttl=1000)
    Result.create_failure(job, ttl=1000, exc_string=error)


def test_jobs_read_as_their_type_and_key_arguments(redis: Redis, address: str, page: Page) -> None:
    """Not as RQ's one function with a list, and with a link to each."""
    job = new_job(redis, "1")
    page.open(f"{address}/0/view/jobs/default/queued/8/asc/1", "document.querySelector('tr[data-role=job]')")
    assert "documents.process(document_id=1)" in page.text()
    assert job.id in page.text()
    assert page.problems() == []


def test_the_overview_counts_jobs(redis: Redis, address: str, page: Page) -> None:
    """The start page, also without its closing slash."""
    new_job(redis, "1")
    page.open(address, "document.querySelector('tr[data-role=queue]')")
    assert page.text().split().count("default") == 1
    assert page.problems() == []


@pytest.mark.parametrize("view", ["jobs/default/queued/8/asc/1", "jobs/default/failed/8/asc/1", "job/{id}"])
def test_no_text_of_a_job_runs_as_a_script(redis: Redis, address: str, page: Page, view: str) -> None:
    """Description, arguments, metadata, exception, result: shown as they are, run never."""
    job = new_job(redis, ATTACKS)
    if "queued" not in view:
        fail(redis, job, ATTACKS)
    page.open(f"{address}/0/view/{view.format(id=job.id)}", "document.body.innerText.includes('onerror=')")
    assert "<script>window.hacked" in page.text()
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('img, svg, iframe, [onerror], [onmouseover]').length") == 0


def test_a_script_that_got_into_the_page_would_not_run(redis: Redis, address: str, page: Page) -> None:
    """The second wall: without the page's nonce the browser runs nothing, and calls no handler."""
    job = new_job(redis, "1")
    page.open(f"{address}/0/view/job/{job.id}", "document.body.innerText.includes('documents.process')")
    page.run(f"$('#job-data').append({ATTACKS!r})")
    page.wait_for("document.querySelector('#job-data img').complete")
    assert page.run("window.hacked") is None
    assert any("Content Security Policy" in problem for problem in page.problems())


def test_a_job_with_a_parent_is_shown(redis: Redis, address: str, page: Page) -> None:
    """rq-dashboard answers 500 for those of RQ 3."""
    parent = new_job(redis, "1")
    child = new_job(redis, "2", depends_on=Dependency(jobs=[parent]))
    page.open(f"{address}/0/view/job/{child.id}", f"document.body.innerText.includes('{parent.id}')")


def test_requeue_and_delete_work_from_the_page(redis: Redis, address: str, page: Page) -> None:
    """Its buttons send POSTs with our origin, so they pass the guard against other sites."""
    job = new_job(redis, "1")
    fail(redis, job, "ValueError: no")
    page.open(f"{address}/0/view/jobs/default/failed/8/asc/1")
    page.click("[data-role=requeue-job-btn]")
    page.wait_for("!document.querySelector('tr[data-role=job]')")
    assert job.get_status(refresh=True) == "queued"

    page.open(f"{address}/0/view/job/{job.id}", "document.body.innerText.includes('documents.process')")
    page.click("#delete-job-btn")
    page.click("#confirmation-modal-yes")
    page.wait_for("document.querySelector('table#queues')")
    assert not redis.exists(job.key)


def test_another_sites_page_changes_nothing(redis: Redis, address: str, page: Page) -> None:
    """The browser sends the login along with a form of any site; the form's origin gives it away."""
    job = new_job(redis, "1")
    page.send("Page.setBypassCSP", enabled=True)  # the other site's page has a policy of its own
    page.open(address.replace("127.0.0.1", "localhost") + "/", "document.querySelector('tr[data-role=queue]')")
    page.run(f"fetch('{address}/job/{job.id}/delete', {{method: 'POST', mode: 'no-cors'}}).then(() => 0)")
    received = [event["params"]["response"] for event in page.events if event["method"] == "Network.responseReceived"]
    assert [answer["status"] for answer in received if answer["url"].endswith("/delete")] == [403]
    assert redis.exists(job.key)
