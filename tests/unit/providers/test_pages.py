"""Pages of the web as text: in both languages, politely, and nothing else than pages."""

import pytest
from fakeredis import FakeRedis

from jobs.domain.documents import NoText
from jobs.providers.errors import ProviderError
from jobs.providers.pages import PageReader
from jobs.providers.robots import Robots
from jobs.providers.safe_http import SafeClient
from tests.samples import pdf
from tests.unit.providers.scripted import Exchange, Server

AGENT = "OffstageBot/0.1"
CHINESE = "<html><head><title>睡眠 与 记忆</title></head><body><script>x()</script><p>睡眠 帮助记忆。</p></body></html>"


@pytest.fixture
def reader(fake_redis: FakeRedis) -> PageReader:
    client = SafeClient(timeout=2, allow_private=True)
    return PageReader(client, Robots(client, fake_redis, AGENT), agent=AGENT, max_bytes=100_000)


def serve(server: Server, body: bytes, media_type: str, status: int = 200, robots: bytes = b"") -> str:
    def script(exchange: Exchange) -> None:
        if exchange.request.path == "/robots.txt":
            exchange.raw(robots)
        else:
            exchange.raw(body, status, Content_Type=media_type)

    server.script = script
    return f"{server.url}/page"


@pytest.mark.parametrize("charset", ["utf-8", "gb2312", "gb18030"])
def test_a_page_is_text_with_a_title(reader: PageReader, server: Server, charset: str) -> None:
    """In the encoding that its header names, without what no reader of it sees."""
    page = reader.read(serve(server, CHINESE.encode(charset), f"text/html; charset={charset}"))
    assert (page.title, page.pages[0].text) == ("睡眠 与 记忆", "睡眠 与 记忆\n\n睡眠 帮助记忆。")
    assert [each.path for each in server.requests] == ["/robots.txt", "/page"]
    assert {each.headers["User-Agent"] for each in server.requests} == {AGENT}


@pytest.mark.parametrize(
    "charset", ["idna", "undefined", "unicode_escape", "punycode", "utf-7", "rot13", "hex", "x" * 50]
)
def test_an_encoding_that_the_web_has_not_is_passed_over(reader: PageReader, server: Server, charset: str) -> None:
    """In the header and in the page: it is told by its bytes, as if nothing had been said."""
    page = reader.read(serve(server, CHINESE.encode(), f"text/html; charset={charset}"))
    declared = reader.read(serve(server, f"<meta charset={charset}>{CHINESE}".encode(), "text/html"))
    assert page.title == declared.title == "睡眠 与 记忆"


def test_plain_text_has_no_title(reader: PageReader, server: Server) -> None:
    """Its first line is as good as any other."""
    page = reader.read(serve(server, b"One.\nTwo.", "text/plain"))
    assert (page.title, page.pages[0].text) == ("", "One.\nTwo.")


def test_a_pdf_comes_page_by_page(reader: PageReader, server: Server) -> None:
    """So that a report can name the page."""
    page = reader.read(serve(server, pdf(["First page.", "Second page."]), "application/pdf"))
    assert [(each.number, each.text.strip()) for each in page.pages] == [(1, "First page."), (2, "Second page.")]


@pytest.mark.parametrize(
    ("media_type", "status", "code"),
    [
        ("image/png", 200, "provider_refused"),
        ("application/octet-stream", 200, "provider_refused"),
        ("", 200, "provider_refused"),
        ("text/html", 404, "provider_refused"),
        ("text/html", 403, "provider_refused"),
        ("text/html", 500, "provider_unavailable"),
        ("text/html", 429, "provider_busy"),
    ],
)
def test_what_is_no_page_is_an_error(
    reader: PageReader, server: Server, media_type: str, status: int, code: str
) -> None:
    """With a code that says whether trying again can help."""
    with pytest.raises(ProviderError) as caught:
        reader.read(serve(server, b"<p>Sorry.", media_type, status))
    assert caught.value.code == code


def test_a_page_that_its_host_does_not_give_to_programs_is_not_asked_for(reader: PageReader, server: Server) -> None:
    """Only its robots.txt is."""
    with pytest.raises(ProviderError) as caught:
        reader.read(serve(server, b"<p>Secret.", "text/html", robots=b"User-agent: *\nDisallow: /page"))
    assert caught.value.code == "robots_refused"
    assert [each.path for each in server.requests] == ["/robots.txt"]


def test_a_page_without_text_is_unreadable(reader: PageReader, server: Server) -> None:
    """One that a script would have to fill, say."""
    with pytest.raises(NoText):
        reader.read(serve(server, b"<html><body><script>fill()</script></body></html>", "text/html"))


def test_a_long_page_is_read_to_a_limit_and_a_long_pdf_is_not(reader: PageReader, server: Server) -> None:
    """The first part of a PDF cannot be read, that of a text can."""
    page = reader.read(serve(server, b"word " * 100_000, "text/plain"))
    assert sum(len(each.text) for each in page.pages) <= 100_000
    with pytest.raises(ProviderError):
        reader.read(serve(server, b"%PDF-1.7" + b" " * 200_000, "application/pdf"))
