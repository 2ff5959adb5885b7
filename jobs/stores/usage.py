"""The use of language models: a row for each call, summed by day, user or model.

Rows of days that are over are added to daily sums, in the transaction that marks them. So each call counts once, as a
row or in a sum, whatever runs twice or dies in between; and old rows may go.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    case,
    delete,
    func,
    literal,
    select,
    union_all,
    update,
)

from jobs.domain.usage import PriceTable, Usage
from jobs.stores.database import Database, insert_into, inserted
from jobs.stores.schema import is_live, usage_days
from jobs.stores.schema import usage as table

MAX_MODEL_CHARS = 200
ROUND = 1000  # rows in one transaction

By = Literal["day", "user", "model"]
_GROUPS = {"day": "day", "user": "user_id", "model": "model"}
_OF_A_SUM = [column.name for column in usage_days.primary_key]
_COUNTS = ("calls", "prompt_tokens", "completion_tokens", "estimated", "priced")


@dataclass(frozen=True)
class UsageFilter:
    """Which calls are meant; both days are among them. What is None does not matter."""

    user_id: str | None = None
    model: str | None = None
    source: str | None = None
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True)
class Total:
    """Sums over calls. `group` is their day, user or model, None for all.

    `cost` is in `COST_UNITS` of the price table's currency, and leaves out the `unpriced` calls; None if all are.
    """

    group: date | str | None
    calls: int
    prompt_tokens: int
    completion_tokens: int
    estimated: int
    cost: int | None
    unpriced: int


class UsageStore:
    """The table of usage. A call costs what its model did when it was recorded."""

    def __init__(self, database: Database, prices: PriceTable) -> None:
        self._database = database
        self.prices = prices

    def record(
        self,
        connection: Connection | None,
        tenant: str,
        user_id: str | None,
        model: str,
        usage: Usage,
        source: str,
        key: str,
    ) -> bool:
        """Record a model call once under its key, which no attempt changes; False if it was there already.

        With a `connection` it is part of the caller's transaction, else one of its own. `source` names the capability.
        """
        if connection is None:
            with self._database.write() as own:
                return self.record(own, tenant, user_id, model, usage, source, key)
        now = datetime.now(UTC)
        name = model.replace("\0", "")[:MAX_MODEL_CHARS]  # an endpoint may say anything
        row: dict[str, Any] = {"tenant": tenant, "key": key, "user_id": user_id or "", "model": name, "source": source}
        row |= {"day": now.date(), "created_at": now, "currency": self.prices.currency}
        row |= {"cost": self.prices.cost(model, usage), "rolled_up": False}
        return inserted(connection, table, row | vars(usage))

    def totals(
        self, tenant: str, by: By, which: UsageFilter, *, after: date | str | None = None, limit: int = 20
    ) -> list[Total]:
        """Return sums by day (newest first), user or model (by name), from right after a group on."""
        calls = _calls(tenant, which)
        group = calls.c[_GROUPS[by]]
        query = select(group.label("group"), *self._sums(calls)).group_by(group)
        if after is not None:
            query = query.where(group < after if by == "day" else group > after)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(group.desc() if by == "day" else group).limit(limit))
            return [_total(row) for row in rows]

    def total(self, tenant: str, which: UsageFilter) -> Total:
        """Return the sums over all calls that are meant."""
        with self._database.read() as connection:
            return _total(connection.execute(select(*self._sums(_calls(tenant, which)))).one())

    def of_user(self, tenant: str, user_id: str) -> list[dict[str, Any]]:
        """Return what a user's calls came to, by day, model, capability and currency, oldest first."""
        calls = _calls(tenant, UsageFilter(user_id=user_id))
        groups = [calls.c[name] for name in ("day", "model", "source", "currency")]
        sums = [func.sum(calls.c[name]).label(name) for name in (*_COUNTS, "cost")]
        with self._database.read() as connection:
            rows = connection.execute(select(*groups, *sums).group_by(*groups).order_by(*groups)).mappings()
            return [dict(row) for row in rows]

    def roll_up(self, before: date) -> int:
        """Add calls of days before one to the sums of their days, some in one transaction; return how many it was."""
        some = select(table.c.number).where(is_live, table.c.day < before).order_by(table.c.number).limit(ROUND)
        locked = some.with_for_update(skip_locked=True).scalar_subquery()
        with self._database.write() as connection:
            taken = update(table).where(table.c.number.in_(locked)).values(rolled_up=True).returning(table.c.number)
            numbers = connection.execute(taken).scalars().all()
            if numbers:
                _add(connection, select(*_as_sums()).where(table.c.number.in_(numbers)))
        return len(numbers)

    def forget_calls(self, before: date) -> int:
        """Delete calls of days before one, some at once; their sums stay. Returns how many it was."""
        some = select(table.c.number).where(table.c.rolled_up, table.c.day < before).limit(ROUND).scalar_subquery()
        with self._database.write() as connection:
            return connection.execute(delete(table).where(table.c.number.in_(some))).rowcount

    def anonymize(self, tenant: str, user_id: str) -> None:
        """Make a user's calls those of no user: what they cost stays in the sums."""
        with self._database.write() as connection:
            mine = (table.c.tenant == tenant) & (table.c.user_id == user_id)
            connection.execute(update(table).where(mine).values(user_id=""))  # first: waits for a roll-up of them
            of_user = (usage_days.c.tenant == tenant) & (usage_days.c.user_id == user_id)
            columns = [literal("").label(c.name) if c.name == "user_id" else c for c in usage_days.c]
            _add(connection, select(*columns).where(of_user))
            connection.execute(delete(usage_days).where(of_user))

    def _sums(self, calls: FromClause) -> list[ColumnElement[Any]]:
        # What was recorded in another currency cannot be added to this one's.
        here = calls.c.currency == self.prices.currency
        sums = {name: func.coalesce(func.sum(calls.c[name]), 0).label(name) for name in _COUNTS[:-1]}
        priced = func.coalesce(func.sum(case((here, calls.c.priced), else_=0)), 0).label("priced")
        return [*sums.values(), func.sum(case((here, calls.c.cost))).label("cost"), priced]


