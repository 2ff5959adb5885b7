"""The console in a real browser, over the real application and a real Redis: it shows, acts and follows."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from werkzeug.serving import make_server

from config import load_config
from jobs.core.client import JobClient
from jobs.core.events import add_event
from jobs.services import build_gate, build_services
from jobs.stores.migrate import upgrade
from tests.browser.chromium import Chromium, Page
from webapp import create_app
from webapp.auth import new_key

ATTACK = "<img src=x onerror=\"window.hacked = 'image'\"><script>window.hacked = 'script'</script>"


def serve(redis: Redis, folder: Path, **settings: Any) -> Iterator[str]:
    """Serve the application from this process, and yield its address."""
    config = load_config(data_dir=folder, **settings)
    upgrade(config.sqlalchemy_url)
    services = build_services(config, redis)
    app = create_app(services=services)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    app.extensions["offstage"].streams.close()
    server.shutdown()
    thread.join()
    server.server_close()
    services.database.engine.dispose()


@pytest.fixture
def address(redis: Redis, tmp_path: Path) -> Iterator[str]:
    """An application without keys."""
    yield from serve(redis, tmp_path)


@pytest.fixture
def page(chromium: Chromium) -> Page:
    """A tab."""
    return chromium.page()


@pytest.fixture
def client(redis: Redis) -> JobClient:
    """Starts jobs of the tenant that the page shows."""
    return JobClient(redis, result_ttl=3600)


def test_the_list_leads_to_a_job_that_can_be_paused_resumed_and_canceled(
    client: JobClient, address: str, page: Page
) -> None:
    """Only the acts that its state allows are offered."""
    job_id = client.start("documents.embed", {"document_id": 1}, tenant="local")
    page.open(address, "document.querySelector('main table a')")
    assert "documents.embed" in page.text()
    page.click("main table a")
    page.wait_for("document.querySelector('h1 .queued')")
    for name, state in (("pause", "paused"), ("resume", "queued"), ("cancel", "canceled")):
        page.click(f".bar button[data-act={name}]")
        page.wait_for(f"document.querySelector('h1 .{state}')")
        assert client.get("local", job_id).state == state
    assert page.run("[...document.querySelectorAll('.bar button')].map(each => each.dataset.act)") == ["delete"]
    assert page.problems() == []


def test_what_a_job_says_is_shown_as_it_comes_and_never_runs(
    client: JobClient, redis: Redis, address: str, page: Page
) -> None:
    """Events appear without a reload, as text."""
    job_id = client.start("documents.embed", {"document_id": 1}, tenant="local")
    page.open(f"{address}/#/jobs/{job_id}", "document.querySelector('h1 .queued')")
    for part in ("一", "two", ATTACK):
        add_event(redis, load_config(), "local", job_id, "output", {"text": part})
        page.wait_for(f"document.querySelector('main pre').textContent.includes({part[:12]!r})")
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('main img, main script').length") == 0


def test_a_chat_is_answered_piece_by_piece_and_its_texts_never_run(address: str, page: Page) -> None:
    """In one session: the second question is answered from what was said before it."""
    page.open(f"{address}/#/chat", "document.querySelector('#chat-message')")
    for number, text in enumerate(("My name is Ada.", ATTACK, "What is my name?"), 1):
        page.run(f"document.querySelector('#chat-message').value = {json.dumps(text)}")
        page.click("form.talk button")
        page.wait_for(f"document.querySelectorAll('#talk a').length === {number}")
    assert "You said before: My name is Ada." in page.text()
    assert ATTACK in page.text()
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('main img, main script').length") == 0
    assert page.problems() == []


def test_every_view_opens_in_both_languages(address: str, page: Page) -> None:
    """Without an error in the browser's log."""
    page.open(address, "document.querySelector('main h1')")
    for view in ("documents", "chat", "research", "notifications", "service", "jobs"):
        page.run(f"location.hash = '#/{view}'")
        page.wait_for(
            f"document.querySelector('nav a[href=\"#/{view}\"][aria-current]') && document.querySelector('h1')"
        )
    page.run("location.hash = '#/service'")
    page.wait_for("document.querySelector('main .ok')")
    assert "[object" not in page.text()
    page.run("location.hash = '#/jobs'")
    page.wait_for("document.querySelector('nav a[href=\"#/jobs\"][aria-current]')")
    english = page.text()
    page.click("#language")
    page.wait_for("document.documentElement.lang === " + ("'zh'" if "Jobs" in english else "'en'"))
    assert page.text() != english
    assert page.problems() == []


def test_the_service_page_shows_the_models_circuit_breaker(redis: Redis, tmp_path: Path, page: Page) -> None:
    """And how many calls are under way, as it changes."""
    config = load_config(llm_url="http://127.0.0.1:9/v1", llm_model="small")
    gate = build_gate(redis, config)
    for address in serve(redis, tmp_path, llm_url=config.llm_url, llm_model="small"):
        page.open(f"{address}/#/service", "document.querySelector('main h2')")
        page.wait_for("document.querySelector('main').textContent.includes('small')")
        assert "127.0.0.1:9 closed" in page.text() or "127.0.0.1:9 闭合" in page.text()
        for _ in range(config.breaker_failures):
            with gate.enter("local") as granted:
                granted.outcome = "failed"
        page.wait_for(
            "[...document.querySelectorAll('main .failed')].some(each => /^(open|断开)$/.test(each.textContent))"
        )
        assert "0/12" in page.text()


def test_the_outbox_is_read_in_the_page(address: str, page: Page) -> None:
    """Without a channel, what was sent and to whom is there to be read, as text; and it says that nothing left."""
    content = {"user_id": 1, "email": "ada@example.com", "notification_types": ["email"], "subject": "测试"}
    page.open(address, "document.querySelector('main h1')")
    page.run(
        "fetch('/notify', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: "
        f"{json.dumps(json.dumps(content | {'message': ATTACK}))}}})"
    )
    page.run("location.hash = '#/notifications'")
    page.wait_for("document.querySelector('main details')")
    page.run("document.querySelector('main details').open = true")
    assert ATTACK in page.text()
    assert "ada@example.com" in page.text()
    assert page.run("window.hacked") is None
    assert "no channel is set up" in page.text() or "尚未配置渠道" in page.text()


def test_with_keys_the_page_asks_for_one_and_keeps_it_for_the_tab(
    redis: Redis, tmp_path: Path, client: JobClient, chromium: Chromium
) -> None:
    """The page itself is open; what it shows is not."""
    key, entry = new_key("acme")
    client.start("documents.embed", {"document_id": 7}, tenant="acme")
    for address in serve(redis, tmp_path, api_keys=entry):
        page = chromium.page()
        page.open(address, "document.querySelector('dialog[open]')")
        assert "documents.embed" not in page.text()
        page.run(f"document.querySelector('#login-key').value = {key!r}")
        page.click("#login-ok")
        page.wait_for("document.querySelector('main table a')")
        assert "documents.embed" in page.text()
        assert page.run("document.cookie + JSON.stringify(localStorage)").find(key) == -1
