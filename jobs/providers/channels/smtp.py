"""Mail over SMTP, over a connection that is kept from one mail to the next."""

import os
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8, EmailPolicy
from email.utils import formatdate
from threading import local
from urllib.parse import unquote, urlsplit

from jobs.providers.channels.base import AddressRefused, ChannelMisconfigured, OutcomeUncertain, Outgoing
from jobs.providers.errors import ProviderBusy, ProviderRefused, ProviderUnavailable

_MISCONFIGURED = {530, 534, 535, 538}  # logins; a server that asks for TLS or a login that we have not
_MAILS_OVER_ONE_CONNECTION = 100  # servers end longer ones


class SmtpMail:
    """Sends mail by the server of a URL: `smtp://user:password@host:587` with STARTTLS where the server has it,
    `smtps://` with TLS from the start. `sender` is an address, with a name if wanted.

    Each thread has a connection of its own; a forked process makes a new one.
    """

    provider = "smtp"
    takes_key = False

    def __init__(self, url: str, sender: str, *, timeout: float = 15.0) -> None:
        parts = urlsplit(url)
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or (465 if self._tls else 587)
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        self._sender = sender
        self._domain = _address_of(sender).rpartition("@")[2]
        self._timeout = timeout
        self._kept = local()

    def send(self, message: Outgoing, key: str) -> str:
        """Send a mail and return its `Message-ID`, which follows from `key`. See `Sender`."""
        message_id = f"<{key}@{self._domain}>"
        international = not (message.to.isascii() and _address_of(self._sender).isascii())
        content = self._mail(message, message_id, SMTPUTF8 if international else SMTP).as_bytes()
        server = self._connection()
        try:
            self._hand_over(server, message.to, content, international)
        except BaseException:
            self.close()
            raise
        return message_id

    def close(self) -> None:
        """Close this thread's connection."""
        server, self._kept.server = getattr(self._kept, "server", None), None
        if server is not None and self._kept.pid == os.getpid():
            server.close()

    def _hand_over(self, server: smtplib.SMTP, to: str, content: bytes, international: bool) -> None:
        sender = _address_of(self._sender)
        if international and not server.has_extn("smtputf8"):
            raise AddressRefused("The mail server does not take addresses with letters like these.")
        try:
            _judge(*server.mail(sender, ["smtputf8"] if international else []), sender=True)
            _judge(*server.rcpt(to), recipient=True)
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise ProviderUnavailable("The mail server ended the connection.") from error
        try:
            code, said = server.data(content)
        except smtplib.SMTPDataError as error:  # refused before the mail was sent
            code, said = error.smtp_code, error.smtp_error if isinstance(error.smtp_error, bytes) else b""
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise OutcomeUncertain from error
        _judge(code, said)

    def _mail(self, message: Outgoing, message_id: str, policy: "EmailPolicy[EmailMessage]") -> EmailMessage:
        mail = EmailMessage(policy)
        mail["From"] = self._sender
        mail["To"] = message.to
        mail["Subject"] = message.subject
        mail["Date"] = formatdate()
        mail["Message-ID"] = message_id
        mail["Auto-Submitted"] = "auto-generated"
        mail.set_content(message.text)
        if message.html:
            mail.add_alternative(message.html, subtype="html")
        return mail

    def _connection(self) -> smtplib.SMTP:
        kept: smtplib.SMTP | None = getattr(self._kept, "server", None)
        if kept is not None and self._kept.pid == os.getpid() and self._kept.mails < _MAILS_OVER_ONE_CONNECTION:
            with suppress(smtplib.SMTPException, OSError):
                if kept.rset()[0] == 250:
                    self._kept.mails += 1
                    return kept
        self.close()
        self._kept.server, self._kept.pid, self._kept.mails = self._connect(), os.getpid(), 1
        server: smtplib.SMTP = self._kept.server
        return server

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        try:
            if self._tls:
                server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=context)
            else:
                server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
            try:
                self._introduce(server, context)
            except BaseException:
                server.close()
                raise
        except smtplib.SMTPAuthenticationError as error:
            raise ChannelMisconfigured(f"The mail server refuses the login ({error.smtp_code}).") from None
        except smtplib.SMTPNotSupportedError:
            raise ChannelMisconfigured("The mail server takes no login over this connection.") from None
        except ssl.SSLCertVerificationError:
            raise ChannelMisconfigured("The mail server's certificate is not good.") from None
        except smtplib.SMTPResponseException as error:
            raise ProviderUnavailable(f"The mail server answered {error.smtp_code}.") from error
        except (smtplib.SMTPException, OSError) as error:
            raise ProviderUnavailable("The mail server cannot be reached.") from error
        return server

    def _introduce(self, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
        server.ehlo()
        if not self._tls and server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        if self._login:
            server.login(*self._login)


def _judge(code: int, said: bytes, *, sender: bool = False, recipient: bool = False) -> None:
    """Raise what a reply means, if it is not a good one. The server's own words may hold an address: they stay out."""
    if 200 <= code < 300:
        return
    text = f"The mail server answered {code}."
    if code in _MISCONFIGURED or (sender and code >= 500):
        raise ChannelMisconfigured(text)
    if code in (421, 450, 451, 452):
        raise ProviderBusy(text)
    if 400 <= code < 500:
        raise ProviderUnavailable(text)
    raise (AddressRefused if recipient else ProviderRefused)(text)


def _address_of(sender: str) -> str:
    """Return the address in `Name <address>`."""
    return sender.rpartition("<")[2].rstrip("> ") if "<" in sender else sender.strip()
