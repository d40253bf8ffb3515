"""Keep a search index in sync with a set of PDFs.

    from ingest import ingest

    for outcome in ingest("docs/"):
        print(outcome.source, outcome.outcome, outcome.reason)

Public names are imported on first use, to keep `import ingest` and `ingest --help` fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.api import Outcomes, ingest, preview, search
    from ingest.config.settings import Settings
    from ingest.embed import Embedder
    from ingest.errors import (
        BusyError,
        ConfigError,
        DocumentError,
        IngestError,
        RoleError,
        ServiceError,
    )
    from ingest.models import (
        Code,
        DeletionsWithheld,
        Details,
        Hit,
        ListingIssue,
        Mode,
        Outcome,
        Source,
        SourceResult,
        Summary,
        Unread,
    )
    from ingest.models import Kept as Kept
    from ingest.models import Oddity as Oddity
    from ingest.models import Settled as Settled
    from ingest.models import __version__ as __version__
    from ingest.sources import Root

__all__ = [
    "BusyError",
    "Code",
    "ConfigError",
    "DeletionsWithheld",
    "Details",
    "DocumentError",
    "Embedder",
    "Hit",
    "IngestError",
    "ListingIssue",
    "Mode",
    "Outcome",
    "Outcomes",
    "RoleError",
    "Root",
    "ServiceError",
    "Settings",
    "Source",
    "SourceResult",
    "Summary",
    "Unread",
    "ingest",
    "preview",
    "search",
]

# Importable, but not in the documented API: names of version 0.1, and the version.
UNLISTED = frozenset({"Kept", "Oddity", "Settled", "__version__"})

MODULES = (
    "errors",
    "models",
    "config.settings",
    "embed",
    "sources",
    "api",
)  # the slowest import last


if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> object:
        """Import a public name from its module."""
        if name in __all__ or name in UNLISTED:
            for module in MODULES:
                found = vars(import_module(f"{__name__}.{module}")).get(name)
                if found is not None:
                    return globals().setdefault(name, found)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
