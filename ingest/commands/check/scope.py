"""What is checked, and with what."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from ingest.index import Index
from ingest.pipeline.context import Run, Services
from ingest.runtime.retry import RetryPolicy
from ingest.sources import Root

T = TypeVar("T")

RECENT_WRITE_SECONDS = (
    300.0  # seconds; clocks of hosts may differ, so much more than any listing lags behind
)


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What is checked, and with what."""

    services: Services
    run: Run  # by which it is repaired
    retry_policy: RetryPolicy
    named_roots: Sequence[Root]  # what is new in them is a finding too
    open_root: Callable[[str], Root]  # another root that the index knows; raises ConfigError
    is_only_named: bool = False  # no root is checked but those that are named
    thorough: bool = False  # every byte is read, of sources and of vectors
    has_written: bool = False  # we wrote to the index ourselves, just now

    @property
    def index(self) -> Index:
        """What is checked."""
        return self.services.index

    @property
    def root_filter(self) -> list[str | None]:
        """The roots that are checked; None for all."""
        return [root.name for root in self.named_roots] if self.is_only_named else [None]

    def includes_root(self, root: str) -> bool:
        """Whether a root is checked."""
        return not self.is_only_named or self.is_named(root)

    def includes_source(self, root: str, source: str) -> bool:
        """Whether a source is checked: of a glob, only what it means."""
        return not self.is_only_named or any(
            r.name == root and r.covers(source) for r in self.named_roots
        )

    def is_named(self, root: str) -> bool:
        """Whether a root is named, so that what is new in it counts."""
        return any(r.name == root for r in self.named_roots)

    def root(self, name: str) -> Root:
        """A root by the name that the index has for it. Raises ConfigError if it is not there."""
        return next((r for r in self.named_roots if r.name == name), None) or self.open_root(name)

    def may_lag(self, idle_seconds: float) -> bool:
        """Whether listings may lag behind what was written `quiet` seconds ago, or by ourselves."""
        return idle_seconds < RECENT_WRITE_SECONDS or self.has_written

    def until_stopped(self, items: Iterable[T]) -> Iterator[T]:
        """The items, until somebody asks to stop."""
        for item in items:
            if self.run.stop.is_requested():
                return
            yield item
