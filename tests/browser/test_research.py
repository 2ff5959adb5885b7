"""Research in a real browser over real processes: its own EventSource, and the console's page."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from local.stack import Stack
from tests.browser.chromium import Chromium, Page
from tests.integration.conftest import new_stack
from tests.model_server import ModelServer, model_server
from tests.processes import descendants
from tests.small_web import small_web

PLAN = {"title": "Sleep and memory", "questions": ["How does sleep consolidate memory?", "睡眠如何巩固记忆？"]}
PAGES = {"/sleep": "<p>Sleep consolidates memory.</p>", "/梦": "<p>睡眠可以巩固记忆。</p>"}
ATTACK = "<img src=x onerror=\"window.hacked = 'image'\"><script>window.hacked = 'script'</script> ![x](http://evil/)"
SOURCE = """
window.pieces = []; window.ended = false; window.opened = 0;
const source = new EventSource(%s);
source.onopen = () => window.opened++;
source.addEventListener('output', (event) => {
  const { n, text } = JSON.parse(event.data);
  window.pieces.length = n;
  window.pieces.push(text);
});
source.addEventListener('end', () => { source.close(); window.ended = true; });
"""


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server(piece_seconds=0.03) as running:
        words = "".join(f"word{n} 睡眠{n} " for n in range(60))
        running.answer = lambda message: (
            json.dumps(PLAN) if message.startswith("Write") else f"{words}and {ATTACK} so it is [1]."
        )
        yield running


@pytest.fixture
def stack(tmp_path: Path, model: ModelServer) -> Iterator[Stack]:
    with small_web(pages=PAGES) as web:
        given = {"llm_url": model.url, "llm_model": "small", "web_search_url": web.url, "web_allow_private": True}
        with new_stack(tmp_path / "stack", **given) as running:
            yield running
        running.out.close()


@pytest.fixture
def page(chromium: Chromium) -> Page:
    return chromium.page()


def test_the_browsers_own_event_source_survives_a_killed_web_process(stack: Stack, page: Page) -> None:
    """It comes back by itself, with the id of the last event, and ends with the report, byte for byte."""
    body = {"query": "How does sleep affect memory?", "search_config": {"documents": False}}
    task = httpx2.post(f"{stack.url}/research", json=body, timeout=30).raise_for_status().headers["X-Task-ID"]
    page.open(stack.url)
    page.run(SOURCE % json.dumps(f"/research/{task}/events"))
    page.wait_for("window.pieces.join('').includes('word9')", 60)
    web = stack.processes.pids["web"]
    for pid in (web, *descendants(web)):
        os.kill(pid, signal.SIGKILL)
    assert stack.processes.ended(10)
    stack.start_process("web")
    page.wait_for("window.ended", 90)
    report = httpx2.get(f"{stack.url}/research/{task}/report.md", timeout=30).raise_for_status().text
    assert page.run("window.pieces.join('')") == report
    assert page.run("window.opened") >= 2


def test_a_report_is_asked_for_and_watched_in_the_console(stack: Stack, page: Page) -> None:
    """It grows while it is written; what stands in it is text and never runs; then it is found in the list."""
    page.open(f"{stack.url}/#/research", "document.querySelector('main form input')")
    page.run("document.querySelector('main form input').value = 'How does sleep affect memory?'")
    page.click("main form button")
    page.wait_for("document.querySelector('.report h2')", 60)
    page.wait_for("document.querySelector('.report').innerText.includes('word5')", 60)
    seen = len(page.run("document.querySelector('.report').innerText"))
    page.wait_for("document.querySelector('h1 .completed')", 90)
    page.wait_for("document.querySelector('.report ol li a')")
    assert len(page.run("document.querySelector('.report').innerText")) > seen
    text = page.text()
    assert "<script>window.hacked" in text
    assert page.run("window.hacked") is None
    assert page.run("document.querySelectorAll('main img, main script').length") == 0
    assert page.run("[...document.querySelectorAll('.bar button')].map(each => each.textContent)")[1:] == [
        "Markdown",
        "PDF",
    ]
    page.run("location.hash = '#/research'")
    page.wait_for("document.querySelector('main table a')")
    assert "Sleep and memory" in page.text()
    assert page.problems() == []
