"""Which file of a folder is the index in use.

A folder begins with one file, index.db. A rebuild makes another one beside it, and a file `current`
that names it: to replace that is the one step in which the index is another one.
"""

from __future__ import annotations

import re
from pathlib import Path

from ingest.errors import ConfigError

POINTER = "current"
FIRST = "index.db"
NAME = re.compile(r"index(-\d{8}t\d{6})?\.db")


def current(folder: Path) -> str:
    """The name of the file. Raises ConfigError if the pointer leads nowhere."""
    found = FIRST
    while True:
        before, found = found, pointed(folder)
        # What was named a moment ago may be gone by now: then another one is named.
        if found == FIRST or (folder / found).exists():
            return found
        if found == before:
            raise ConfigError(
                f"the index in {folder} cannot be used ({POINTER} names {found}, which is not "
                f"there): delete {folder / POINTER} to go back to {FIRST}, or run again"
            )


def pointed(folder: Path) -> str:
    """What the pointer says, or what holds without one. Raises ConfigError if it cannot be read."""
    try:
        text = (folder / POINTER).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return FIRST
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder / POINTER} cannot be read ({error}): delete it") from None
    if not NAME.fullmatch(text):
        raise ConfigError(f"{folder / POINTER} names no index of ingest's: delete it")
    return text


def point(folder: Path, name: str) -> None:
    """Let this file be the index in use, from one moment to the next."""
    new = folder / f"{POINTER}.new"
    new.write_text(f"{name}\n", encoding="utf-8")
    new.replace(folder / POINTER)


def files(folder: Path) -> list[str]:
    """The names of all its indexes, the oldest first."""
    found = [path.name for path in folder.glob("index*.db") if NAME.fullmatch(path.name)]
    return sorted(found, key=lambda name: (name != FIRST, name))
