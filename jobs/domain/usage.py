"""What calls of language models use, and what that costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

COST_UNITS = 10**10  # of one unit of the currency: prices have four places, and are for a million tokens
MAX_TOKENS = 10**9  # of one call: what is above is no count
_MILLION = 10**6


@dataclass(frozen=True)
class Usage:
    """The tokens of one model call: the provider's own figures, or `estimated` ones.

    Raises:
        ValueError: a figure is no count of tokens.
    """

    prompt_tokens: int
    completion_tokens: int
    estimated: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.prompt_tokens <= MAX_TOKENS and 0 <= self.completion_tokens <= MAX_TOKENS):
            raise ValueError(f"a call has 0 to {MAX_TOKENS} tokens on each side")


@dataclass(frozen=True)
class Price:
    """What a model costs for a million tokens read and a million written; four decimal places at most."""

    input: Decimal
    output: Decimal


class PriceTable:
    """Prices by the model's name, all in one currency."""

    def __init__(self, prices: Mapping[str, Price], currency: str) -> None:
        self._prices = dict(prices)
        self.currency = currency

    def cost(self, model: str, usage: Usage) -> int | None:
        """Return what a call costs, exactly, in `COST_UNITS` of the currency; None for a model without a price."""
        price = self._prices.get(model)
        if price is None:
            return None
        per_million = price.input * usage.prompt_tokens + price.output * usage.completion_tokens
        return int(per_million * (COST_UNITS // _MILLION))


def cost_text(units: int | None) -> str | None:
    """Return a cost as a decimal number of the currency, exact and without an exponent."""
    if units is None:
        return None
    whole, part = divmod(units, COST_UNITS)
    places = f"{part:010d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{places}"
