"""SMS and push over HTTP: Twilio, ntfy, and any service that takes JSON."""

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from jobs.providers.channels.base import AddressRefused, ChannelMisconfigured, OutcomeUncertain, Outgoing
from jobs.providers.errors import ProviderBusy, ProviderRefused, ProviderUnavailable
from jobs.providers.http import retry_after

if TYPE_CHECKING:
    import httpx2

_TWILIO_BAD_NUMBERS = {21211, 21214, 21408, 21610, 21612, 21614}  # twilio.com/docs/api/errors


class _Service:
    """One service over HTTP, by a URL with a name and a password, or a token alone. Building one connects nothing."""

    def __init__(self, url: str, *, timeout: float) -> None:
        parts = urlsplit(url)
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._options = parse_qs(parts.query)
        plain = parts.scheme == "http" or self._options.get("tls") == ["no"]
        host = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self._base, self._path = f"{'http' if plain else 'https'}://{host}", parts.path.rstrip("/")
        self._timeout = timeout
        self._client: httpx2.Client | None = None

    def _post(self, path: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> "httpx2.Response":
        import httpx2

        if self._client is None:
            login = (self._user, self._password) if self._password else None
            token = {"Authorization": f"Bearer {self._user}"} if self._user and not self._password else {}
            self._client = httpx2.Client(timeout=self._timeout, trust_env=False, auth=login, headers=token)
            weakref.finalize(self, self._client.close)
        try:
            return self._client.post(f"{self._base}{path}", headers=dict(headers or {}), **body)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise ProviderUnavailable("The service could not be reached.") from error
        except httpx2.HTTPError as error:
            raise OutcomeUncertain from error


class Twilio(_Service):
    """SMS by Twilio: `twilio://SID:TOKEN@api.twilio.com?from=+15550100`."""

    provider = "twilio"
    takes_key = False

    def send(self, message: Outgoing, key: str) -> str:
        """Send an SMS and return its SID. See `Sender`."""
        form = {"To": message.to, "From": self._options.get("from", [""])[0], "Body": message.text}
        answer = self._post(f"/2010-04-01/Accounts/{quote(self._user)}/Messages.json", data=form)
        content = _json(answer)
        if answer.status_code == 400 and content.get("code") in _TWILIO_BAD_NUMBERS:
            raise AddressRefused("The service does not deliver to this number.")
        _judge(answer)
        return str(content.get("sid", ""))


class Ntfy(_Service):
    """Push by ntfy: `ntfy://TOKEN@host/PREFIX`; a user's topic is the prefix and the user's id."""

    provider = "ntfy"
    takes_key = False

    def send(self, message: Outgoing, key: str) -> str:
        """Publish a message and return its id. See `Sender`."""
        topic = f"{self._path.strip('/')}{message.to}"
        content = {"topic": topic, "title": message.subject, "message": message.text}
        answer = self._post("/", json=content)
        _judge(answer)
        return str(_json(answer).get("id", ""))


class JsonService(_Service):
    """Any service that takes `{"to", "subject", "text"}` by POST: `https://user:password@host/path`.

    It is given an `Idempotency-Key`, the same at every attempt, and is trusted to honour it.
    """

    provider = "http"
    takes_key = True

    def send(self, message: Outgoing, key: str) -> str:
        """Post a message and return the `id` of the answer, if it has one. See `Sender`."""
        content = {"to": message.to, "subject": message.subject, "text": message.text}
        try:
            answer = self._post(self._path or "/", headers={"Idempotency-Key": key}, json=content)
        except OutcomeUncertain as error:  # it knows our key: sent again, it arrives once
            raise ProviderUnavailable(str(error)) from error
        _judge(answer)
        return str(_json(answer).get("id", ""))


def _judge(answer: "httpx2.Response") -> None:
    status, text = answer.status_code, f"The service answered {answer.status_code}."
    if status < 300:
        return
    wait = retry_after(answer.headers.get("Retry-After", ""))
    if status in (401, 403):
        raise ChannelMisconfigured(text)
    if status == 429:
        raise ProviderBusy(text, retry_after=wait)
    if status in (408, 425) or status >= 500:
        raise ProviderUnavailable(text, retry_after=wait)
    raise (AddressRefused if status in (404, 410, 422) else ProviderRefused)(text)


def _json(answer: "httpx2.Response") -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
