"""Any of the hundred and more services that Apprise knows, by its URL."""

from urllib.parse import quote

from jobs.providers.channels.base import Outgoing
from jobs.providers.errors import ProviderUnavailable

RECIPIENT = "{to}"


class ServiceByUrl:
    """Sends by Apprise. `{to}` in the URL stands for the recipient: an SMS number, a user's id.

    Apprise says that it failed, and not why: every failure counts as one that can get better.
    """

    provider = "apprise"
    takes_key = False

    def __init__(self, url: str) -> None:
        self._url = url

    @staticmethod
    def knows(url: str) -> bool:
        """Say whether Apprise has a service of that URL's kind."""
        from apprise import Apprise

        return Apprise.instantiate(url.replace(RECIPIENT, "0"), suppress_exceptions=True) is not None

    def send(self, message: Outgoing, key: str) -> str:
        """Send a message; the other side's id of it is not known. See `Sender`."""
        from apprise import Apprise

        service = Apprise()
        service.add(self._url.replace(RECIPIENT, quote(message.to, safe="+")))
        if not service.notify(title=message.subject, body=message.text):
            raise ProviderUnavailable("The service did not take the message.")
        return ""
