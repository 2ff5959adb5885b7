"""Web search: SearXNG's form, and what may come instead of it."""

import time
from urllib.parse import parse_qs, urlsplit

import pytest

from jobs.providers.errors import ProviderError
from jobs.providers.web_search import Found, WebSearch, build_web_search
from tests.unit.providers.scripted import Exchange, Server


def search(server: Server, **settings: object) -> WebSearch:
    built = build_web_search(server.url, **settings)  # type: ignore[arg-type]
    assert built is not None
    return built


def test_results_are_pages_each_once_in_their_order(server: Server) -> None:
    """Odd ones are passed over: a search engine of engines hands on whatever these say."""
    results = [
        {"url": "https://a.example/", "title": "A\n page", "content": "says  this", "engine": "x"},
        {"url": "https://b.example/", "title": None},
        {"url": "https://a.example/", "title": "again"},
        {"url": "javascript:alert(1)", "title": "no"},
        {"title": "no address"},
        "nothing",
        {"url": "https://c.example/", "title": "C", "content": 7},
    ]
    server.script = lambda exchange: exchange.json({"query": "q", "results": results, "unresponsive_engines": []})
    assert search(server).search("q") == [
        Found("https://a.example/", "A page", "says this"),
        Found("https://b.example/", "", ""),
        Found("https://c.example/", "C", ""),
    ]
    assert len(search(server).search("q", limit=2)) == 2


@pytest.mark.parametrize(
    "url",
    [
        "http://a:99999/x", "http://[x/", "http:///x", "https://a.example/" + "x" * 2000, "http://a.example/\ud800",
        "http://a.example/\0", "http://a.example/a b", "http://a.example/\n# Sources", "http://\u2100.example/",
    ],
)  # fmt: skip
def test_a_result_that_no_page_can_have_is_passed_over(server: Server, url: str) -> None:
    """And the others are used."""
    good = {"url": "https://a.example/", "title": "A\0\ud800", "content": "says\ud800 this"}
    server.script = lambda exchange: exchange.json({"results": [{"url": url}, good]})
    assert search(server).search("q") == [Found("https://a.example/", "A", "says this")]


def test_the_service_is_asked_in_its_form(server: Server) -> None:
    """With the key as a bearer, if there is one; the path of its URL stays."""
    server.script = lambda exchange: exchange.json({"results": []})
    built = build_web_search(f"{server.url}/searx/", key="secret")
    assert built is not None
    built.search("深度 睡眠 & memory", language="zh")
    search(server).search("x" * 5000)
    first, second = server.requests
    assert urlsplit(first.path).path == "/searx/search"
    assert parse_qs(urlsplit(first.path).query) == {"q": ["深度 睡眠 & memory"], "format": ["json"], "language": ["zh"]}
    assert first.headers["Authorization"] == "Bearer secret"
    assert "Authorization" not in second.headers
    assert urlsplit(second.path).path == "/search"
    assert len(second.path) < 500


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (lambda exchange: exchange.raw(b"<html>"), "provider_nonsense"),
        (lambda exchange: exchange.json(["no"]), "provider_nonsense"),
        (lambda exchange: exchange.json({"results": None}), "provider_nonsense"),
        (lambda exchange: exchange.raw(b"[" * 200_000), "provider_nonsense"),
        (lambda exchange: exchange.raw(b"", 403), "provider_misconfigured"),  # its JSON form is not switched on
        (lambda exchange: exchange.raw(b"", 429, Retry_After="7"), "provider_busy"),
        (lambda exchange: exchange.raw(b"", 502), "provider_unavailable"),
        (Exchange.hang, "provider_timeout"),
        (Exchange.trickle, "provider_timeout"),
    ],
)
def test_failures_are_told_by_their_kind(server: Server, script: object, code: str) -> None:
    """Within the time for a whole search."""
    server.script = script  # type: ignore[assignment]
    began = time.monotonic()
    with pytest.raises(ProviderError) as caught:
        search(server, timeout=0.4).search("q")
    assert caught.value.code == code
    assert time.monotonic() - began < 2


def test_without_a_url_there_is_no_web_search() -> None:
    """Nothing is guessed."""
    assert build_web_search("") is None
