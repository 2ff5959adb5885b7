"""Pages of strangers: over checked redirects only, and no more of them than asked for."""

import gzip
import time
import tracemalloc

import pytest

from jobs.providers.errors import ProviderError, ProviderNonsense, ProviderRefused, ProviderTimeout
from jobs.providers.safe_body import Fetched
from jobs.providers.safe_http import MAX_REDIRECTS, SafeClient, UrlNotAllowed
from tests.unit.providers.scripted import Exchange, Server
from tests.unit.providers.test_safe_http import client, port_of, trap

PAGE = "<h1>你好</h1>".encode()


def get(url: str, safe: SafeClient | None = None, **options: object) -> Fetched:
    given = {"max_bytes": 1000} | options
    return (safe or client()).get(url, {"User-Agent": "Test"}, **given)  # type: ignore[arg-type]


def test_a_page_comes_with_its_status_and_its_media_type(server: Server) -> None:
    """Whatever the status says, and with the headers of the caller."""
    server.script = lambda exchange: exchange.raw(PAGE, 404, Content_Type="Text/HTML; charset=utf-8")
    found = get(f"{server.url}/a?b=c")
    assert found == Fetched(f"{server.url}/a?b=c", 404, "text/html", "utf-8", PAGE)
    assert (server.requests[0].path, server.requests[0].headers["User-Agent"]) == ("/a?b=c", "Test")


def test_redirects_are_followed_and_each_is_permitted_first(server: Server) -> None:
    """Relative ones too; what comes back says where it was found."""
    asked: list[str] = []

    def script(exchange: Exchange) -> None:
        if exchange.request.path == "/new/there":
            exchange.raw(PAGE)
        else:
            exchange.raw(b"", 302, Location={"/old": "/new/here", "/new/here": "there"}[exchange.request.path])

    server.script = script
    assert get(f"{server.url}/old", permit=asked.append).url == f"{server.url}/new/there"
    assert asked == [f"{server.url}{path}" for path in ("/old", "/new/here", "/new/there")]


def test_a_redirect_to_a_private_address_is_not_called(server: Server) -> None:
    """The first address is a public one as far as the check can see, the second is not."""

    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "inside.example" else ["1.1.1.1"]

    class Reaching(SafeClient):
        """Connects to the test's server for what passed the check."""

        def addresses(self, host: str, port: int) -> list[str]:
            super().addresses(host, 80)
            return ["127.0.0.1"]

    with trap() as listener:
        inside = f"http://inside.example:{listener.getsockname()[1]}/"
        server.script = lambda exchange: exchange.raw(b"", 301, Location=inside)
        with pytest.raises(UrlNotAllowed):
            get(f"http://outside.example:{port_of(server)}/", Reaching(timeout=5, resolve=resolve))
    assert len(server.requests) == 1


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://example.com/", "http://user:secret@127.0.0.1/"])
def test_a_redirect_to_what_is_no_address_of_the_web_is_refused(server: Server, target: str) -> None:
    """By its form, as the first URL would be."""
    server.script = lambda exchange: exchange.raw(b"", 302, Location=target)
    with pytest.raises(ProviderError) as caught:
        get(server.url)
    assert isinstance(caught.value, UrlNotAllowed)


def test_redirects_in_a_ring_end(server: Server) -> None:
    """After five of them."""
    server.script = lambda exchange: exchange.raw(b"", 302, Location="/again")
    with pytest.raises(ProviderRefused):
        get(server.url)
    assert len(server.requests) == MAX_REDIRECTS + 1


def test_no_more_is_read_than_asked_for(server: Server) -> None:
    """What is there is used, and it is said that it was cut."""
    server.script = lambda exchange: exchange.raw(b"x" * 5000)
    found = get(server.url)
    assert (found.content, found.cut) == (b"x" * 1000, True)


def test_a_packed_page_is_unpacked_and_a_bomb_is_not(server: Server) -> None:
    """A megabyte that unpacks to a gigabyte takes no more memory than was asked for."""
    server.script = lambda exchange: exchange.raw(gzip.compress(PAGE), Content_Encoding="gzip")
    assert get(server.url).content == PAGE
    assert server.requests[0].headers["Accept-Encoding"] == "gzip"
    bomb = gzip.compress(b"\0" * 2**28)
    server.script = lambda exchange: exchange.raw(bomb, Content_Encoding="gzip")
    tracemalloc.start()
    found = get(server.url)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(found.content), found.cut) == (1000, True)
    assert most < 2**22


@pytest.mark.parametrize(("content", "packing"), [(b"\x1f\x8bnonsense", "gzip"), (PAGE, "br")])
def test_what_cannot_be_unpacked_is_nonsense(server: Server, content: bytes, packing: str) -> None:
    """Damaged, or in a format that was not asked for."""
    server.script = lambda exchange: exchange.raw(content, Content_Encoding=packing)
    with pytest.raises(ProviderNonsense):
        get(server.url)


def test_what_is_of_another_media_type_is_not_read(server: Server) -> None:
    """A film of two gigabytes, say; its type is told."""
    server.script = lambda exchange: exchange.raw(b"x" * 500, Content_Type="video/mp4")
    found = get(server.url, media_types=frozenset({"text/html"}))
    assert (found.media_type, found.content) == ("video/mp4", b"")


@pytest.mark.parametrize("script", [Exchange.hang, Exchange.trickle])
def test_a_page_comes_in_time_or_not_at_all(server: Server, script: object) -> None:
    """Whether the host says nothing, or a byte now and then."""
    server.script = script  # type: ignore[assignment]
    began = time.monotonic()
    with pytest.raises(ProviderTimeout):
        get(server.url, client(timeout=0.4), max_bytes=2_000_000)
    assert time.monotonic() - began < 2
