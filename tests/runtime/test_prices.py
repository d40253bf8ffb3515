"""Prices: from the settings or the list, with their date."""

from __future__ import annotations

import pytest

from ingest.config.settings import build_settings
from ingest.errors import ConfigError
from ingest.runtime.prices import FREE_PRICE, LIST_PRICES, Price, Rates, find_price, parse_prices


def test_my_prices_go_before_the_listed_ones() -> None:
    """What I pay by contract is what is counted; of what I did not set, the list price."""
    own = parse_prices("2026-11-01, text-embedding-3-small=0.015 ,read=1")
    assert own == (
        Price("text-embedding-3-small", 0.015, "2026-11-01"),
        Price("read", 1.0, "2026-11-01"),
    )
    assert find_price("text-embedding-3-small", own) == own[0]
    assert find_price("layout", own) in LIST_PRICES
    assert find_price("mine", own) is None


@pytest.mark.parametrize(
    "text",
    [
        "read=1.5",
        "2026-11-01",
        "2026-13-01,read=1.5",
        "2026-11-01,2026-11-02,read=1.5",
        "2026-11-01,read=dear",
        "2026-11-01,read=-1",
        "2026-11-01,read=nan",
        "2026-11-01,=1",
    ],
)
def test_a_price_without_its_date_is_refused(text: str) -> None:
    """Nor is anything else taken that cannot be meant; the message shows how it is written."""
    with pytest.raises(ConfigError, match="a date and prices in dollars, as in 2026-11-01,read=1"):
        build_settings({"INGEST_PRICES": text}, {})


def test_tokens_and_pages_have_prices_of_their_own() -> None:
    """A million tokens, a thousand pages; what is not known is not guessed, unless it is free."""
    small, read = (each for each in LIST_PRICES if each.model in {"text-embedding-3-small", "read"})
    assert Rates(small, read).usd(1_000_000, 1000) == pytest.approx(0.02 + 1.5)
    assert Rates(FREE_PRICE, FREE_PRICE).usd(10**9, 10**9) == 0
    assert Rates(None, read).usd(1, 1) is None
    assert Rates(None, read).usd(0, 2000) == pytest.approx(3.0)
