"""Pointer file that names the current index of a folder.

A folder starts with one file, index.db, and no pointer. A rebuild creates another index file and a
file `current` that names it. Replacing the pointer is the atomic step that switches readers over.
"""

from __future__ import annotations

import re
from pathlib import Path

from ingest.errors import ConfigError
from ingest.runtime.private_file import write_private_file

POINTER_FILE_NAME = "current"
FIRST_INDEX_FILE_NAME = "index.db"
INDEX_FILE_PATTERN = re.compile(r"index(-\d{8}t\d{6})?\.db")


def find_current_file(folder: Path) -> str:
    """Return the name of the current index file. Raises ConfigError if it does not exist."""
    name = FIRST_INDEX_FILE_NAME
    while True:
        previous, name = name, read_pointer(folder)
        # A rebuild may have switched and deleted the file since: then the pointer has changed too.
        if name == FIRST_INDEX_FILE_NAME or (folder / name).exists():
            return name
        if name == previous:
            raise ConfigError(
                f"the index in {folder} cannot be used ({POINTER_FILE_NAME} names {name}, which is "
                f"not there): delete {folder / POINTER_FILE_NAME} to return to "
                f"{FIRST_INDEX_FILE_NAME}, or run again"
            )


def read_pointer(folder: Path) -> str:
    """Read the pointer; without one, return the first file. Raises ConfigError if unreadable."""
    try:
        text = (folder / POINTER_FILE_NAME).read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return FIRST_INDEX_FILE_NAME
    except OSError as error:
        raise ConfigError(
            f"{folder / POINTER_FILE_NAME} cannot be read ({error.strerror}): check the "
            "permissions of the folder and its files"
        ) from None
    except UnicodeDecodeError:
        text = ""
    if not INDEX_FILE_PATTERN.fullmatch(text):
        raise ConfigError(f"{folder / POINTER_FILE_NAME} names no index file: delete it")
    return text


def write_pointer(folder: Path, name: str) -> None:
    """Make a file the current index, atomically."""
    write_private_file(folder / POINTER_FILE_NAME, f"{name}\n")


def list_index_files(folder: Path) -> list[str]:
    """List the index files of a folder, oldest first."""
    names = [
        path.name for path in folder.glob("index*.db") if INDEX_FILE_PATTERN.fullmatch(path.name)
    ]
    return sorted(names, key=lambda name: (name != FIRST_INDEX_FILE_NAME, name))
