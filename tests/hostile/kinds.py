"""Files that mean harm, or came to it: each with a name, and what may become of it."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.models import Code

READ = ""  # stands among codes for a document that was read

# Whatever else it is, it has a name. Only a file that was read or is none of these is a surprise.
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
    }
)
NO_PDF = frozenset({Code.NOT_A_PDF})
LOCKED = frozenset({Code.ENCRYPTED, Code.DAMAGED})
# Nothing is to be had from it, and finding that out must cost neither time nor memory.
NOTHING = frozenset({READ, Code.NO_TEXT, Code.DAMAGED})


@dataclass(frozen=True, slots=True)
class Kind:
    """One hostile file."""

    name: str
    data: bytes
    says: str = ""  # what must be read from it; "" where nothing must
    ends: frozenset[str] = NAMED  # the codes that are acceptable where nothing must be read

    @property
    def acceptable(self) -> frozenset[str]:
        """The codes with which it may end."""
        return frozenset({READ, Code.PAGES_MISSING}) if self.says else self.ends
