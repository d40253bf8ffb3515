"""Keeps a search index in step with a set of PDFs.

    from ingest import ingest

    for outcome in ingest("docs/"):
        print(outcome.source, outcome.outcome, outcome.reason)

What stands here is imported when it is first used: `import ingest` and `ingest --help` must cost
next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.embed import Embedder
    from ingest.errors import (
        BusyError,
        ConfigError,
        DocumentError,
        IngestError,
        RoleError,
        ServiceError,
    )
    from ingest.library import Outcomes, ingest, preview, search
    from ingest.model import (
        Code,
        Details,
        Hit,
        Kept,
        Mode,
        Oddity,
        Outcome,
        Settled,
        Source,
        Summary,
        Unread,
    )
    from ingest.settings import Settings
    from ingest.sources import Root

__version__ = "0.1.0"

__all__ = [
    "BusyError",
    "Code",
    "ConfigError",
    "Details",
    "DocumentError",
    "Embedder",
    "Hit",
    "IngestError",
    "Kept",
    "Mode",
    "Oddity",
    "Outcome",
    "Outcomes",
    "RoleError",
    "Root",
    "ServiceError",
    "Settings",
    "Settled",
    "Source",
    "Summary",
    "Unread",
    "ingest",
    "preview",
    "search",
]

MODULES = ("errors", "model", "settings", "embed", "sources", "library")  # the heavy one last


if not TYPE_CHECKING:  # or any name would do for a type checker

    def __getattr__(name: str) -> object:
        """What is public, from where it is."""
        if name in __all__:
            for module in MODULES:
                found = vars(import_module(f"{__name__}.{module}")).get(name)
                if found is not None:
                    return globals().setdefault(name, found)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
