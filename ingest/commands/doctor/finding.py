"""Context and findings of the doctor. A check returns a description, or raises the remedy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from ingest.azure.roles import Role
from ingest.azure.token_hosts import COGNITIVE_SERVICES_SCOPE, SEARCH_SCOPE, STORAGE_SCOPE
from ingest.config.connections import Connections
from ingest.config.embedding import embedder_locations, is_model_local, is_self_hosted
from ingest.config.figures import describes_figures, figures_endpoint, figures_key
from ingest.config.index import index_location
from ingest.config.location import Location
from ingest.config.settings import Settings
from ingest.errors import ConfigError, IngestError

ROLE_CHECK = "role"
PROBE_RETRY_SECONDS = 15.0  # limit on retries of one request: a person is waiting


class Verdict(StrEnum):
    """Result of a check."""

    RIGHT = "right"
    WRONG = "wrong"
    UNKNOWN = "not checked"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """One check: a description, or the problem and its remedy, or why it was not checked."""

    check: str
    verdict: Verdict
    text: str


@dataclass(frozen=True, slots=True)
class DoctorContext:
    """Settings, connections and roots to check."""

    settings: Settings
    connections: Connections
    roots: Sequence[str]

    @property
    def embedding_endpoints(self) -> tuple[str, ...]:
        """URLs of the embedding services; () for a local model."""
        return () if is_model_local(self.settings) else embedder_locations(self.settings)

    @property
    def search_endpoint(self) -> str:
        """URL of the search service; "" for a local index."""
        where = index_location(self.settings)
        return str(where) if where.is_service else ""

    @property
    def ocr_endpoint(self) -> str:
        """URL of the OCR service; "" for none or local OCR."""
        return self.settings.ocr if self.settings.ocr.startswith("https://") else ""

    @property
    def figures_url(self) -> str:
        """URL of the service that describes figures; "" for none, or one that is not set."""
        if not describes_figures(self.settings):
            return ""
        with suppress(ConfigError):
            return figures_endpoint(self.settings).url
        return ""

    @property
    def figures_need_token(self) -> bool:
        """Return whether that service is called with a token, and not with a key or without."""
        if not self.figures_url:
            return False
        with suppress(ConfigError):
            return not isinstance(figures_key(self.settings, self.connections), str)
        return True

    @property
    def has_services(self) -> bool:
        """Return whether any service is called."""
        urls = (self.search_endpoint, self.ocr_endpoint, self.figures_url)
        return bool(self.embedding_endpoints or any(urls))

    @property
    def named_roots(self) -> Sequence[str]:
        """Roots of the command line, or else the root of the settings."""
        return self.roots or ([self.settings.root] if self.settings.root else [])

    @property
    def token_scopes(self) -> list[str]:
        """Scopes of the tokens that a run needs."""
        chosen = self.settings
        keyed = chosen.openai_key or is_self_hosted(chosen.embedder, chosen.trusted_hosts)
        needed = {
            COGNITIVE_SERVICES_SCOPE: (self.embedding_endpoints and not keyed)
            or self.ocr_endpoint
            or self.figures_need_token,
            SEARCH_SCOPE: self.search_endpoint and not chosen.search_key,
            STORAGE_SCOPE: not all(
                Location.parse(place).is_local for place in (*self.named_roots, chosen.figures_to)
            ),
        }
        return [scope for scope, is_needed in needed.items() if is_needed]


def role_held(role: Role) -> DoctorFinding:
    """Return the finding that this identity holds a role."""
    return DoctorFinding(ROLE_CHECK, Verdict.RIGHT, f"{role.name}: held")


def role_unknown(role: Role, reason: str) -> DoctorFinding:
    """Return the finding that a role was not checked, and why."""
    return DoctorFinding(ROLE_CHECK, Verdict.UNKNOWN, f"{role.name} ({reason})")


def run_probe(check: str, call: Callable[[], str], skip_reason: str = "") -> DoctorFinding:
    """Run a check; returns its description, its error, or `skip_reason` if that is not ""."""
    if skip_reason:
        return DoctorFinding(check, Verdict.UNKNOWN, skip_reason)
    try:
        return DoctorFinding(check, Verdict.RIGHT, call())
    except IngestError as error:
        return DoctorFinding(check, Verdict.WRONG, str(error))
