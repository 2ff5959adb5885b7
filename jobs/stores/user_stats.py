"""What each user has used: counted with the conversations that are logged, and what is left of the user's day.

A call takes its share of the day as a row in `reservations`, before a model is asked. It is settled with what the call
used in the transaction that accepts the answer, or given back. It counts until the call must have ended: what a killed
process had taken comes back by itself.
"""

import math
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, case, delete, func, insert, select, true, update

from jobs.domain.daily_limits import DailyLimits, Taken
from jobs.stores.database import Database, inserted, take_turns, utc
from jobs.stores.schema import reservations, user_stats, users

_is_registered = (users.c.tenant == user_stats.c.tenant) & (users.c.user_id == user_stats.c.user_id)
_TOTALS = ("total_conversations", "total_tokens", "alert")


@dataclass(frozen=True)
class Stats:
    """What a user has used."""

    total_conversations: int = 0
    total_tokens: int = 0
    last_conversation_at: datetime | None = None


@dataclass(frozen=True)
class Reservation:
    """A conversation, with so many tokens, that is taken off a user's day until it is settled or given back."""

    id: str
    tenant: str
    user_id: str
    day: str
    tokens: int


class UserStatsStore:
    """The table of users' figures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, tenant: str, user_id: str) -> Stats:
        """Return what a user has used; nothing, of one who is not known."""
        with self._database.read() as connection:
            row = connection.execute(select(user_stats).where(_is_user(tenant, user_id))).first()
        return Stats(row.total_conversations, row.total_tokens, utc(row.last_conversation_at)) if row else Stats()

    def reserve(
        self, tenant: str, user_id: str, limits: DailyLimits, *, least: int, most: int, seconds: float
    ) -> Reservation:
        """Take a conversation and its tokens, from `least` to `most`, off the user's day, for so many seconds.

        Raises:
            LimitReached, LimitUnderWay: there is not enough; nothing is taken.
        """
        day, now = _today(), time.time()
        with self._database.write() as connection:
            take_turns(connection, f"day/{tenant}/{user_id}")
            used, held = _taken(connection, tenant, user_id, day, now)
            tokens = limits.granted(used, held, least=least, most=most)
            taken = Reservation(uuid4().hex, tenant, user_id, day, tokens)
            connection.execute(insert(reservations).values(**vars(taken), until=math.ceil(now + seconds)))
        return taken

    def give_back(self, reservation: Reservation) -> None:
        """Give back what was taken off a day, of which nothing came."""
        with self._database.write() as connection:
            connection.execute(delete(reservations).where(reservations.c.id == reservation.id))

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
        """Delete what is left of users without figures when the day is over; return how many they were. With them go
        reservations that count no more."""
        nothing = (user_stats.c.total_conversations == 0) & (user_stats.c.day < _today())
        with self._database.write() as connection:
            connection.execute(delete(reservations).where(reservations.c.until <= time.time()))
            return connection.execute(delete(user_stats).where(nothing)).rowcount


def count(connection: Connection, tenant: str, found: Sequence[Mapping[str, Any]], soft_limit: int) -> None:
    """Add conversations to the figures of their users, one statement for each user."""
    of_user: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for values in found:
        of_user[values["user_id"]].append(values)
    stats = user_stats.c
    for user_id, some in sorted(of_user.items()):
        inserted(connection, user_stats, _fresh(tenant, user_id, _today()))
        total = stats.total_conversations + len(some)
        reached = (stats.alert == 0) & (total >= soft_limit) if soft_limit else stats.alert < 0
        connection.execute(
            update(user_stats)
            .where(_is_user(tenant, user_id))
            .values(
                total_conversations=total,
                total_tokens=stats.total_tokens
                + sum(each["prompt_tokens"] + each["completion_tokens"] for each in some),
                last_conversation_at=max(each["created_at"] for each in some),
                alert=case((reached, 1), else_=stats.alert),
            )
        )


def settle(connection: Connection, reservation: Reservation, tokens: int) -> None:
    """Take what a call has used off its day for good, in the place of what it had reserved; off no later day."""
    stats, day = user_stats.c, reservation.day
    connection.execute(delete(reservations).where(reservations.c.id == reservation.id))
    inserted(connection, user_stats, _fresh(reservation.tenant, reservation.user_id, day))
    its_day = update(user_stats).where(_is_user(reservation.tenant, reservation.user_id), stats.day <= day)
    connection.execute(
        its_day.values(
            day=day,
            day_conversations=case((stats.day == day, stats.day_conversations + 1), else_=1),
            day_tokens=case((stats.day == day, stats.day_tokens + tokens), else_=tokens),
        )
    )


def _taken(connection: Connection, tenant: str, user_id: str, day: str, now: float) -> tuple[Taken, Taken]:
    """Return what of a user's day is used, and what calls under way hold.

    In one statement: a call that is settled between two would count in neither.
    """
    own = reservations.c
    live = (own.tenant == tenant) & (own.user_id == user_id) & (own.day == day) & (own.until > now)
    held = select(func.count().label("calls"), func.coalesce(func.sum(own.tokens), 0).label("held")).where(live)
    today = (user_stats.c.day_conversations, user_stats.c.day_tokens)
    used = select(*today).where(_is_user(tenant, user_id), user_stats.c.day == day)
    both = held.subquery().outerjoin(used.subquery(), true())
    calls, tokens, used_calls, used_tokens = connection.execute(select(both)).one()
    return Taken(used_calls or 0, used_tokens or 0), Taken(calls, int(tokens))


def _is_user(tenant: str, user_id: str) -> Any:
    return (user_stats.c.tenant == tenant) & (user_stats.c.user_id == user_id)


def _fresh(tenant: str, user_id: str, day: str) -> Mapping[str, Any]:
    zeros = dict.fromkeys((*_TOTALS, "day_conversations", "day_tokens"), 0)
    return {"tenant": tenant, "user_id": user_id, "day": day, **zeros}


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
