"""Requests to addresses that strangers name: where they go, where they never go, and how long they take."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.providers.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from jobs.providers.safe_http import NameUnknown, SafeClient, UrlNotAllowed, look_up
from tests.tls import tls_before
from tests.unit.providers.scripted import Exchange, Server


def client(**settings: object) -> SafeClient:
    given = {"timeout": 5.0, "allow_private": True} | settings
    return SafeClient(**given)  # type: ignore[arg-type]


def port_of(server: Server) -> int:
    return int(server.url.rsplit(":", 1)[1])


@contextmanager
def trap() -> Iterator[socket.socket]:
    """Listen on loopback; a connection that should not be made would be seen by `accept`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://0.0.0.0/",
        "http://[::1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:7f00:1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://[::7f00:1]/",
        "http://224.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1:8080/",
        "https://192.168.0.1:8443/",
        "http://[fe80::1%25lo]/",
    ],
)
def test_private_addresses_are_refused_however_they_are_written(url: str) -> None:
    """At the check and at the call; the resolver turns short and numeric forms into what they mean."""
    safe = client(allow_private=False)
    for act in (safe.check, lambda u: safe.post(u, b"{}", {})):
        with pytest.raises(ProviderError) as caught:
            act(url)
        assert isinstance(caught.value, UrlNotAllowed | NameUnknown)  # a zone of no interface has no address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http:///path",
        "http://user:password@example.com/",
        "http://127.0.0.1\\@example.com/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:22/",
        "http://example.com:6379/",
        "http://exa\tmple.com/",
        "http://exa\r\nmple.com/",
        "http://" + "a" * 3000,
    ],
)
def test_urls_of_a_wrong_form_are_refused(url: str) -> None:
    """Other schemes, other ports, names and passwords, control characters, bottomless ones."""
    with pytest.raises(UrlNotAllowed):
        client(allow_private=False, resolve=lambda host, port: ["1.1.1.1"]).check(url)


def test_a_public_url_passes_the_check_and_nothing_is_connected() -> None:
    """What comes back is what may stand in a dashboard: no path, no query."""
    safe = client(allow_private=False, resolve=lambda host, port: ["1.1.1.1", "2606:4700:4700::1111"])
    assert safe.check("https://Example.com/hook?token=secret") == "example.com"
    assert safe.check("http://例え.jp:8080/hook") == "xn--r8jz45g.jp:8080"


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    """The connection could go to any of them."""
    safe = client(allow_private=False, resolve=lambda host, port: ["1.1.1.1", "10.0.0.1"])
    with pytest.raises(UrlNotAllowed):
        safe.check("https://example.com/")


def test_a_name_that_turns_private_after_the_check_is_not_connected() -> None:
    """DNS rebinding: public at the check, loopback at the call; and the call asks once, so there is nothing between."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["1.1.1.1"] if len(asked) == 1 else ["127.0.0.1"]

    safe = client(allow_private=False, resolve=resolve)
    safe.check("http://rebind.example/")
    with pytest.raises(UrlNotAllowed):
        safe.post("http://rebind.example/", b"{}", {})
    assert len(asked) == 2


def test_the_connection_goes_to_the_checked_address_under_the_urls_name(server: Server) -> None:
    """The name is resolved once for a call, by us; the other side still sees it as `Host`."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    answer = client(resolve=resolve).post(f"http://hooks.example:{port_of(server)}/a?b=c", b'{"x":1}', {"X-Test": "1"})
    request = server.requests[0]
    assert (answer.status, asked) == (200, ["hooks.example"])
    assert (request.path, request.headers["Host"]) == ("/a?b=c", f"hooks.example:{port_of(server)}")
    assert (request.body, request.headers["X-Test"]) == ({"x": 1}, "1")


def test_the_next_address_is_tried_when_one_does_not_answer(server: Server) -> None:
    """As with a name that has an IPv6 address on a machine without IPv6."""
    safe = client(resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    assert safe.post(f"http://two.example:{port_of(server)}/", b"{}", {}).status == 200


def test_redirects_are_not_followed(server: Server) -> None:
    """Not even to the same host: the answer is the redirect."""
    with trap() as listener:
        inside = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.script = lambda exchange: exchange.raw(b"", 307, Location=inside)
        assert client().post(server.url, b"{}", {}).status == 307
    assert len(server.requests) == 1


@pytest.mark.parametrize("script", [Exchange.hang, Exchange.trickle])
def test_a_call_ends_at_its_time(server: Server, script: object) -> None:
    """Whether the other side says nothing, or a byte now and then."""
    server.script = script  # type: ignore[assignment]
    began = time.monotonic()
    with pytest.raises(ProviderTimeout):
        client(timeout=0.4).post(server.url, b"{}", {})
    assert time.monotonic() - began < 2


def test_a_long_answer_is_not_read_to_its_end(server: Server) -> None:
    """What is sent back is thrown away, and there is no more than 64 KiB of it; a compressed one is not unpacked."""
    server.script = lambda exchange: exchange.raw(b"\0" * (8 * 2**20), Content_Encoding="gzip")
    assert client().post(server.url, b"{}", {}).status == 200


def test_the_wait_that_the_other_side_asked_for_is_told(server: Server) -> None:
    """In seconds."""
    server.script = lambda exchange: exchange.raw(b"", 429, Retry_After="17")
    answer = client().post(server.url, b"{}", {})
    assert (answer.status, answer.retry_after) == (429, 17.0)


def test_a_closed_port_and_an_unknown_name_are_told_without_the_url() -> None:
    """The texts are shown to clients and stand in dashboards; the URL may hold a secret."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/secret", "http://no-such-name.invalid/secret"):
        with pytest.raises(ProviderUnavailable) as caught:
            client().post(url, b"{}", {})
        assert "secret" not in str(caught.value)


def test_a_certificate_of_nobody_is_not_accepted(tmp_path: Path, server: Server) -> None:
    """Checked against the system's authorities and the URL's name, although the address is ours."""
    with tls_before(port_of(server), tmp_path) as port, pytest.raises(ProviderUnavailable) as caught:
        client(resolve=lambda host, port: ["127.0.0.1"]).post(f"https://redis.example:{port}/", b"{}", {})
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.__cause__)
    assert server.requests == []


def test_names_are_looked_up_as_the_system_does() -> None:
    """Short and numeric forms are addresses; what has none is an error."""
    assert look_up("127.1", 80) == ["127.0.0.1"]
    assert look_up("2130706433", 80) == ["127.0.0.1"]
    with pytest.raises(NameUnknown):
        look_up("no-such-name.invalid", 80)
