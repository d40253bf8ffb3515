"""What embedding and recognising cost, and on which day that was so. Pure.

A price without its date is a rumour: it is shown with it wherever it is used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

PRICED_TOKENS, PRICED_PAGES = 1_000_000, 1000  # what a price is for: so many tokens, so many pages

LIST_PRICE_DATE = "2026-11-24"


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars."""

    model: str
    usd: float  # for TOKENS of a model that embeds, for PAGES of one that recognises
    dated: str  # when it was so, ISO 8601; "" for what costs nothing
    listed: bool = False  # what is listed for everybody, not what somebody set


FREE_PRICE = Price("", 0.0, "")

# List prices, pay as you go, of azure.microsoft.com/pricing/details/azure-openai and
# .../document-intelligence (standard tier, the first million pages of a month) as several public
# pages quoted them on the day LISTED. Regions, currencies and agreements differ.
LIST_PRICES = (
    Price("text-embedding-3-small", 0.02, LIST_PRICE_DATE, listed=True),
    Price("text-embedding-3-large", 0.13, LIST_PRICE_DATE, listed=True),
    Price("text-embedding-ada-002", 0.10, LIST_PRICE_DATE, listed=True),
    Price("read", 1.50, LIST_PRICE_DATE, listed=True),
    Price("layout", 10.00, LIST_PRICE_DATE, listed=True),
)


@dataclass(frozen=True, slots=True)
class Rates:
    """What a run pays by; None where a price is not known."""

    embedding: Price | None = FREE_PRICE
    recognising: Price | None = FREE_PRICE

    def usd(self, tokens: int, pages: int) -> float | None:
        """The price of so many tokens and pages; None if one that is needed is not known."""
        if (tokens and self.embedding is None) or (pages and self.recognising is None):
            return None
        token, page = (price.usd if price else 0.0 for price in (self.embedding, self.recognising))
        return tokens * token / PRICED_TOKENS + pages * page / PRICED_PAGES


def parse_prices(text: str) -> tuple[Price, ...]:
    """A parser of prices and their date: "2026-11-01,text-embedding-3-small=0.02,read=1.5"."""
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
    """The price of a model: one that was set, else the listed one; None if it is not known."""
    return next((each for each in (*configured, *LIST_PRICES) if each.model == model), None)
