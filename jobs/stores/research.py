"""Research that was asked for, with what came of it, packed."""

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import Row, delete, or_, select, update

from jobs.domain.research import Content
from jobs.stores.database import Database, inserted, utc
from jobs.stores.schema import research, work

OPEN, COMPLETED = "open", "completed"
_LISTED = [column for column in research.c if column.name != "content"]
_PURGED = 500  # rows in one transaction


class ResearchNotFound(Exception):
    """There is no such research."""

    code: ClassVar[str] = "research_not_found"

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


@dataclass(frozen=True)
class Research:
    """One piece of research. `status` is open, completed, failed or canceled; `content` is there once it has ended, and
    not in a list."""

    number: int
    id: str
    tenant: str
    user_id: str
    query: str
    title: str
    status: str
    model: str
    tokens: int
    created_at: datetime
    ended_at: datetime | None
    content: Content | None = None


class ResearchStore:
    """The table of research."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, research_id: str, query: str, model: str, user_id: str | None = None) -> None:
        """Keep what was asked for; what is there already stays as it is."""
        row: dict[str, Any] = {"id": research_id, "tenant": tenant, "user_id": user_id or "", "query": query}
        row |= {"model": model, "status": OPEN, "title": "", "tokens": 0, "created_at": datetime.now(UTC)}
        with self._database.write() as connection:
            inserted(connection, research, row)

    def entitle(self, tenant: str, research_id: str, title: str) -> None:
        """Record what it is called, as soon as that is planned."""
        mine = (research.c.tenant == tenant) & (research.c.id == research_id)
        with self._database.write() as connection:
            connection.execute(update(research).where(mine).values(title=title))

    def end(self, tenant: str, research_id: str, status: str, content: Content, *, title: str, tokens: int) -> bool:
        """Record what came of it. Returns False, and changes nothing, if it has completed before or was deleted."""
        values: dict[str, Any] = {"status": status, "title": title, "tokens": tokens, "ended_at": datetime.now(UTC)}
        packed = zlib.compress(content.model_dump_json().encode(), 9)
        mine = (research.c.tenant == tenant) & (research.c.id == research_id) & (research.c.status != COMPLETED)
        with self._database.write() as connection:
            changed = connection.execute(update(research).where(mine).values(**values, content=packed))
            return changed.rowcount > 0

    def get(self, tenant: str, research_id: str) -> Research:
        """Return a tenant's research, with its content.

        Raises:
            ResearchNotFound: it has none of that id.
        """
        mine = (research.c.tenant == tenant) & (research.c.id == research_id)
        with self._database.read() as connection:
            row = connection.execute(select(research).where(mine)).first()
        if row is None:
            raise ResearchNotFound
        return _research(row)

    def of_user(self, tenant: str, user_id: str, *, before: int | None = None, limit: int = 20) -> list[Research]:
        """Return a user's research with its contents, newest first, from right before a number on."""
        query = select(research).where(research.c.tenant == tenant, research.c.user_id == user_id)
        if before is not None:
            query = query.where(research.c.number < before)
        with self._database.read() as connection:
            return [_research(row) for row in connection.execute(query.order_by(research.c.number.desc()).limit(limit))]

    def list(
        self, tenant: str, *, before: int | None = None, limit: int = 20, text: str | None = None
    ) -> list[Research]:
        """Return a tenant's research without contents, newest first, from right before a number on; with a text, what
        holds that in its query or title, whatever its case."""
        query = select(*_LISTED).where(research.c.tenant == tenant)
        if before is not None:
            query = query.where(research.c.number < before)
        if text:
            held = (column.icontains(text, autoescape=True) for column in (research.c.query, research.c.title))
            query = query.where(or_(*held))
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(research.c.number.desc()).limit(limit))
            return [_research(row) for row in rows]

    def delete(self, tenant: str, research_id: str) -> None:
        """Forget a tenant's research."""
        mine = (research.c.tenant == tenant) & (research.c.id == research_id)
        with self._database.write() as connection:
            connection.execute(delete(research).where(mine))

    def purge(self, before: datetime) -> int:
        """Forget what ended before a time, and what was begun before it and has no accepted work any more."""
        lost = (research.c.created_at < before) & research.c.id.not_in(select(work.c.id))
        old = select(research.c.number).where((research.c.ended_at < before) | (research.c.ended_at.is_(None) & lost))
        total = 0
        while True:
            with self._database.write() as connection:
                some = connection.execute(old.limit(_PURGED)).scalars().all()
                connection.execute(delete(research).where(research.c.number.in_(some)))
            total += len(some)
            if len(some) < _PURGED:
                return total


def _research(row: Row[Any]) -> Research:
    values = dict(row._mapping)
    packed = values.pop("content", None)
    content = Content.model_validate_json(zlib.decompress(packed)) if packed else None
    times = {name: utc(values[name]) for name in ("created_at", "ended_at")}
    return Research(**{**values, **times}, content=content)
