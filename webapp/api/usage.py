"""Usage: the tokens that model calls have taken, and what they cost."""

from datetime import date
from functools import partial
from typing import Annotated, Any

from flask import g
from flask_openapi3 import APIBlueprint, Tag
from pydantic import Field

from jobs.domain.usage import cost_text
from jobs.stores.usage import By, Total, UsageFilter
from webapp.api.jobs import ListQuery
from webapp.extension import offstage
from webapp.requests import Storable, without_nul
from webapp.responses import MAX_PAGE, Answer, decode_cursor, encode_cursor
from webapp.shapes import usage as shapes

bp = APIBlueprint("usage", __name__, abp_tags=[Tag(name="usage", description="Tokens and cost of model calls")])


Name = Annotated[str, Field(max_length=200), Storable]


class UsageQuery(ListQuery):
    """How to sum, and which calls: of a user, a model, a capability, of days in UTC (both included)."""

    by: By = "day"
    user_id: Name | None = None
    model: Name | None = None
    source: Name | None = None
    since: date | None = None
    until: date | None = None
    cursor: str | None = Field(default=None, max_length=2000)


@bp.get("/usage")
def get_usage(query: UsageQuery) -> Answer[shapes.Usage]:
    """Return tokens and cost of model calls, by day, user or model, with the sum of them all."""
    store, limit = offstage().services.usage, min(query.limit, MAX_PAGE)
    which = UsageFilter(query.user_id, query.model, query.source, query.since, query.until)
    after = decode_cursor(query.cursor, partial(_group, query.by))
    page = store.totals(g.tenant, query.by, which, after=after, limit=limit)
    cursor = encode_cursor(f"{query.by}:{page[-1].group}") if len(page) == limit else None
    usage: list[Any] = [{query.by: _shown(each.group), **_total_json(each)} for each in page]
    total = _total_json(store.total(g.tenant, which))
    return Answer(shapes.Usage(usage=usage, total=total, currency=store.prices.currency, next_cursor=cursor))


def _group(by: By, place: str) -> date | str:
    """Return the group of a cursor. Raises ValueError if it is of another kind."""
    kind, _, group = place.partition(":")
    if kind != by:
        raise ValueError(place)
    return date.fromisoformat(group) if by == "day" else without_nul(group)


def _shown(group: date | str | None) -> str | None:
    """Return a group as clients see it: calls of no user are those of null."""
    return group.isoformat() if isinstance(group, date) else group or None


def _total_json(total: Total) -> shapes.UsageTotal:
    return {
        "calls": total.calls,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "total_tokens": total.prompt_tokens + total.completion_tokens,
        "estimated_calls": total.estimated,
        "cost": cost_text(total.cost),
        "unpriced_calls": total.unpriced,
    }
