"""Connections to SQLite files, including files on a read-only disk.

In WAL mode readers write too: they register in the -shm file. Where they cannot, SQLite reads the
file as `immutable`, which is safe as long as there is no -wal file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from ingest.errors import ConfigError
from ingest.index.sqlite.errors import ACCESS_DENIED_CODES, primary_code

MAX_SQL_VARIABLES = 500  # in one statement; SQLite before 3.32 takes 999


def open_connection(path: Path, timeout: float, *, any_thread: bool = False) -> sqlite3.Connection:
    """Connect to a file, read-only if the file or its folder is.

    `timeout` is the seconds to wait for locks of other connections. Raises sqlite3.Error, or
    ConfigError.
    """

    def connect(name: str) -> sqlite3.Connection:
        return sqlite3.connect(
            name,
            isolation_level=None,
            timeout=timeout,
            check_same_thread=not any_thread,
            uri=True,
        )

    uri = path.absolute().as_uri()
    db = connect(uri)
    try:
        db.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        db.close()
        wal = path.with_name(f"{path.name}-wal")
        if primary_code(error) not in ACCESS_DENIED_CODES or not path.exists():
            raise
        if wal.exists():
            raise ConfigError(
                f"the index in {path.parent} was left by a run that did not end, and is read-only: "
                "run ingest status once with permission to write there"
            ) from error
        return connect(f"{uri}?immutable=1")
    return db


def has_table(db: sqlite3.Connection, name: str) -> bool:
    """Return whether a database has a table."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return db.execute(query, (name,)).fetchone() is not None


def select_in(
    db: sqlite3.Connection, query: str, values: Iterable[str]
) -> Iterator[tuple[Any, ...]]:
    """Run a query with "IN ({})" over a list of values of any length."""
    rest = iter(values)
    while some := tuple(islice(rest, MAX_SQL_VARIABLES)):
        yield from db.execute(query.format(", ".join("?" * len(some))), some)
