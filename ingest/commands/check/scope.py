"""Context of a check: the index, the roots in scope, and the options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ingest.index import Index
from ingest.pipeline.context import Run, Services
from ingest.runtime.retry import RetryPolicy
from ingest.sources import Root

T = TypeVar("T")

# Much longer than any listing lags behind, because the clocks of hosts may differ.
RECENT_WRITE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The index, the roots in scope, and the options of one check."""

    services: Services
    run: Run  # for repairs
    retry_policy: RetryPolicy
    named_roots: Sequence[Root]  # new sources are a finding only in these
    open_root: Callable[[str], Root]  # opens another root in the index; raises ConfigError
    is_only_named: bool = False  # check only the named roots
    thorough: bool = False  # read every byte of sources, texts and vectors
    is_shared: bool = False  # other machines write to the index, from their own roots
    has_written: bool = False  # this process just wrote to the index

    @property
    def index(self) -> Index:
        """Index to check."""
        return self.services.index

    @property
    def root_filter(self) -> list[str | None]:
        """Names of the roots to check; [None] for all."""
        return [root.name for root in self.named_roots] if self.is_only_named else [None]

    def includes_root(self, root: str) -> bool:
        """Return whether a root is in scope."""
        return not self.is_only_named or self.is_named(root)

    def includes_source(self, root: str, source: str) -> bool:
        """Return whether a source is in scope: a glob covers only the sources that it matches."""
        return not self.is_only_named or any(
            r.name == root and r.covers(source) for r in self.named_roots
        )

    def is_named(self, root: str) -> bool:
        """Return whether a root is one of the named ones."""
        return any(r.name == root for r in self.named_roots)

    def root(self, name: str) -> Root:
        """Open a root by its name in the index. Raises ConfigError if it cannot be reached."""
        return next((r for r in self.named_roots if r.name == name), None) or self.open_root(name)

    def may_lag(self, idle_seconds: float) -> bool:
        """Return whether listings may lag behind a write `idle_seconds` ago, or by this process."""
        return idle_seconds < RECENT_WRITE_SECONDS or self.has_written

    def until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        """Yield the items until the run is asked to stop."""
        for item in items:
            if self.run.stop.is_requested():
                return
            yield item
