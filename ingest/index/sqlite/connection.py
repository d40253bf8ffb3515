"""The file of an embedded index, opened; also where nothing may be written, as on a read-only disk.

Readers of a write-ahead log write too: they note beside it where they are. Where they cannot, the
file can be read if it is told to be one that nobody changes, which is so when there is no log.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from ingest.errors import ConfigError
from ingest.index.sqlite.errors import ACCESS_DENIED_CODES, primary_code


def open_connection(path: Path, timeout: float, *, any_thread: bool = False) -> sqlite3.Connection:
    """A connection to a file, which may write if the file and its folder allow it.

    It waits `timeout` seconds for those of others. Raises sqlite3.Error, or ConfigError.
    """

    def connect(name: str) -> sqlite3.Connection:
        return sqlite3.connect(
            name,
            isolation_level=None,
            timeout=timeout,
            check_same_thread=not any_thread,
            uri=True,
        )

    plain = path.absolute().as_uri()
    db = connect(plain)
    try:
        db.execute("PRAGMA schema_version")
    except sqlite3.Error as error:
        db.close()
        log = path.with_name(f"{path.name}-wal")
        if primary_code(error) not in ACCESS_DENIED_CODES or not path.exists():
            raise
        if log.exists():
            raise ConfigError(
                f"the index in {path.parent} was left by a run that did not end, and nothing may "
                "be written there: let ingest status mend it where that is allowed"
            ) from error
        return connect(f"{plain}?immutable=1")
    return db
