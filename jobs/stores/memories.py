"""What is known of users, and the conversations that are to be summed up into it.

A conversation waits as a row under the id of the job that sums it up, so that no text of it stands in Redis. What was
learned is kept in the transaction that deletes this row: an attempt that comes second finds nothing to do.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, Connection, Row, delete, exists, select, update

from jobs.domain.chat import Turn
from jobs.domain.memory import fact_key
from jobs.stores.database import Database, inserted, utc
from jobs.stores.schema import memories, pending_memories, work

_WAITING = 100  # looked at in one round


class MemoryNotFound(Exception):
    """There is no such memory of this user."""

    code: ClassVar[str] = "memory_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class Memory:
    """A fact about a user; `number` is the order. `model` says who wrote it, `confirmed_at` when it was last said."""

    number: int
    text: str
    topic: str | None
    session_id: str | None
    model: str
    created_at: datetime
    confirmed_at: datetime


@dataclass(frozen=True)
class PendingMemory:
    """A conversation that is to be summed up: its `turns`, or else the newest `exchanges` of a session, up to a
    number, all of them with 0 and None."""

    id: str
    tenant: str
    user_id: str
    topic: str | None = None
    turns: Sequence[Turn] = ()
    session_id: str | None = None
    exchanges: int = 0
    through_number: int | None = None


@dataclass(frozen=True)
class Learned:
    """How many facts were new, how many known before, and how many made room or were true no longer."""

    new: int = 0
    confirmed: int = 0
    dropped: int = 0


class MemoryStore:
    """The tables of memories."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def accept(self, pending: PendingMemory) -> None:
        """Keep a conversation that is to be summed up; one whose id is there is the same one."""
        with self._database.write() as connection:
            add_pending(connection, pending)

    def pending(self, tenant: str, pending_id: str) -> PendingMemory | None:
        """Return a conversation that is to be summed up; None if it has been, or its user was forgotten."""
        query = select(pending_memories).where(_is_pending(tenant, pending_id))
        with self._database.read() as connection:
            row = connection.execute(query).first()
        return _pending(row) if row else None

    def without_job(self, older_than: float) -> list[tuple[str, str]]:
        """Return tenant and id of what waits for so many seconds and has no job: whoever accepted it died before."""
        has_job = exists().where(work.c.id == pending_memories.c.id)
        old = pending_memories.c.accepted_at <= time.time() - older_than
        query = select(pending_memories.c.tenant, pending_memories.c.id).where(old, ~has_job)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(pending_memories.c.accepted_at).limit(_WAITING))
            return [(row.tenant, row.id) for row in rows]

    def learn(
        self, pending: PendingMemory, facts: Sequence[str], outdated: Sequence[int], model: str, cap: int
    ) -> Learned:
        """Keep what a conversation taught, once; forget the numbers that are outdated and, over the cap, the oldest."""
        mine, now = _is_of(pending.tenant, pending.user_id), datetime.now(UTC)
        with self._database.write() as connection:
            if not connection.execute(delete(pending_memories).where(_is_pending(pending.tenant, pending.id))).rowcount:
                return Learned()
            dropped = connection.execute(delete(memories).where(mine, memories.c.number.in_(outdated))).rowcount
            new = sum(_keep(connection, pending, fact, model, now) for fact in facts)
            kept = select(memories.c.number).where(mine)
            newest = kept.order_by(memories.c.confirmed_at.desc(), memories.c.number.desc()).limit(cap)
            dropped += connection.execute(delete(memories).where(mine, memories.c.number.not_in(newest))).rowcount
        return Learned(new, len(facts) - new, dropped)

    def known(self, tenant: str, user_id: str, max_chars: int) -> list[Memory]:
        """Return what was said of a user last, as much as has so many characters."""
        found: list[Memory] = []
        query = select(memories).where(_is_of(tenant, user_id)).order_by(memories.c.confirmed_at.desc())
        with self._database.read() as connection:
            for row in connection.execute(query.limit(max_chars)):  # a fact has one at least
                max_chars -= len(row.text)
                if max_chars < 0:
                    break
                found.append(_memory(row))
        return found

    def list(self, tenant: str, user_id: str, *, before: int | None = None, limit: int = 20) -> list[Memory]:
        """Return what is known of a user, the newest first, from right before a number on."""
        query = select(memories).where(_is_of(tenant, user_id))
        if before is not None:
            query = query.where(memories.c.number < before)
        with self._database.read() as connection:
            return [_memory(row) for row in connection.execute(query.order_by(memories.c.number.desc()).limit(limit))]

    def forget(self, tenant: str, user_id: str, number: int) -> None:
        """Delete one fact about a user.

        Raises:
            MemoryNotFound: there is none of that number.
        """
        with self._database.write() as connection:
            one = delete(memories).where(_is_of(tenant, user_id), memories.c.number == number)
            if not connection.execute(one).rowcount:
                raise MemoryNotFound

    def forget_all(self, tenant: str, user_id: str) -> int:
        """Delete all that is known of a user, and what waits to be summed up; return how many facts it was."""
        waiting = (pending_memories.c.tenant == tenant) & (pending_memories.c.user_id == user_id)
        with self._database.write() as connection:
            connection.execute(delete(pending_memories).where(waiting))  # first: waits for a job that is about to learn
            return connection.execute(delete(memories).where(_is_of(tenant, user_id))).rowcount

    def purge(self, before: float) -> int:
        """Drop conversations that wait since before a time, in seconds since 1970; return how many they were."""
        with self._database.write() as connection:
            return connection.execute(delete(pending_memories).where(pending_memories.c.accepted_at < before)).rowcount


def add_pending(connection: Connection, pending: PendingMemory) -> None:
    """Keep a conversation that is to be summed up, in the caller's transaction."""
    row = {name: value for name, value in vars(pending).items() if name != "turns"}
    content = json.dumps([vars(turn) for turn in pending.turns]) if pending.turns else None
    inserted(connection, pending_memories, row | {"content": content, "accepted_at": int(time.time())})


def _keep(connection: Connection, pending: PendingMemory, fact: str, model: str, now: datetime) -> bool:
    """Keep a fact; return False if it was known, and is confirmed by that."""
    row: dict[str, Any] = {"tenant": pending.tenant, "user_id": pending.user_id, "key": fact_key(fact), "text": fact}
    row |= {"topic": pending.topic, "session_id": pending.session_id, "model": model}
    if inserted(connection, memories, row | {"created_at": now, "confirmed_at": now}):
        return True
    same = update(memories).where(_is_of(pending.tenant, pending.user_id), memories.c.key == row["key"])
    connection.execute(same.values(confirmed_at=now))
    return False


def _is_of(tenant: str, user_id: str) -> ColumnElement[bool]:
    return (memories.c.tenant == tenant) & (memories.c.user_id == user_id)


def _is_pending(tenant: str, pending_id: str) -> ColumnElement[bool]:
    return (pending_memories.c.tenant == tenant) & (pending_memories.c.id == pending_id)


def _pending(row: Row[Any]) -> PendingMemory:
    turns = [Turn(**turn) for turn in json.loads(row.content or "[]")]
    names = ("id", "tenant", "user_id", "topic", "session_id", "exchanges", "through_number")
    return PendingMemory(turns=turns, **{name: row._mapping[name] for name in names})


def _memory(row: Row[Any]) -> Memory:
    times = {name: utc(row._mapping[name]) for name in ("created_at", "confirmed_at")}
    names = ("number", "text", "topic", "session_id", "model")
    return Memory(**{name: row._mapping[name] for name in names}, **times)  # type: ignore[arg-type]
