"""Mail over a real SMTP server: what is sent, and how each way of failing is told from the others."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from config import ConfigError
from jobs.providers.channels import (
    AddressRefused,
    ChannelMisconfigured,
    OutcomeUncertain,
    Outgoing,
    build_channels,
)
from jobs.providers.channels.smtp import SmtpMail
from jobs.providers.errors import ProviderBusy, ProviderError, ProviderRefused, ProviderUnavailable
from tests.mailserver import MailServer, mail_server

MAIL = Outgoing("ada@example.com", "测试通知 — 你好", "您好，埃达！", "<p>您好，<b>埃达</b>！</p>")
SENDER = "离台 <noreply@example.org>"


@pytest.fixture
def server() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@contextmanager
def channel(server: MailServer, *, timeout: float = 5, login: str = "") -> Iterator[SmtpMail]:
    with closing(SmtpMail(server.url.replace("//", f"//{login}"), SENDER, timeout=timeout)) as mail:
        yield mail


def send(server: MailServer, message: Outgoing = MAIL, **options: Any) -> str:
    with channel(server, **options) as mail:
        return mail.send(message, "k")


def test_a_mail_has_both_parts_and_an_id_that_follows_from_its_key(server: MailServer) -> None:
    """Chinese subject, name and text arrive as they were."""
    assert send(server) == "<k@example.org>"
    [mail] = server.mails
    assert (mail["Subject"], mail["To"], mail["Message-ID"]) == (MAIL.subject, MAIL.to, "<k@example.org>")
    assert mail["From"].addresses[0].display_name == "离台"
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert (text.get_content().strip(), html.get_content().strip()) == (MAIL.text, MAIL.html)
    assert mail["Date"]


def test_the_connection_is_kept_and_made_anew_when_it_is_gone(server: MailServer) -> None:
    with channel(server) as mail:
        for number in range(3):
            mail.send(MAIL, f"k{number}")
        assert server.connections == 1
        mail._kept.server.close()
        mail.send(MAIL, "k4")
    assert (server.connections, len(server.mails)) == (2, 4)


@pytest.mark.parametrize(
    ("command", "reply", "error"),
    [
        ("RCPT", "550 5.1.1 no such user ada@example.com", AddressRefused),
        ("RCPT", "450 4.2.1 mailbox busy", ProviderBusy),
        ("MAIL", "553 sender not allowed", ChannelMisconfigured),
        ("MAIL", "451 try later", ProviderBusy),
        ("DATA", "554 spam", ProviderRefused),
        ("DATA", "452 too much mail", ProviderBusy),
        ("DATA", "421 closing", ProviderBusy),
        ("RCPT", "432 4.7.12 transition", ProviderUnavailable),
    ],
)
def test_replies_are_told_apart(server: MailServer, command: str, reply: str, error: type[ProviderError]) -> None:
    """The server's own words, which may name the address, stay out of the error; the next mail goes out."""
    server.refuse = {command: reply}
    with channel(server) as mail:
        with pytest.raises(error) as raised:
            mail.send(MAIL, "k")
        server.refuse = {}
        mail.send(MAIL, "k")
    assert type(raised.value) is error
    assert "ada" not in str(raised.value)


@pytest.mark.parametrize("how", ["drop", "hang"])
def test_a_connection_that_breaks_off_after_the_mail_leaves_it_uncertain(server: MailServer, how: str) -> None:
    setattr(server, how, True)
    with pytest.raises(OutcomeUncertain) as raised:
        send(server, timeout=0.5)
    assert raised.value.uncertain


def test_nobody_there_is_not_uncertain() -> None:
    with mail_server() as gone:
        pass
    with pytest.raises(ProviderUnavailable):
        send(gone)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # without TLS, which the test's server takes
def test_a_login_is_used_and_a_refused_one_is_said_to_be_a_setting() -> None:
    with mail_server(password="p@ss:w/") as server:
        send(server, login="ada:p%40ss%3Aw%2F@")
        assert server.logins == [(b"ada", b"p@ss:w/")]
        with pytest.raises(ChannelMisconfigured, match="535"):
            send(server, login="ada:wrong@")
        with pytest.raises(ChannelMisconfigured, match="530"):
            send(server)


def test_an_address_with_letters_of_its_own_language_is_written_as_such(server: MailServer) -> None:
    send(server, Outgoing("用户@例子.中国", "x", "y"))
    assert server.mails[0]["X-Envelope-To"] == "用户@例子.中国"


@pytest.mark.parametrize(
    "settings",
    [
        ("http://mail.example.com", SENDER, "", ""),
        ("smtp://mail.example.com", "", "", ""),
        ("", "", "carrier-pigeon://x", ""),
        ("", "", "", "https://"),
    ],
)
def test_a_bad_setting_is_named(settings: tuple[str, str, str, str]) -> None:
    with pytest.raises(ConfigError):
        build_channels(*settings, timeout=5)
