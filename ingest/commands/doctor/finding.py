"""What is examined, and what is found. A check is a function that answers, or raises the remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingest.azure.credential import COGNITIVE_SERVICES, SEARCH, STORAGE
from ingest.config.connections import Connections
from ingest.config.factory import embedder_places, index_place
from ingest.config.settings import Settings
from ingest.errors import IngestError


class Verdict(StrEnum):
    """How a check came out."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, or what is wrong and the remedy, or why it was not checked."""

    check: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class Patient:
    """What is examined."""

    settings: Settings
    to: Connections
    roots: Sequence[str]

    @property
    def embeds_at(self) -> tuple[str, ...]:
        """The embedding services; none where the model is local."""
        where = embedder_places(self.settings)
        return () if where == ("local",) else where

    @property
    def searches_at(self) -> str:
        """The search service; "" where the index is local."""
        where = index_place(self.settings)
        return where if where.startswith("https://") else ""

    @property
    def recognises_at(self) -> str:
        """The service that recognises scanned pages; "" where none does."""
        return self.settings.ocr if self.settings.ocr.startswith("https://") else ""

    @property
    def named(self) -> Sequence[str]:
        """The roots that a run would have."""
        return self.roots or ([self.settings.root] if self.settings.root else [])

    @property
    def scopes(self) -> list[str]:
        """The tokens that a run asks for."""
        chosen = self.settings
        keyed = chosen.openai_key or chosen.embedder.endswith("/v1")
        needed = {
            COGNITIVE_SERVICES: (self.embeds_at and not keyed) or self.recognises_at,
            SEARCH: self.searches_at and not chosen.search_key,
            STORAGE: any("://" in root for root in self.named),
        }
        return [scope for scope, is_needed in needed.items() if is_needed]


def tried(check: str, call: Callable[[], str], unless: str = "") -> Finding:
    """What a check comes to: its answer, its error, or why it was left out."""
    if unless:
        return Finding(check, Verdict.UNKNOWN, unless)
    try:
        return Finding(check, Verdict.RIGHT, call())
    except IngestError as error:
        return Finding(check, Verdict.WRONG, str(error))
