"""Budget: limits on the tokens and money that a run spends.

Every cost is reserved before it is incurred, so a limit is never exceeded; the unbilled part of a
reservation is released. The first refusal is final and drains the run: work that is paid for
finishes, the rest is left to the next run.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.errors import StoppedError
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.prices import NO_CHAT, PRICED_TOKENS, ChatTokens, Rates

RESERVE_POLL_SECONDS = 0.1  # between attempts to reserve


@dataclass(slots=True)
class Budget:
    """Limits on tokens and money. Thread-safe. A limit on money requires known prices."""

    stop: Cancellation = field(default_factory=Cancellation)
    max_tokens: float = math.inf
    max_usd: float = math.inf
    rates: Rates = field(default_factory=Rates)
    tokens: int = 0  # billed or reserved
    pages: int = 0  # billed or reserved, for OCR
    open_tokens: int = 0  # reserved for requests under way; part of `tokens`
    open_pages: int = 0
    chat: ChatTokens = NO_CHAT  # of figure descriptions; not part of `tokens`
    open_chat: ChatTokens = NO_CHAT
    lost_tokens: int = 0  # of requests whose answer was lost, which may be billed; part of `tokens`
    limit_reached: str = ""  # the option whose limit was reached, such as "--max-cost 5"
    # Second account, of a budget shared with other processes. `reserve_shared(tokens, pages)`
    # returns the exceeded limit, or ""; `settle_shared` has the parameters of `settle`. It has no
    # chats, as workers describe no figures.
    reserve_shared: Callable[[int, int], str] = lambda _tokens, _pages: ""
    settle_shared: Callable[[int, int, int, int, int], object] = lambda *_: None
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reserve(self, tokens: int = 0, pages: int = 0, chat: ChatTokens = NO_CHAT) -> None:
        """Reserve tokens, pages and a chat; end it with `settle` or `settle_chat`.

        Waits while requests under way may release enough. Raises StoppedError, and drains the
        run, if a limit is reached.
        """
        while (reached := self.try_reserve(tokens, pages, chat)) is None:
            if self.stop.is_closing():
                raise StoppedError("stopped while waiting for the budget; run again to continue")
            time.sleep(RESERVE_POLL_SECONDS)
        # The second account may be slow, so it is asked without the lock.
        if not reached and not chat.total and (reached := self.reserve_shared(tokens, pages)):
            with self.lock:
                self.close_reservation(tokens, 0, pages, 0)
        if reached:
            self.limit_reached = self.limit_reached or reached
            self.stop.drain()
            raise StoppedError(f"{self.limit_reached} is spent; run again to continue")

    def try_reserve(self, tokens: int, pages: int, chat: ChatTokens = NO_CHAT) -> str | None:
        """Reserve if possible and return ""; else the limit reached; None: ask again later."""
        with self.lock:
            if self.limit_reached:
                return self.limit_reached
            wanted = self.chat.plus(chat)
            reached = self.find_exceeded_limit(self.tokens + tokens, self.pages + pages, wanted)
            if not reached:
                self.tokens += tokens
                self.pages += pages
                self.open_tokens += tokens
                self.open_pages += pages
                self.chat, self.open_chat = wanted, self.open_chat.plus(chat)
                return ""
            settled = self.tokens - self.open_tokens, self.pages - self.open_pages
            wanted = wanted.plus(self.open_chat, -1)
            if not self.find_exceeded_limit(settled[0] + tokens, settled[1] + pages, wanted):
                return None
            self.limit_reached = reached
            return reached

    def settle(
        self, tokens: int = 0, billed: int = 0, pages: int = 0, billed_pages: int = 0, lost: int = 0
    ) -> None:
        """End a reservation of tokens and pages, and release its unbilled part.

        `lost`: tokens counted as billed because the answer was lost.
        """
        with self.lock:
            self.close_reservation(tokens, billed, pages, billed_pages)
            self.lost_tokens += lost
        self.settle_shared(tokens, billed, pages, billed_pages, lost)

    def settle_chat(self, chat: ChatTokens, billed: ChatTokens) -> None:
        """End the reservation of a chat, and release its unbilled part."""
        with self.lock:
            self.chat = self.chat.plus(billed).plus(chat, -1)
            self.open_chat = self.open_chat.plus(chat, -1)

    def close_reservation(self, tokens: int, billed: int, pages: int, billed_pages: int) -> None:
        """Replace the reserved tokens by the billed ones. Needs the lock."""
        self.tokens += billed - tokens
        self.pages += billed_pages - pages
        # A reservation at an earlier coordinator is not open here.
        self.open_tokens = max(0, self.open_tokens - tokens)
        self.open_pages = max(0, self.open_pages - pages)

    def is_closed(self) -> bool:
        """Return whether no further billed request may be sent."""
        return bool(self.limit_reached) or self.stop.is_closing()

    def count_tokens(self, tokens: int) -> None:
        """Count tokens without checking limits, since a plan continues beyond them."""
        with self.lock:
            self.tokens += tokens

    def find_exceeded_limit(self, tokens: int, pages: int, chat: ChatTokens = NO_CHAT) -> str:
        """Return the option whose limit these totals exceed; "" if none."""
        if tokens + chat.total > self.max_tokens:
            return f"--max-tokens {self.max_tokens:,.0f}"
        if self.max_usd < math.inf and (self.rates.usd(tokens, pages, chat) or 0.0) > self.max_usd:
            return f"--max-cost {self.max_usd:g}"
        return ""

    @property
    def usd(self) -> float | None:
        """The money spent so far; None if a price is unknown."""
        return self.rates.usd(self.tokens, self.pages, self.chat)

    def remaining_tokens(self) -> float:
        """Estimate the tokens left to spend. Those reserved by requests under way count as left."""
        embedding = self.rates.embedding
        settled = self.tokens - self.open_tokens
        tokens = self.max_tokens - settled - self.chat.total
        if self.max_usd < math.inf and embedding and embedding.usd:
            others = self.rates.usd(0, self.pages, self.chat) or 0.0
            tokens = min(tokens, (self.max_usd - others) * PRICED_TOKENS / embedding.usd - settled)
        return max(0.0, tokens)
