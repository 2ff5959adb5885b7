"""Conversations: taken in by one short insert each, logged and counted many at a time.

Logging moves rows from `pending_conversations` to `conversations`, and adds to sessions, users' figures and usage, in
one transaction: whatever runs twice or dies in between, each is logged and counted once.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import Connection, Row, delete, func, insert, or_, select

from jobs.domain.chat import BUILT_IN
from jobs.domain.usage import Usage
from jobs.stores.database import Database, utc
from jobs.stores.schema import conversations, pending_conversations
from jobs.stores.sessions import LogRules, grow
from jobs.stores.usage import UsageStore
from jobs.stores.user_stats import Reservation, count, settle

ROUND = 1000  # conversations logged in one transaction
_OF_SESSION = [conversations.c[name] for name in ("number", "user_id", "session_id", "topic")]


class SessionNotFound(Exception):
    """There is no such session of this user."""

    code: ClassVar[str] = "session_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class NewConversation:
    """A message and its answer, as they are to be logged. `response_time` is in seconds."""

    tenant: str
    user_id: str
    session_id: str
    topic: str | None
    message: str
    response: str
    cut_off: bool
    model: str
    prompt_tokens: int
    completion_tokens: int
    estimated: bool
    response_time: float


@dataclass(frozen=True)
class Conversation(NewConversation):
    """A logged message with its answer; `number` gives the order."""

    number: int
    created_at: datetime


@dataclass(frozen=True)
class Logged:
    """How many conversations one transaction logged, and the ids of what it left to be summed up into memories."""

    conversations: int = 0
    memories: Sequence[str] = ()


class ConversationStore:
    """The tables of conversations."""

    def __init__(self, database: Database, usage: UsageStore, rules: LogRules | None = None) -> None:
        self._database = database
        self._usage = usage
        self._rules = rules or LogRules()
        self._started: dict[str, int] = {}

    def is_first(self, tenant: str, bucket: int) -> bool:
        """Say whether this process has a tenant's chats of so early a moment logged for the first time."""
        if self._started.get(tenant, 0) >= bucket:
            return False
        self._started[tenant] = bucket
        return True

    def accept(self, new: NewConversation, reservation: Reservation | None = None) -> None:
        """Keep a conversation that is to be logged; what was reserved for it is settled with what it used."""
        with self._database.write() as connection:
            connection.execute(insert(pending_conversations).values(waiting(new)))
            if reservation:
                settle(connection, reservation, new.prompt_tokens + new.completion_tokens)

    def log(self, tenant: str) -> Logged:
        """Log and count what waits, up to `ROUND` conversations, in one transaction; leave what follows by the rules as
        rows: users to be told, sessions to be summed up and to be analyzed."""
        query = select(pending_conversations).where(pending_conversations.c.tenant == tenant)
        with self._database.write() as connection:
            rows = connection.execute(
                query.order_by(pending_conversations.c.number).limit(ROUND).with_for_update(skip_locked=True)
            ).all()
            if not rows:
                return Logged()
            found = [_content(row) for row in rows]
            kept = insert(conversations).returning(*_OF_SESSION)
            logged = connection.execute(kept, found).all()
            memories = grow(connection, tenant, logged, self._rules)
            count(connection, tenant, found, self._rules.soft_limit)
            for row in rows:
                self._record_usage(connection, row, user_id=row.user_id)
            numbers = [row.number for row in rows]
            connection.execute(delete(pending_conversations).where(pending_conversations.c.number.in_(numbers)))
        return Logged(len(rows), memories)

    def drop_waiting(self, tenant: str, user_id: str) -> int:
        """Delete some of a user's conversations that wait to be logged; what they used counts as that of no user.
        Return how many, 0 when none are left."""
        waits = pending_conversations.c
        query = select(pending_conversations).where(waits.tenant == tenant, waits.user_id == user_id)
        with self._database.write() as connection:
            rows = connection.execute(query.order_by(waits.number).limit(ROUND).with_for_update()).all()
            for row in rows:
                self._record_usage(connection, row, user_id="")
            numbers = [row.number for row in rows]
            connection.execute(delete(pending_conversations).where(waits.number.in_(numbers)))
        return len(rows)

    def _record_usage(self, connection: Connection, row: Row[Any], user_id: str) -> None:
        values = _content(row)
        if values["model"] != BUILT_IN:
            used = Usage(values["prompt_tokens"], values["completion_tokens"], values["estimated"])
            key = f"chat/{row.number}"
            self._usage.record(connection, row.tenant, user_id, values["model"], used, "chat", key)

    def tenants_waiting(self, before: float) -> list[str]:
        """Return the tenants with conversations that wait since before a time, in seconds since 1970."""
        old = select(pending_conversations.c.tenant).where(pending_conversations.c.accepted_at <= before).distinct()
        with self._database.read() as connection:
            return list(connection.execute(old).scalars())

    def first_number(self, tenant: str, user_id: str) -> int | None:
        """Return the number of a user's oldest conversation that is logged."""
        mine = (conversations.c.tenant == tenant) & (conversations.c.user_id == user_id)
        with self._database.read() as connection:
            return connection.execute(select(func.min(conversations.c.number)).where(mine)).scalar()

    def session(self, tenant: str, user_id: str, session_id: str, limit: int) -> list[Conversation]:
        """Return the newest conversations of a user's session, oldest first; those that wait to be logged, too."""
        logged, waits = (
            select(table).where(table.c.tenant == tenant, table.c.user_id == user_id, table.c.session_id == session_id)
            for table in (conversations, pending_conversations)
        )
        with self._database.read() as connection:
            rows = connection.execute(logged.order_by(conversations.c.number.desc()).limit(limit)).all()
            held = [_content(row) for row in connection.execute(waits.order_by(pending_conversations.c.number))]
        found = [_conversation(row) for row in reversed(rows)]
        found += [Conversation(number=0, **values) for values in held]
        return found[-limit:]

    def history(
        self,
        tenant: str,
        user_id: str,
        *,
        before: int | None = None,
        limit: int = 10,
        session_id: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        text: str | None = None,
    ) -> list[Conversation]:
        """Return a user's conversations, newest first, from right before a number on; those that hold a text, if one is
        given, whatever its case."""
        query = select(conversations).where(conversations.c.tenant == tenant, conversations.c.user_id == user_id)
        if before is not None:
            query = query.where(conversations.c.number < before)
        if session_id is not None:
            query = query.where(conversations.c.session_id == session_id)
        if since is not None:
            query = query.where(conversations.c.created_at >= since)
        if until is not None:
            query = query.where(conversations.c.created_at < until)
        if text:
            held = (conversations.c.message, conversations.c.response)
            query = query.where(or_(*(column.icontains(text, autoescape=True) for column in held)))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(conversations.c.number.desc()).limit(limit))
            return [_conversation(row) for row in rows]


def waiting(new: NewConversation) -> dict[str, Any]:
    """Return a conversation as the row that waits to be logged, as of now."""
    now = datetime.now(UTC)
    return {
        "tenant": new.tenant,
        "user_id": new.user_id,
        "session_id": new.session_id,
        "content": json.dumps({**vars(new), "created_at": now.isoformat()}),
        "accepted_at": int(now.timestamp()),
    }


def _content(row: Row[Any]) -> dict[str, Any]:
    values = json.loads(row.content)
    return {**values, "created_at": datetime.fromisoformat(values["created_at"])}


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(**{**row._mapping, "created_at": utc(row.created_at)})
