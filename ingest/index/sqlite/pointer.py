"""Which file of a folder is the index in use.

A folder begins with one file, index.db. A rebuild makes another one beside it, and a file `current`
that names it: to replace that is the one step in which the index is another one.
"""

from __future__ import annotations

import re
from pathlib import Path

from ingest.errors import ConfigError

POINTER_FILE_NAME = "current"
FIRST_INDEX_FILE_NAME = "index.db"
INDEX_FILE_PATTERN = re.compile(r"index(-\d{8}t\d{6})?\.db")


def find_current_file(folder: Path) -> str:
    """The name of the file. Raises ConfigError if the pointer leads nowhere."""
    found = FIRST_INDEX_FILE_NAME
    while True:
        before, found = found, read_pointer(folder)
        # What was named a moment ago may be gone by now: then another one is named.
        if found == FIRST_INDEX_FILE_NAME or (folder / found).exists():
            return found
        if found == before:
            raise ConfigError(
                f"the index in {folder} cannot be used ({POINTER_FILE_NAME} names {found}, which is not "
                f"there): delete {folder / POINTER_FILE_NAME} to go back to {FIRST_INDEX_FILE_NAME}, or run again"
            )


def read_pointer(folder: Path) -> str:
    """What the pointer says, or what holds without one. Raises ConfigError if it cannot be read."""
    try:
        text = (folder / POINTER_FILE_NAME).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return FIRST_INDEX_FILE_NAME
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{folder / POINTER_FILE_NAME} cannot be read ({error}): delete it"
        ) from None
    if not INDEX_FILE_PATTERN.fullmatch(text):
        raise ConfigError(f"{folder / POINTER_FILE_NAME} names no index of ingest's: delete it")
    return text


def write_pointer(folder: Path, name: str) -> None:
    """Let this file be the index in use, from one moment to the next."""
    new = folder / f"{POINTER_FILE_NAME}.new"
    new.write_text(f"{name}\n", encoding="utf-8")
    new.replace(folder / POINTER_FILE_NAME)


def list_index_files(folder: Path) -> list[str]:
    """The names of all its indexes, the oldest first."""
    found = [
        path.name for path in folder.glob("index*.db") if INDEX_FILE_PATTERN.fullmatch(path.name)
    ]
    return sorted(found, key=lambda name: (name != FIRST_INDEX_FILE_NAME, name))
