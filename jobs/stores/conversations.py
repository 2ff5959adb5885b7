"""Conversations: taken in by one short insert each, logged and counted many at a time.

Logging moves rows from `pending_conversations` to `conversations` and adds to `user_stats` in one transaction: whatever
runs twice or dies in between, each is logged and counted once.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection, Row, case, delete, insert, or_, select, update

from jobs.domain.chat import BUILT_IN
from jobs.domain.usage import Usage
from jobs.stores.database import Database, inserted, utc
from jobs.stores.schema import conversations, pending_conversations, user_stats
from jobs.stores.usage import UsageStore

ROUND = 1000  # conversations logged in one transaction


class LimitReached(Exception):
    """The user's conversations or tokens of the day are used up."""

    code: ClassVar[str] = "limit_reached"

    def __init__(self, what: str, limit: int) -> None:
        tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        super().__init__(f"The user's {limit} {what} of the day are used up; it ends at {tomorrow:%Y-%m-%dT%H:%M:%SZ}.")
        self.retry_after = (tomorrow - datetime.now(UTC)).total_seconds()


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
class Stats:
    """What a user has used."""

    total_conversations: int = 0
    total_tokens: int = 0
    last_conversation_at: datetime | None = None


class ConversationStore:
    """The tables of conversations."""

    def __init__(self, database: Database, usage: UsageStore) -> None:
        self._database = database
        self._usage = usage
        self._started: dict[str, int] = {}

    def is_first(self, tenant: str, bucket: int) -> bool:
        """Say whether this process has a tenant's chats of so early a moment logged for the first time."""
        if self._started.get(tenant, 0) >= bucket:
            return False
        self._started[tenant] = bucket
        return True

    def accept(self, new: NewConversation, *, reserved_tokens: int = 0) -> None:
        """Keep a conversation that is to be logged."""
        now = datetime.now(UTC)
        row = {
            "tenant": new.tenant,
            "session_id": new.session_id,
            "content": json.dumps({**vars(new), "created_at": now.isoformat()}),
        }
        row |= {"reserved_tokens": reserved_tokens, "accepted_at": int(now.timestamp())}  # type: ignore[dict-item]
        with self._database.write() as connection:
            connection.execute(insert(pending_conversations).values(row))

    def log(self, tenant: str, *, soft_limit: int) -> int:
        """Log and count what waits, up to `ROUND` conversations, in one transaction; return how many it was."""
        query = select(pending_conversations).where(pending_conversations.c.tenant == tenant)
        with self._database.write() as connection:
            rows = connection.execute(
                query.order_by(pending_conversations.c.number).limit(ROUND).with_for_update(skip_locked=True)
            ).all()
            if not rows:
                return 0
            found = [_content(row) for row in rows]
            connection.execute(insert(conversations), [values for values, _ in found])
            _count(connection, tenant, found, soft_limit)
            for row, (values, _) in zip(rows, found, strict=True):
                if values["model"] != BUILT_IN:
                    self._record_usage(connection, tenant, f"chat/{row.number}", values)
            numbers = [row.number for row in rows]
            connection.execute(delete(pending_conversations).where(pending_conversations.c.number.in_(numbers)))
        return len(rows)

    def _record_usage(self, connection: Connection, tenant: str, key: str, values: Mapping[str, Any]) -> None:
        used = Usage(values["prompt_tokens"], values["completion_tokens"], values["estimated"])
        self._usage.record(connection, tenant, values["user_id"], values["model"], used, "chat", key)

    def tenants_waiting(self, before: float) -> list[str]:
        """Return the tenants with conversations that wait since before a time, in seconds since 1970."""
        old = select(pending_conversations.c.tenant).where(pending_conversations.c.accepted_at <= before).distinct()
        with self._database.read() as connection:
            return list(connection.execute(old).scalars())

    def to_be_told(self, tenant: str) -> list[str]:
        """Return the users who have reached the soft limit and have not been told."""
        query = select(user_stats.c.user_id).where(user_stats.c.tenant == tenant, user_stats.c.alert == 1)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def told(self, tenant: str, user_id: str) -> None:
        """Record that a user is told of the soft limit: never again."""
        with self._database.write() as connection:
            connection.execute(update(user_stats).where(_is_user(tenant, user_id)).values(alert=2))

    def reserve(self, tenant: str, user_id: str, *, tokens: int, max_conversations: int, max_tokens: int) -> None:
        """Take a conversation and its tokens off the user's day, before a model is asked. A limit of 0 is none.

        Raises:
            LimitReached: the day is used up; nothing is taken.
        """
        today = _today()
        is_new = user_stats.c.day != today
        left = []
        if max_conversations:
            left.append(or_(is_new, user_stats.c.day_conversations < max_conversations))
        if max_tokens:
            left.append(or_(is_new, user_stats.c.day_tokens < max_tokens))
        taken = (
            update(user_stats)
            .where(_is_user(tenant, user_id), *left)
            .values(
                day=today,
                day_conversations=case((is_new, 1), else_=user_stats.c.day_conversations + 1),
                day_tokens=case((is_new, tokens), else_=user_stats.c.day_tokens + tokens),
            )
        )
        with self._database.write() as connection:
            inserted(connection, user_stats, _fresh(tenant, user_id))
            if connection.execute(taken).rowcount:
                return
            used = connection.execute(select(user_stats).where(_is_user(tenant, user_id))).one()
        if max_conversations and used.day_conversations >= max_conversations:
            raise LimitReached("conversations", max_conversations)
        raise LimitReached("tokens", max_tokens)

    def give_back(self, tenant: str, user_id: str, tokens: int) -> None:
        """Give a conversation back to the user's day, of which nothing came."""
        stats = user_stats.c
        with self._database.write() as connection:
            today = update(user_stats).where(_is_user(tenant, user_id), stats.day == _today())
            connection.execute(
                today.values(day_conversations=stats.day_conversations - 1, day_tokens=stats.day_tokens - tokens)
            )

    def stats(self, tenant: str, user_id: str) -> Stats:
        """Return what a user has used; nothing, of one who is not known."""
        with self._database.read() as connection:
            row = connection.execute(select(user_stats).where(_is_user(tenant, user_id))).first()
        return Stats(row.total_conversations, row.total_tokens, utc(row.last_conversation_at)) if row else Stats()

    def session(self, tenant: str, user_id: str, session_id: str, limit: int) -> list[Conversation]:
        """Return the newest conversations of a session, oldest first, those that wait to be logged among them.

        Raises:
            SessionNotFound: it is another user's, or another tenant's.
        """
        query = select(conversations).where(conversations.c.tenant == tenant, conversations.c.session_id == session_id)
        pending = pending_conversations.c
        waiting = select(pending_conversations).where(pending.tenant == tenant, pending.session_id == session_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(conversations.c.number.desc()).limit(limit)).all()
            held = [_content(row)[0] for row in connection.execute(waiting.order_by(pending.number))]
        found = [_conversation(row) for row in reversed(rows)]
        found += [Conversation(number=0, **values) for values in held]
        if any(one.user_id != user_id for one in found):
            raise SessionNotFound
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


