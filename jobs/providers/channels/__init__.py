"""Channels to the outside, by the URLs in the settings. A channel without one is the local outbox: nothing leaves."""

from urllib.parse import urlsplit

from config import ConfigError
from jobs.domain.notifications import Channel
from jobs.providers.channels.base import (
    AddressRefused,
    ChannelMisconfigured,
    OutcomeUncertain,
    Outgoing,
    Sender,
)
from jobs.providers.channels.http import JsonService, Ntfy, Twilio
from jobs.providers.channels.smtp import SmtpMail
from jobs.providers.channels.url import ServiceByUrl

__all__ = [
    "AddressRefused",
    "ChannelMisconfigured",
    "OutcomeUncertain",
    "Outgoing",
    "Sender",
    "build_channels",
]


def build_channels(mail_url: str, mail_from: str, sms_url: str, push_url: str, timeout: float) -> dict[Channel, Sender]:
    """Return the channels that are set up. Connects nothing.

    Raises:
        ConfigError: a URL is of a kind that nobody here knows.
    """
    found: dict[Channel, Sender] = {}
    if mail_url:
        found["email"] = _mail(mail_url, mail_from, timeout)
    if sms_url:
        found["sms"] = _service("SMS_URL", sms_url, timeout)
    if push_url:
        found["push"] = _service("PUSH_URL", push_url, timeout)
    return found


def _mail(url: str, sender: str, timeout: float) -> Sender:
    if urlsplit(url).scheme not in ("smtp", "smtps") or not urlsplit(url).hostname:
        raise ConfigError("MAIL_URL is `smtp://user:password@host:587` or `smtps://...`.")
    if "@" not in sender:
        raise ConfigError("MAIL_FROM is to be the address that mail comes from, if MAIL_URL is set.")
    return SmtpMail(url, sender, timeout=timeout)


def _service(name: str, url: str, timeout: float) -> Sender:
    kinds: dict[str, type[Twilio | Ntfy | JsonService]] = {
        "twilio": Twilio,
        "ntfy": Ntfy,
        "https": JsonService,
        "http": JsonService,
    }
    kind = kinds.get(urlsplit(url).scheme)
    if kind is not None and urlsplit(url).hostname:
        return kind(url, timeout=timeout)
    if kind is None and ServiceByUrl.knows(url):
        return ServiceByUrl(url)
    raise ConfigError(f"{name} is `twilio://`, `ntfy://`, `https://`, or the URL of a service that Apprise knows.")