def _calls(tenant: str, which: UsageFilter) -> FromClause:
    """Return the calls that are meant: the sums of days, and the rows that are in none yet, in one snapshot."""
    live = select(*_as_sums()).where(is_live, *_conditions(table, tenant, which))
    summed = select(*usage_days.c).where(*_conditions(usage_days, tenant, which))
    return union_all(live, summed).subquery()


def _as_sums() -> list[ColumnElement[Any]]:
    """Return the columns of `usage_days` as a row of `usage` has them."""
    priced = table.c.cost.is_not(None)
    own: dict[str, ColumnElement[Any]] = {"calls": literal(1), "priced": case((priced, 1), else_=0)}
    own["estimated"] = case((table.c.estimated, 1), else_=0)
    names = [column.name for column in usage_days.c]
    return [(own[name] if name in own else table.c[name]).label(name) for name in names]


def _add(connection: Connection, calls: Select[Any]) -> None:
    """Add calls, in the columns of `usage_days`, to the sums of their days."""
    each = calls.subquery()
    sums = [func.sum(each.c[name]).label(name) for name in (*_COUNTS, "cost")]
    grouped = select(*(each.c[name] for name in _OF_A_SUM), *sums).where(literal(True))
    grouped = grouped.group_by(*(each.c[name] for name in _OF_A_SUM))
    new = insert_into(connection, usage_days).from_select([*_OF_A_SUM, *_COUNTS, "cost"], grouped)
    old, added = usage_days.c, new.excluded
    more: dict[str, Any] = {name: old[name] + added[name] for name in _COUNTS}
    more["cost"] = func.coalesce(old.cost + added.cost, old.cost, added.cost)
    connection.execute(new.on_conflict_do_update(index_elements=_OF_A_SUM, set_=more))


def _conditions(calls: Table, tenant: str, which: UsageFilter) -> list[ColumnElement[bool]]:
    same = {"user_id": which.user_id, "model": which.model, "source": which.source}
    found = [calls.c[name] == value for name, value in same.items() if value is not None]
    if which.since is not None:
        found.append(calls.c.day >= which.since)
    if which.until is not None:
        found.append(calls.c.day <= which.until)
    return [calls.c.tenant == tenant, *found]


def _total(row: Row[Any]) -> Total:
    counts = {name: int(row._mapping[name]) for name in ("calls", "prompt_tokens", "completion_tokens", "estimated")}
    cost = None if row.cost is None else int(row.cost)
    return Total(row._mapping.get("group"), **counts, cost=cost, unpriced=counts["calls"] - int(row.priced))
