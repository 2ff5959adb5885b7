"""A real SMTP server for tests, which accepts, refuses, hangs or drops as it is told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from local.ports import free_port


class MailServer:
    """What it took, and how it is to behave. `refuse` maps a command (`MAIL`, `RCPT`, `DATA`) to a reply; with `drop`
    it ends the connection when a mail has come, with `hang` it says nothing then."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.connections = 0
        self.logins: list[tuple[bytes, bytes]] = []
        self.refuse: dict[str, str] = {}
        self.drop = self.hang = False
        self.password: bytes | None = None
        self.port = 0
        self._released = threading.Event()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_EHLO(
        self, server: SMTP, session: Session, _envelope: Envelope, hostname: str, replies: list[str]
    ) -> list[str]:
        self.connections += 1
        session.host_name = hostname
        return replies

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        envelope.mail_from = address
        return self.refuse.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if reply := self.refuse.get("RCPT"):
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        import asyncio

        if reply := self.refuse.get("DATA"):
            return reply
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        parsed["X-Envelope-To"] = ",".join(envelope.rcpt_tos)
        self.mails.append(parsed)
        if self.hang:
            await asyncio.sleep(30)
        if self.drop:
            server.transport.abort()
        return "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        self.logins.append((data.login, data.password))
        return AuthResult(success=data.password == self.password, handled=False)


@contextmanager
def mail_server(*, password: str | None = None) -> Iterator[MailServer]:
    """Run a server on a free port; with a password it wants a login."""
    handler = MailServer()
    handler.password = password.encode() if password else None
    options: dict[str, Any] = {}
    if password:
        options = {"authenticator": handler.authenticate, "auth_required": True, "auth_require_tls": False}
    controller = Controller(handler, hostname="127.0.0.1", port=free_port(), enable_SMTPUTF8=True, **options)
    controller.start()
    handler.port = controller.port
    try:
        yield handler
    finally:
        controller.stop(no_assert=True)
