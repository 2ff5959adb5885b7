"""What every channel is given, what it offers, and how it fails."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from jobs.providers.errors import ProviderError


@dataclass(frozen=True)
class Outgoing:
    """One message to one recipient: an address, a number in E.164, or a user's id."""

    to: str
    subject: str
    text: str
    html: str | None = None


class Sender(Protocol):
    """A channel. `takes_key`: the other side knows our key, so a message may be sent twice and arrives once."""

    provider: str
    takes_key: bool

    def send(self, message: Outgoing, key: str) -> str:
        """Send a message and return the other side's id of it.

        Raises:
            ProviderUnavailable, ProviderBusy: it was not sent; it may be later.
            AddressRefused, ProviderRefused: it was not sent, and never will be.
            ChannelMisconfigured: it was not sent, and no other will be.
            OutcomeUncertain: nobody knows whether it was.
        """


class AddressRefused(ProviderError):
    """The other side does not deliver to this recipient."""

    code = "address_refused"


class ChannelMisconfigured(ProviderError):
    """The other side refuses us: the channel's login or sender is not set up rightly."""

    code = "channel_misconfigured"


class OutcomeUncertain(ProviderError):
    """The connection broke off when the message had been handed over; whether it was taken is not known."""

    code = "outcome_unknown"
    uncertain: ClassVar[bool] = True
