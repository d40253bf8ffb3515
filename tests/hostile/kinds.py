"""Hostile files: each has a name and the outcomes that are acceptable for it."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.models import Code

READ = ""  # among codes: the document was read

# A problem with a name of its own. Only a file that ends otherwise is a surprise.
NAMED = frozenset(
    {
        READ,
        Code.NO_TEXT,
        Code.DAMAGED,
        Code.TOO_LARGE,
        Code.TOO_SLOW,
        Code.TOO_MUCH_MEMORY,
        Code.CRASHED,
        Code.PAGES_MISSING,
        Code.UNDECODED,
        Code.HIDDEN_TEXT,
        Code.DOUBTFUL,
    }
)
NO_PDF = frozenset({Code.NOT_A_PDF})
LOCKED = frozenset({Code.ENCRYPTED, Code.DAMAGED})
# There is nothing to read, and finding that out must cost neither time nor memory.
NOTHING = frozenset({READ, Code.NO_TEXT, Code.DAMAGED})


@dataclass(frozen=True, slots=True)
class Kind:
    """One hostile file."""

    name: str
    data: bytes
    says: str = ""  # text that must be read from it; "" for none
    ends: frozenset[str] = NAMED  # acceptable codes, if no text must be read

    @property
    def acceptable(self) -> frozenset[str]:
        """The codes with which it may end."""
        read = frozenset({READ, Code.PAGES_MISSING, Code.HIDDEN_TEXT})
        return read if self.says else self.ends
