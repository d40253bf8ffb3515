"""Prices of embedding and OCR, with the date on which each was valid. Pure.

Prices change, so a price is always shown with its date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

PRICED_TOKENS, PRICED_PAGES = 1_000_000, 1000  # units of a price

LIST_PRICE_DATE = "2026-11-24"


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price in US dollars."""

    model: str
    usd: float  # per PRICED_TOKENS of an embedding model, per PRICED_PAGES of an OCR model
    dated: str  # ISO 8601 date; "" for a free model
    listed: bool = False  # a list price, not one from the settings


FREE_PRICE = Price("", 0.0, "")

# List prices, pay as you go, of azure.microsoft.com/pricing/details/azure-openai and
# .../document-intelligence (standard tier, the first million pages of a month) as several public
# pages quoted them on LIST_PRICE_DATE. Regions, currencies and agreements differ.
LIST_PRICES = (
    Price("text-embedding-3-small", 0.02, LIST_PRICE_DATE, listed=True),
    Price("text-embedding-3-large", 0.13, LIST_PRICE_DATE, listed=True),
    Price("text-embedding-ada-002", 0.10, LIST_PRICE_DATE, listed=True),
    Price("read", 1.50, LIST_PRICE_DATE, listed=True),
    Price("layout", 10.00, LIST_PRICE_DATE, listed=True),
)


@dataclass(frozen=True, slots=True)
class Rates:
    """The prices that apply to a run; None for an unknown price."""

    embedding: Price | None = FREE_PRICE
    recognising: Price | None = FREE_PRICE

    def usd(self, tokens: int, pages: int) -> float | None:
        """Return the total price of tokens and pages; None if a price that it needs is unknown."""
        if (tokens and self.embedding is None) or (pages and self.recognising is None):
            return None
        token, page = (price.usd if price else 0.0 for price in (self.embedding, self.recognising))
        return tokens * token / PRICED_TOKENS + pages * page / PRICED_PAGES


def parse_prices(text: str) -> tuple[Price, ...]:
    """Parse a date and prices, such as "2026-11-01,text-embedding-3-small=0.02,read=1.5"."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.rpartition("=") for part in parts if "=" in part]
    dates = [part for part in parts if "=" not in part]
    try:
        (dated,) = (date.fromisoformat(part).isoformat() for part in dates)
        found = tuple(Price(model.strip(), float(usd), dated) for model, _, usd in pairs)
    except ValueError:
        found = ()
    if not found or not all(price.model and 0 <= price.usd < float("inf") for price in found):
        raise ValueError("a date and prices in dollars, as in 2026-11-01,read=1.5")
    return found


def find_price(model: str, configured: Iterable[Price]) -> Price | None:
    """Return a model's configured price, otherwise its list price; None if it is unknown."""
    return next((each for each in (*configured, *LIST_PRICES) if each.model == model), None)
