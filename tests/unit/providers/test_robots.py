"""robots.txt: respected, asked for once, and taken for a no where it cannot be had."""

import pytest
from fakeredis import FakeRedis

from jobs.providers.robots import KEPT_SECONDS, UNREACHABLE_SECONDS, Robots, RobotsRefused
from jobs.providers.safe_http import SafeClient, UrlNotAllowed
from tests.unit.providers.scripted import Exchange, Server

AGENT = "OffstageBot/0.1"
RULES = """
User-agent: *
Disallow: /

User-agent: offstagebot
Disallow: /private
Disallow: /*?sort=
Allow: /private/but-this$
"""


@pytest.fixture
def robots(fake_redis: FakeRedis) -> Robots:
    return Robots(SafeClient(timeout=0.5, allow_private=True), fake_redis, AGENT)


def refuses(robots: Robots, url: str) -> bool:
    try:
        robots.check(url)
    except RobotsRefused:
        return True
    return False


def test_a_hosts_wishes_for_us_go_before_those_for_all(robots: Robots, server: Server) -> None:
    """By the longest rule, with the wildcards of RFC 9309."""
    server.script = lambda exchange: exchange.raw(RULES.encode())
    asked = ("/", "/a", "/private", "/private/x", "/private/but-this", "/private/but-this/not", "/list?sort=up")
    said = [refuses(robots, server.url + path) for path in asked]
    assert said == [False, False, True, True, False, True, True]


def test_a_byte_order_mark_hides_no_rule(robots: Robots, server: Server) -> None:
    """Editors of some systems put one at the beginning."""
    server.script = lambda exchange: exchange.raw(b"\xef\xbb\xbfUser-agent: *\nDisallow: /")
    assert refuses(robots, f"{server.url}/a")


def test_a_host_is_asked_once_for_all_workers(robots: Robots, server: Server, fake_redis: FakeRedis) -> None:
    """What it says is kept for a day, in Redis; it hears who asks."""
    server.script = lambda exchange: exchange.raw(RULES.encode())
    for path in ("/a", "/b"):
        robots.check(server.url + path)
    Robots(SafeClient(timeout=0.5), fake_redis, AGENT).check(f"{server.url}/c")
    assert [(each.path, each.headers["User-Agent"]) for each in server.requests] == [("/robots.txt", AGENT)]
    [key] = fake_redis.keys("*")
    assert 0 < fake_redis.ttl(key) <= KEPT_SECONDS


@pytest.mark.parametrize("status", [404, 401, 410])
def test_who_has_no_rules_allows_everything(robots: Robots, server: Server, status: int) -> None:
    """As the RFC says of the whole 4xx."""
    server.script = lambda exchange: exchange.raw(b"Disallow: /", status)
    robots.check(f"{server.url}/a")


@pytest.mark.parametrize(
    "script", [lambda exchange: exchange.raw(b"", 503), lambda exchange: exchange.raw(b"", 429), Exchange.hang]
)
def test_rules_that_cannot_be_had_are_a_no_for_a_while(
    robots: Robots, server: Server, script: object, fake_redis: FakeRedis
) -> None:
    """Nothing is read from a host that is ill; it is asked again after ten minutes."""
    server.script = script  # type: ignore[assignment]
    assert refuses(robots, f"{server.url}/a")
    [key] = fake_redis.keys("*")
    assert 0 < fake_redis.ttl(key) <= UNREACHABLE_SECONDS


def test_rules_are_not_asked_of_a_private_host(fake_redis: FakeRedis) -> None:
    """The check for its page would come too late."""
    with pytest.raises(UrlNotAllowed):
        Robots(SafeClient(timeout=0.5), fake_redis, AGENT).check("http://127.0.0.1/a")
