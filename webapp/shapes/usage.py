"""What is answered about usage."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from webapp.shapes.common import Cursor

Cost = Annotated[str | None, Field(description="A decimal number of `currency`; null without a price.")]


class UsageTotal(TypedDict):
    """Sums over model calls. The `cost` leaves out `unpriced_calls`."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    estimated_calls: int
    cost: Cost
    unpriced_calls: int


class UsageGroup(UsageTotal):
    """Sums over the model calls of a day, a user or a model, whichever was asked for."""

    day: NotRequired[str | None]
    user: NotRequired[str | None]
    model: NotRequired[str | None]


class Usage(TypedDict):
    """What model calls have taken, in groups and in all."""

    usage: list[UsageGroup]
    total: UsageTotal
    currency: str
    next_cursor: Cursor
