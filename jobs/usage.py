"""Usage: what model calls used, summed by day, so that questions stay quick and old calls may go."""

from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from jobs.core.context import JobContext
from jobs.core.spec import job


class RollUpArgs(BaseModel):
    """Of all days that are over, of all tenants."""


class RollUpResult(BaseModel):
    """How many calls were added to the sums of their days, and how many old ones forgotten."""

    rolled_up: int = 0
    forgotten: int = 0


@job("usage.roll_up", queue="low", timeout=600, every=3600)
def roll_up(ctx: JobContext, args: RollUpArgs) -> RollUpResult:
    """Sum up the calls of days that are over, those that came late too, and forget the oldest."""
    usage, config, result = ctx.services.usage, ctx.services.config, RollUpResult()
    today = datetime.now(UTC).date()
    while rolled_up := usage.roll_up(today):
        result.rolled_up += rolled_up
        ctx.checkpoint()
    # A job may be started again while it is kept: its call must be known as recorded until then.
    days = max(config.usage_days, config.max_task_age_hours // 24 + 1)
    while forgotten := usage.forget_calls(today - timedelta(days=days)):
        result.forgotten += forgotten
        ctx.checkpoint()
    return result
