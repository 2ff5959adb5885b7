"""The use of language models: a row for each call, summed by day, user or model."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, case, func, select

from jobs.domain.usage import PriceTable, Usage
from jobs.stores.database import Database, inserted
from jobs.stores.schema import usage as table

MAX_MODEL_CHARS = 200

By = Literal["day", "user", "model"]
_GROUPS = {"day": table.c.day, "user": table.c.user_id, "model": table.c.model}


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
        return inserted(connection, table, row | vars(usage) | {"cost": self.prices.cost(model, usage)})

    def totals(
        self, tenant: str, by: By, which: UsageFilter, *, after: date | str | None = None, limit: int = 20
    ) -> list[Total]:
        """Return sums by day (newest first), user or model (by name), from right after a group on."""
        group: ColumnElement[Any] = _GROUPS[by]
        query = select(group.label("group"), *self._sums()).where(*_conditions(tenant, which)).group_by(group)
        if after is not None:
            query = query.where(group < after if by == "day" else group > after)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(group.desc() if by == "day" else group).limit(limit))
            return [_total(row) for row in rows]

    def total(self, tenant: str, which: UsageFilter) -> Total:
        """Return the sums over all calls that are meant."""
        query = select(*self._sums()).where(*_conditions(tenant, which))
        with self._database.read() as connection:
            return _total(connection.execute(query).one())

    def _sums(self) -> list[ColumnElement[Any]]:
        # What was recorded in another currency cannot be added to this one's.
        cost = case((table.c.currency == self.prices.currency, table.c.cost))
        return [
            func.count().label("calls"),
            func.coalesce(func.sum(table.c.prompt_tokens), 0).label("prompt_tokens"),
            func.coalesce(func.sum(table.c.completion_tokens), 0).label("completion_tokens"),
            func.count(case((table.c.estimated, 1))).label("estimated"),
            func.sum(cost).label("cost"),
            func.count(cost).label("priced"),
        ]


def _conditions(tenant: str, which: UsageFilter) -> list[ColumnElement[bool]]:
    same = {"user_id": which.user_id, "model": which.model, "source": which.source}
    found = [table.c[name] == value for name, value in same.items() if value is not None]
    if which.since is not None:
        found.append(table.c.day >= which.since)
    if which.until is not None:
        found.append(table.c.day <= which.until)
    return [table.c.tenant == tenant, *found]


def _total(row: Row[Any]) -> Total:
    counts = {name: int(row._mapping[name]) for name in ("calls", "prompt_tokens", "completion_tokens", "estimated")}
    cost = None if row.cost is None else int(row.cost)
    return Total(row._mapping.get("group"), **counts, cost=cost, unpriced=counts["calls"] - int(row.priced))
