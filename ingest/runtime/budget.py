"""What a run may spend: spoken for before it is spent, so that it is never more.

Once it has to say no it says no for good, and asks the run to end: what is under way was spoken for
and is settled, the rest is the next run's.
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
    """Limits of tokens and of money, for any number of threads.

    A limit of money needs rates that are known.
    """

    stop: Cancellation = field(default_factory=Cancellation)
    max_tokens: float = math.inf
    max_usd: float = math.inf
    rates: Rates = field(default_factory=Rates)
    tokens: int = 0  # spoken for so far, as they are billed
    pages: int = 0  # the same, of pages that a service recognises
    limit_reached: str = ""  # the limit that ended it, as a person sets it; "" for none
    # who must agree too, as others spend from the same: told of tokens and pages, it answers with
    # the limit that they are beyond, or ""
    reserve_shared: Callable[[int, int], str] = lambda _tokens, _pages: ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def try_reserve(self, tokens: int = 0, pages: int = 0) -> bool:
        """Whether so much more may be spent. After a yes it counts as spent."""
        with self.lock:
            reached = self.limit_reached or self.find_exceeded_limit(
                self.tokens + tokens, self.pages + pages
            )
            if not reached:
                self.tokens += tokens
                self.pages += pages
        # Whoever must agree may take a while, in which no other thread is to wait for this one.
        if not reached and (reached := self.reserve_shared(tokens, pages)):
            with self.lock:
                self.tokens -= tokens
                self.pages -= pages
        if reached:
            self.limit_reached = self.limit_reached or reached
            self.stop.drain()
        return not reached

    def reserve(self, tokens: int = 0, pages: int = 0) -> None:
        """The same, for who cannot go on without it. Raises StoppedError."""
        if not self.try_reserve(tokens, pages):
            raise StoppedError(f"{self.limit_reached} is spent; run again to go on")

    def count_tokens(self, tokens: int) -> None:
        """So much would be spent, whether or not it may be: a plan looks beyond the limit."""
        with self.lock:
            self.tokens += tokens

    def release_pages(self, pages: int) -> None:
        """So many pages were refused, which costs nothing."""
        with self.lock:
            self.pages -= pages
        self.reserve_shared(0, -pages)

    def find_exceeded_limit(self, tokens: int, pages: int) -> str:
        """The limit that so much in all is beyond, as a person sets it; "" if it is within both."""
        if tokens > self.max_tokens:
            return f"--max-tokens {self.max_tokens:,.0f}"
        if self.max_usd < math.inf and (self.rates.usd(tokens, pages) or 0.0) > self.max_usd:
            return f"--max-cost {self.max_usd:g}"
        return ""

    @property
    def usd(self) -> float | None:
        """What was spent so far; None if a price is not known."""
        return self.rates.usd(self.tokens, self.pages)

    def remaining_tokens(self) -> float:
        """The tokens that may still be spent, about."""
        embedding, recognising = self.rates.embedding, self.rates.recognising
        tokens = self.max_tokens - self.tokens
        if self.max_usd < math.inf and embedding and embedding.usd:
            pages = self.pages * (recognising.usd if recognising else 0.0) / PRICED_PAGES
            tokens = min(
                tokens, (self.max_usd - pages) * PRICED_TOKENS / embedding.usd - self.tokens
            )
        return max(0.0, tokens)
