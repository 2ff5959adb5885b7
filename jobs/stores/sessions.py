"""Sessions: how far each has grown, what was made of it for the user's memory, and its analysis."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from sqlalchemy import ColumnElement, Connection, Row, case, func, or_, select, update

from jobs.domain.analysis import Analysis
from jobs.stores.database import Database, insert_into, utc
from jobs.stores.memories import PendingMemory, add_pending
from jobs.stores.schema import has_grown, sessions

CLAIM_SECONDS = 600  # after which a session whose analysis began and did not end is anybody's
_KEY = ("tenant", "user_id", "session_id")


@dataclass(frozen=True)
class LogRules:
    """What follows from conversations: at `soft_limit` of a user's the user is told, 0 never; every `memorize_every`
    exchanges a session is summed up, 0 never; it is analyzed or not."""

    soft_limit: int = 0
    memorize_every: int = 0
    analyze: bool = True


@dataclass(frozen=True)
class Session:
    """A conversation that goes on: so many exchanges, up to `last_number`, and its analysis, once there is one."""

    tenant: str
    user_id: str
    session_id: str
    topic: str | None
    exchanges: int
    last_number: int
    analysis: Analysis | None
    analysis_model: str | None
    analyzed_at: datetime | None

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from others."""
        return self.tenant, self.user_id, self.session_id


class SessionStore:
    """The table of sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def tenants_grown(self) -> list[str]:
        """Return the tenants with sessions that have grown since their analysis, and that nobody is analyzing."""
        query = select(sessions.c.tenant).where(has_grown, sessions.c.claimed_until < int(time.time())).distinct()
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def claim(self, tenant: str, job_id: str, limit: int) -> list[Session]:
        """Return sessions that have grown since their analysis, for this job alone; those that it had claimed before,
        too."""
        now = int(time.time())
        free = or_(sessions.c.claimed_until < now, sessions.c.claimed_by == job_id)
        some = select(sessions.c.last_number).where(has_grown, sessions.c.tenant == tenant, free)
        some = some.order_by(sessions.c.last_number).limit(limit).with_for_update(skip_locked=True)
        with self._database.write() as connection:
            numbers = connection.execute(some).scalars().all()
            mine = update(sessions).where(sessions.c.tenant == tenant, sessions.c.last_number.in_(numbers))
            taken = mine.values(claimed_by=job_id, claimed_until=now + CLAIM_SECONDS).returning(sessions)
            return [_session(row) for row in connection.execute(taken)]

    def keep_analyses(self, found: Iterable[tuple[Session, Analysis, str]]) -> None:
        """Keep analyses of claimed sessions as these were then, each with its model. A newer one is never replaced."""
        in_order = sorted(found, key=lambda each: each[0].key)  # that of `grow`: neither waits for the other
        with self._database.write() as connection:
            for session, analysis, model in in_order:
                older = update(sessions).where(_is(session), sessions.c.analyzed_number < session.last_number)
                values = {"analyzed_number": session.last_number, "analysis": analysis.model_dump_json()}
                made = {"analysis_model": model, "analyzed_at": datetime.now(UTC)}
                connection.execute(older.values(**values, **made, claimed_by=None, claimed_until=0))

    def list(
        self, tenant: str, user_id: str, *, before: int | None = None, limit: int = 20, session_id: str | None = None
    ) -> list[Session]:
        """Return a user's sessions, those that grew last first, from right before a number on; or one of them."""
        query = select(sessions).where(sessions.c.tenant == tenant, sessions.c.user_id == user_id)
        if before is not None:
            query = query.where(sessions.c.last_number < before)
        if session_id is not None:
            query = query.where(sessions.c.session_id == session_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(sessions.c.last_number.desc()).limit(limit))
            return [_session(row) for row in rows]


def grow(connection: Connection, tenant: str, logged: Iterable[Row[Any]], rules: LogRules) -> list[str]:
    """Add logged conversations, each with number, user_id, session_id and topic, to their sessions, in the caller's
    transaction; return the ids under which sessions wait to be summed up."""
    new = insert_into(connection, sessions)
    old, added = sessions.c, new.excluded
    more = {
        "topic": func.coalesce(added.topic, old.topic),
        "exchanges": old.exchanges + added.exchanges,
        "last_number": _larger(added.last_number, old.last_number),
        "analyzed_number": _larger(added.analyzed_number, old.analyzed_number),
    }
    grown = new.on_conflict_do_update(index_elements=_KEY, set_=more).returning(sessions)
    rows = connection.execute(grown, _by_session(tenant, logged, analyze=rules.analyze)).all()
    every = rules.memorize_every
    due = [row for row in rows if every and row.exchanges - row.memorized >= every]
    return [_leave_to_memory(connection, row) for row in due]


def _by_session(tenant: str, logged: Iterable[Row[Any]], *, analyze: bool) -> Sequence[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in logged:
        own = {"tenant": tenant, "user_id": row.user_id, "session_id": row.session_id, "topic": None, "exchanges": 0}
        own |= {"last_number": 0, "memorized": 0, "analyzed_number": 0, "claimed_until": 0}
        session = found.setdefault((row.user_id, row.session_id), own)
        session["exchanges"] += 1
        session["last_number"] = max(session["last_number"], row.number)
        session["topic"] = row.topic or session["topic"]
        session["analyzed_number"] = 0 if analyze else session["last_number"]
    return [found[key] for key in sorted(found)]  # in one order everywhere: no two transactions wait for each other


def _leave_to_memory(connection: Connection, row: Row[Any]) -> str:
    name = f"{row.tenant}/{row.user_id}/{row.session_id}/{row.last_number}"
    pending = PendingMemory(
        id=uuid5(NAMESPACE_OID, name).hex,
        tenant=row.tenant,
        user_id=row.user_id,
        topic=row.topic,
        session_id=row.session_id,
        exchanges=row.exchanges - row.memorized,
        through_number=row.last_number,
    )
    add_pending(connection, pending)
    handed = update(sessions).where(_is(_session(row))).values(memorized=row.exchanges)
    connection.execute(handed)
    return pending.id


def _larger(one: ColumnElement[Any], other: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((one > other, one), else_=other)


def _is(session: Session) -> ColumnElement[bool]:
    tenant, user_id, session_id = session.key
    key = sessions.c
    return (key.tenant == tenant) & (key.user_id == user_id) & (key.session_id == session_id)


def _session(row: Row[Any]) -> Session:
    names = ("tenant", "user_id", "session_id", "topic", "exchanges", "last_number", "analysis_model")
    analysis = Analysis.model_validate_json(row.analysis) if row.analysis else None
    known = {name: row._mapping[name] for name in names}
    return Session(**known, analysis=analysis, analyzed_at=utc(row.analyzed_at))
