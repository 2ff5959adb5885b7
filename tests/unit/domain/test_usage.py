"""Tokens and what they cost."""

from decimal import Decimal

import pytest

from jobs.domain.usage import MAX_TOKENS, Price, PriceTable, Usage, cost_text

PRICES = PriceTable({"small": Price(Decimal("0.15"), Decimal("0.6")), "free": Price(Decimal(0), Decimal(0))}, "USD")


@pytest.mark.parametrize(
    ("model", "prompt", "completion", "cost"),
    [
        ("small", 1_000_000, 1_000_000, "0.75"),
        ("small", 1, 0, "0.00000015"),
        ("small", 3, 1, "0.00000105"),
        ("free", 10, 10, "0.00"),
        ("unheard-of", 10, 10, None),
    ],
)
def test_a_call_costs_what_its_model_does_to_the_last_place(
    model: str, prompt: int, completion: int, cost: str | None
) -> None:
    """A model without a price has no cost, which is not 0; one that is free costs 0."""
    assert cost_text(PRICES.cost(model, Usage(prompt, completion))) == cost


def test_a_price_of_four_places_is_exact() -> None:
    """A single token of the finest price is a whole number of units."""
    table = PriceTable({"fine": Price(Decimal("0.0001"), Decimal("0.0375"))}, "USD")
    assert table.cost("fine", Usage(1, 0)) == 1
    assert table.cost("fine", Usage(0, 1)) == 375


@pytest.mark.parametrize("tokens", [-1, MAX_TOKENS + 1])
def test_nonsense_is_no_count_of_tokens(tokens: int) -> None:
    with pytest.raises(ValueError, match="tokens"):
        Usage(tokens, 0)
    with pytest.raises(ValueError, match="tokens"):
        Usage(0, tokens)
