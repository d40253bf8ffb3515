"""Map errors of SQLite and the file system to ours."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ingest.errors import ConfigError, ServiceError

NOT_AN_INDEX_MESSAGE = "holds a file index.db that ingest did not create: choose another --index"
ACCESS_DENIED_CODES = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)


def primary_code(error: Exception) -> int | None:
    """Return the primary result code of an SQLite error; None for any other error."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def damaged_error(reason: str) -> sqlite3.DatabaseError:
    """Return SQLite's error for a damaged file."""
    error = sqlite3.DatabaseError(reason)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


@contextmanager
def translate_errors(folder: Path) -> Iterator[None]:
    """Raise ServiceError or ConfigError in place of SQLite's and the system's errors."""
    where = f"the index in {folder}"
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        code = primary_code(error)
        number = getattr(error, "errno", None)
        reason = getattr(error, "strerror", None) or str(error)
        if code == sqlite3.SQLITE_FULL or number == errno.ENOSPC:
            raise ServiceError(f"{where}: the disk is full; free space and run again") from error
        if code == sqlite3.SQLITE_NOTADB:
            raise ConfigError(f"{folder} {NOT_AN_INDEX_MESSAGE}") from error
        if code == sqlite3.SQLITE_CORRUPT:
            raise ConfigError(f"{where} is damaged: delete it and run again") from error
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ServiceError(
                f"{where}: another program has locked it ({reason}); close that and run again"
            ) from error
        if code in ACCESS_DENIED_CODES or number is not None:
            raise ConfigError(
                f"{where} cannot be used ({reason}): check its permissions, "
                "or choose another --index"
            ) from error
        if code == sqlite3.SQLITE_ERROR:  # such as a missing table
            raise ConfigError(
                f"{where} cannot be used ({reason}): another program has changed it; delete it and "
                "run again"
            ) from error
        raise ServiceError(f"{where}: {reason}; run again") from error
