"""What each user has used: counted with the conversations that are logged, and what is left of the user's day."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import Connection, case, delete, or_, select, update

from jobs.stores.database import Database, inserted, utc
from jobs.stores.schema import user_stats, users

_is_registered = (users.c.tenant == user_stats.c.tenant) & (users.c.user_id == user_stats.c.user_id)
_TOTALS = ("total_conversations", "total_tokens", "alert")


class LimitReached(Exception):
    """The user's conversations or tokens of the day are used up."""

    code: ClassVar[str] = "limit_reached"

    def __init__(self, what: str, limit: int) -> None:
        tomorrow = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        super().__init__(f"The user's {limit} {what} of the day are used up; it ends at {tomorrow:%Y-%m-%dT%H:%M:%SZ}.")
        self.retry_after = (tomorrow - datetime.now(UTC)).total_seconds()


@dataclass(frozen=True)
class Stats:
    """What a user has used."""

    total_conversations: int = 0
    total_tokens: int = 0
    last_conversation_at: datetime | None = None


class UserStatsStore:
    """The table of users' figures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, user_id: str) -> Stats:
        """Return what a user has used; nothing, of one who is not known."""
        with self._database.read() as connection:
            row = connection.execute(select(user_stats).where(_is_user(tenant, user_id))).first()
        return Stats(row.total_conversations, row.total_tokens, utc(row.last_conversation_at)) if row else Stats()

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

    def to_be_told(self, tenant: str) -> list[str]:
        """Return the registered users who have reached the soft limit and have not been told."""
        query = select(user_stats.c.user_id).join_from(user_stats, users, _is_registered)
        query = query.where(user_stats.c.tenant == tenant, user_stats.c.alert == 1)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def told(self, tenant: str, user_id: str) -> None:
        """Record that a user is told of the soft limit: never again."""
        with self._database.write() as connection:
            connection.execute(update(user_stats).where(_is_user(tenant, user_id)).values(alert=2))

    def forget(self, tenant: str, user_id: str) -> bool:
        """Delete a user's figures; return whether there were any.

        What was taken off today stays until the day is over: to be forgotten is no way around a limit.
        """
        stats, mine = user_stats.c, _is_user(tenant, user_id)
        nothing = {**dict.fromkeys(_TOTALS, 0), "last_conversation_at": None}
        with self._database.write() as connection:
            unlimited = (stats.day_conversations == 0) | (stats.day != _today())
            if connection.execute(delete(user_stats).where(mine, unlimited)).rowcount:
                return True
            known = update(user_stats).where(mine, stats.total_conversations > 0)
            return bool(connection.execute(known.values(nothing)).rowcount)

    def purge(self) -> int:
        """Delete what is left of users without figures when the day is over; return how many they were."""
        nothing = (user_stats.c.total_conversations == 0) & (user_stats.c.day < _today())
        with self._database.write() as connection:
            return connection.execute(delete(user_stats).where(nothing)).rowcount


def count(connection: Connection, tenant: str, found: Sequence[tuple[dict[str, Any], int]], soft_limit: int) -> None:
    """Add conversations to the figures of their users, one statement for each user.

    Each comes with the tokens that were taken off its user's day: the day has those back that were not used.
    """
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


def _is_user(tenant: str, user_id: str) -> Any:
    return (user_stats.c.tenant == tenant) & (user_stats.c.user_id == user_id)


def _fresh(tenant: str, user_id: str) -> Mapping[str, Any]:
    zeros = dict.fromkeys((*_TOTALS, "day_conversations", "day_tokens"), 0)
    return {"tenant": tenant, "user_id": user_id, "day": _today(), **zeros}


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
