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
from ingest.runtime.cancellation import Stop
from ingest.runtime.prices import PAGES, TOKENS, Rates


@dataclass(slots=True)
class Budget:
    """Limits of tokens and of money, for any number of threads.

    A limit of money needs rates that are known.
    """

    stop: Stop = field(default_factory=Stop)
    most_tokens: float = math.inf
    most_usd: float = math.inf
    rates: Rates = field(default_factory=Rates)
    tokens: int = 0  # spoken for so far, as they are billed
    pages: int = 0  # the same, of pages that a service recognises
    reached: str = ""  # the limit that ended it, as a person sets it; "" for none
    # who must agree too, as others spend from the same: told of tokens and pages, it answers with
    # the limit that they are beyond, or ""
    agreed: Callable[[int, int], str] = lambda _tokens, _pages: ""
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def take(self, tokens: int = 0, pages: int = 0) -> bool:
        """Whether so much more may be spent. After a yes it counts as spent."""
        with self.lock:
            reached = self.reached or self.exceeded(self.tokens + tokens, self.pages + pages)
            if not reached:
                self.tokens += tokens
                self.pages += pages
        # Whoever must agree may take a while, in which no other thread is to wait for this one.
        if not reached and (reached := self.agreed(tokens, pages)):
            with self.lock:
                self.tokens -= tokens
                self.pages -= pages
        if reached:
            self.reached = self.reached or reached
            self.stop.enough()
        return not reached

    def must(self, tokens: int = 0, pages: int = 0) -> None:
        """The same, for who cannot go on without it. Raises StoppedError."""
        if not self.take(tokens, pages):
            raise StoppedError(f"{self.reached} is spent; run again to go on")

    def count(self, tokens: int) -> None:
        """So much would be spent, whether or not it may be: a plan looks beyond the limit."""
        with self.lock:
            self.tokens += tokens

    def give_back(self, pages: int) -> None:
        """So many pages were refused, which costs nothing."""
        with self.lock:
            self.pages -= pages
        self.agreed(0, -pages)

    def exceeded(self, tokens: int, pages: int) -> str:
        """The limit that so much in all is beyond, as a person sets it; "" if it is within both."""
        if tokens > self.most_tokens:
            return f"--max-tokens {self.most_tokens:,.0f}"
        if self.most_usd < math.inf and (self.rates.usd(tokens, pages) or 0.0) > self.most_usd:
            return f"--max-cost {self.most_usd:g}"
        return ""

    @property
    def usd(self) -> float | None:
        """What was spent so far; None if a price is not known."""
        return self.rates.usd(self.tokens, self.pages)

    def left(self) -> float:
        """The tokens that may still be spent, about."""
        embedding, recognising = self.rates.embedding, self.rates.recognising
        tokens = self.most_tokens - self.tokens
        if self.most_usd < math.inf and embedding and embedding.usd:
            pages = self.pages * (recognising.usd if recognising else 0.0) / PAGES
            tokens = min(tokens, (self.most_usd - pages) * TOKENS / embedding.usd - self.tokens)
        return max(0.0, tokens)
