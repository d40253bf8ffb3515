"""Prices of embedding, OCR and descriptions, with the date on which each was valid. Pure.

Prices change, so a price is always shown with its date.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

PRICED_TOKENS, PRICED_PAGES = 1_000_000, 1000  # units of a price

LIST_PRICE_DATE = "2026-11-24"


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price in US dollars."""

    model: str
    usd: float  # per PRICED_TOKENS of a model, sent to it; per PRICED_PAGES of an OCR model
    dated: str  # ISO 8601 date; "" for a free model
    listed: bool = False  # a list price, not one from the settings
    answer_usd: float = 0.0  # per PRICED_TOKENS of a model's answers


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
    Price("gpt-4o", 2.50, LIST_PRICE_DATE, listed=True, answer_usd=10.00),
    Price("gpt-4o-mini", 0.15, LIST_PRICE_DATE, listed=True, answer_usd=0.60),
    Price("gpt-4.1", 2.00, LIST_PRICE_DATE, listed=True, answer_usd=8.00),
    Price("gpt-4.1-mini", 0.40, LIST_PRICE_DATE, listed=True, answer_usd=1.60),
    Price("gpt-4.1-nano", 0.10, LIST_PRICE_DATE, listed=True, answer_usd=0.40),
    Price("gpt-5", 1.25, LIST_PRICE_DATE, listed=True, answer_usd=10.00),
    Price("gpt-5-mini", 0.25, LIST_PRICE_DATE, listed=True, answer_usd=2.00),
    Price("gpt-5-nano", 0.05, LIST_PRICE_DATE, listed=True, answer_usd=0.40),
    Price("o3", 2.00, LIST_PRICE_DATE, listed=True, answer_usd=8.00),
    Price("o4-mini", 1.10, LIST_PRICE_DATE, listed=True, answer_usd=4.40),
)


class ChatTokens(NamedTuple):
    """Tokens sent to a chat model, pictures included, and tokens of its answers."""

    sent: int = 0
    answered: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.sent + self.answered

    def plus(self, other: ChatTokens, sign: int = 1) -> ChatTokens:
        """Return the sum of both, or their difference."""
        return ChatTokens(self.sent + sign * other.sent, self.answered + sign * other.answered)


NO_CHAT = ChatTokens()


@dataclass(frozen=True, slots=True)
class Rates:
    """The prices that apply to a run; None for an unknown price."""

    embedding: Price | None = FREE_PRICE
    recognising: Price | None = FREE_PRICE
    describing: Price | None = FREE_PRICE

    def usd(self, tokens: int, pages: int, chat: ChatTokens = NO_CHAT) -> float | None:
        """Return the price of tokens, pages and chats; None if a price that it needs is unknown."""
        amounts = (
            (tokens, self.embedding),
            (pages, self.recognising),
            (chat.total, self.describing),
        )
        if any(amount and price is None for amount, price in amounts):
            return None
        token, page, sent = (price.usd if price else 0.0 for _, price in amounts)
        answer = self.describing.answer_usd if self.describing else 0.0
        chats = (chat.sent * sent + chat.answered * answer) / PRICED_TOKENS
        return tokens * token / PRICED_TOKENS + pages * page / PRICED_PAGES + chats


def parse_prices(text: str) -> tuple[Price, ...]:
    """Parse a date and prices, such as "2026-11-01,text-embedding-3-small=0.02,read=1.5".

    A model that answers has two: "gpt-4.1-mini=0.4/1.6".
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.rpartition("=") for part in parts if "=" in part]
    dates = [part for part in parts if "=" not in part]
    try:
        (dated,) = (date.fromisoformat(part).isoformat() for part in dates)
        found = tuple(
            Price(model.strip(), float(usd), dated, answer_usd=float(answer or 0))
            for model, _, both in pairs
            for usd, _, answer in [both.partition("/")]
        )
    except ValueError:
        found = ()
    amounts = [amount for price in found for amount in (price.usd, price.answer_usd)]
    are_valid = all(0 <= amount < float("inf") for amount in amounts)
    if not found or not are_valid or not all(price.model for price in found):
        raise ValueError("a date and prices in dollars, as in 2026-11-01,read=1.5")
    return found


def find_price(model: str, configured: Iterable[Price]) -> Price | None:
    """Return a model's configured price, otherwise its list price; None if it is unknown."""
    return next((each for each in (*configured, *LIST_PRICES) if each.model == model), None)
