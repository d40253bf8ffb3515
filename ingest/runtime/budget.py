"""Budget: limits on the tokens and money that a run spends.

Every cost is reserved before it is incurred, so a limit is never exceeded. The first refusal is
final and drains the run: work that was reserved for finishes, the rest is left to the next run.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.errors import StoppedError
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.prices import PRICED_PAGES, PRICED_TOKENS, Rates


@dataclass(slots=True)
class Budget:
    """Limits on tokens and money. Thread-safe. A limit on money requires known prices."""

    stop: Cancellation = field(default_factory=Cancellation)
    max_tokens: float = math.inf
    max_usd: float = math.inf
    rates: Rates = field(default_factory=Rates)
    tokens: int = 0  # reserved so far
    pages: int = 0  # likewise, for OCR
    limit_reached: str = ""  # the option whose limit was reached, such as "--max-cost 5"
    # Second check, for a budget shared with other processes: (tokens, pages) -> the exceeded
    # limit, or "".
    reserve_shared: Callable[[int, int], str] = lambda _tokens, _pages: ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def try_reserve(self, tokens: int = 0, pages: int = 0) -> bool:
        """Reserve tokens and pages; return False, and drain the run, if a limit is reached."""
        with self.lock:
            reached = self.limit_reached or self.find_exceeded_limit(
                self.tokens + tokens, self.pages + pages
            )
            if not reached:
                self.tokens += tokens
                self.pages += pages
        # The second check may be slow, so it is made without the lock.
        if not reached and (reached := self.reserve_shared(tokens, pages)):
            with self.lock:
                self.tokens -= tokens
                self.pages -= pages
        if reached:
            self.limit_reached = self.limit_reached or reached
            self.stop.drain()
        return not reached

    def reserve(self, tokens: int = 0, pages: int = 0) -> None:
        """Reserve tokens and pages. Raises StoppedError if a limit is reached."""
        if not self.try_reserve(tokens, pages):
            raise StoppedError(f"{self.limit_reached} is spent; run again to continue")

    def count_tokens(self, tokens: int) -> None:
        """Count tokens without checking limits, since a plan continues beyond them."""
        with self.lock:
            self.tokens += tokens

    def release_pages(self, pages: int) -> None:
        """Give back pages that the service refused, which it does not bill."""
        with self.lock:
            self.pages -= pages
        self.reserve_shared(0, -pages)

    def find_exceeded_limit(self, tokens: int, pages: int) -> str:
        """Return the option whose limit these totals exceed; "" if none."""
        if tokens > self.max_tokens:
            return f"--max-tokens {self.max_tokens:,.0f}"
        if self.max_usd < math.inf and (self.rates.usd(tokens, pages) or 0.0) > self.max_usd:
            return f"--max-cost {self.max_usd:g}"
        return ""

    @property
    def usd(self) -> float | None:
        """The money reserved so far; None if a price is unknown."""
        return self.rates.usd(self.tokens, self.pages)

    def remaining_tokens(self) -> float:
        """Estimate the tokens that may still be reserved."""
        embedding, recognising = self.rates.embedding, self.rates.recognising
        tokens = self.max_tokens - self.tokens
        if self.max_usd < math.inf and embedding and embedding.usd:
            pages = self.pages * (recognising.usd if recognising else 0.0) / PRICED_PAGES
            tokens = min(
                tokens, (self.max_usd - pages) * PRICED_TOKENS / embedding.usd - self.tokens
            )
        return max(0.0, tokens)
