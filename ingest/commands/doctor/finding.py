"""What is examined, and what is found. A check is a function that answers, or raises the remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingest.azure.credential import COGNITIVE_SERVICES_SCOPE, SEARCH_SCOPE, STORAGE_SCOPE
from ingest.config.connections import Connections
from ingest.config.embedding import embedder_locations
from ingest.config.index import index_location
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.errors import IngestError


class Verdict(StrEnum):
    """How a check came out."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One check: what was found, or what is wrong and the remedy, or why it was not checked."""

    check: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class DoctorContext:
    """What is examined."""

    settings: Settings
    connections: Connections
    roots: Sequence[str]

    @property
    def embedding_endpoints(self) -> tuple[str, ...]:
        """The embedding services; none where the model is local."""
        where = embedder_locations(self.settings)
        return () if where == ("local",) else where

    @property
    def search_endpoint(self) -> str:
        """The search service; "" where the index is local."""
        where = index_location(self.settings)
        return str(where) if where.is_service else ""

    @property
    def ocr_endpoint(self) -> str:
        """The service that recognises scanned pages; "" where none does."""
        return self.settings.ocr if Location.parse(self.settings.ocr).is_service else ""

    @property
    def named_roots(self) -> Sequence[str]:
        """The roots that a run would have."""
        return self.roots or ([self.settings.root] if self.settings.root else [])

    @property
    def token_scopes(self) -> list[str]:
        """The tokens that a run asks for."""
        chosen = self.settings
        keyed = chosen.openai_key or chosen.embedder.endswith("/v1")
        needed = {
            COGNITIVE_SERVICES_SCOPE: (self.embedding_endpoints and not keyed) or self.ocr_endpoint,
            SEARCH_SCOPE: self.search_endpoint and not chosen.search_key,
            STORAGE_SCOPE: not all(Location.parse(root).is_local for root in self.named_roots),
        }
        return [scope for scope, is_needed in needed.items() if is_needed]


def run_probe(check: str, call: Callable[[], str], skip_reason: str = "") -> DoctorFinding:
    """What a check comes to: its answer, its error, or why it was left out."""
    if skip_reason:
        return DoctorFinding(check, Verdict.UNKNOWN, skip_reason)
    try:
        return DoctorFinding(check, Verdict.RIGHT, call())
    except IngestError as error:
        return DoctorFinding(check, Verdict.WRONG, str(error))
