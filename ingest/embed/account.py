"""Account of an embedding model: its requests are reserved in the budget, and settled as billed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from ingest.embed import Embedder
from ingest.models import Vectors
from ingest.runtime.budget import Budget


@dataclass(slots=True)
class Bill:
    """Bill of one request: zero, until more is billed, or likely to be."""

    tokens: int = 0
    lost: int = 0  # part of `tokens` that may not be billed, as the answer was lost


@dataclass(frozen=True, slots=True)
class Account:
    """A budget, with the function that counts the tokens billed for texts."""

    budget: Budget = field(default_factory=Budget)
    count_tokens: Callable[[Sequence[str]], Sequence[int]] = lambda _: ()

    @contextmanager
    def reserve(self, tokens: int) -> Iterator[Bill]:
        """Reserve the tokens of a request, and settle the bill at the end of the `with`.

        Raises StoppedError if a limit is reached.
        """
        self.budget.reserve(tokens)
        bill = Bill()
        try:
            yield bill
        finally:
            self.budget.settle(tokens, bill.tokens, lost=bill.lost)


def add_account(embedder: Embedder, account: Account) -> Embedder:
    """Wrap an embedder that has no account of its own: each call is reserved, and billed whole."""

    def embed(texts: Sequence[str]) -> Vectors:
        tokens = sum(account.count_tokens(texts))
        with account.reserve(tokens) as bill:
            bill.tokens = tokens
            return embedder.embed(texts)

    return replace(embedder, embed=embed)