def _count(connection: Connection, tenant: str, found: Sequence[tuple[dict[str, Any], int]], soft_limit: int) -> None:
    """Add conversations to the figures of their users, one statement for each user."""
    of_user: defaultdict[str, list[tuple[dict[str, Any], int]]] = defaultdict(list)
    for values, reserved in found:
        of_user[values["user_id"]].append((values, reserved))
    stats = user_stats.c
    for user_id, some in sorted(of_user.items()):
        inserted(connection, user_stats, _fresh(tenant, user_id))
        tokens = sum(values["prompt_tokens"] + values["completion_tokens"] for values, _ in some)
        reserved = sum(each for _, each in some)
        total = stats.total_conversations + len(some)
        reached = (stats.alert == 0) & (total >= soft_limit) if soft_limit else stats.alert < 0
        connection.execute(
            update(user_stats)
            .where(_is_user(tenant, user_id))
            .values(
                total_conversations=total,
                total_tokens=stats.total_tokens + tokens,
                last_conversation_at=max(values["created_at"] for values, _ in some),
                day_tokens=case((stats.day == _today(), stats.day_tokens + tokens - reserved), else_=stats.day_tokens),
                alert=case((reached, 1), else_=stats.alert),
            )
        )


def _content(row: Row[Any]) -> tuple[dict[str, Any], int]:
    values = json.loads(row.content)
    return {**values, "created_at": datetime.fromisoformat(values["created_at"])}, row.reserved_tokens


def _is_user(tenant: str, user_id: str) -> Any:
    return (user_stats.c.tenant == tenant) & (user_stats.c.user_id == user_id)


def _fresh(tenant: str, user_id: str) -> Mapping[str, Any]:
    zeros = dict.fromkeys(("total_conversations", "total_tokens", "alert", "day_conversations", "day_tokens"), 0)
    return {"tenant": tenant, "user_id": user_id, "day": _today(), **zeros}


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _conversation(row: Row[Any]) -> Conversation:
    return Conversation(**{**row._mapping, "created_at": utc(row.created_at)})
