"""Write lock of a folder: a locked file, which the system releases when its process ends."""

from __future__ import annotations

import math
from contextlib import suppress

from filelock import FileLock, Timeout

from ingest.errors import BusyError, ServiceError
from ingest.index.sqlite.database import Database, Tables

LOCK_FILE_NAME = "lock"
LOCK_TIMEOUT_SECONDS = 0.5  # `seconds_since_write` of another process takes the lock for less


class FolderLock(Tables):
    """Lock of the folder that a database is in. Only this machine can write to it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.folder = database.folder
        self.lock = FileLock(self.folder / LOCK_FILE_NAME)
        self.is_new = database.is_new
        self.read_after_write = True
        self.listing_lag = 0.0
        self.holder = ""
        self.locked_files: list[tuple[int, int]] = []

    def hold(self, _engine: str = "", _on_lost: object = None, /) -> None:
        with self.database.translate_errors():
            try:
                self.lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
            except Timeout:
                raise BusyError(
                    f"another run is writing to {self.folder}: wait for it to end, "
                    "or choose another --index"
                ) from None
            self.locked_files = self.identify_files()
            self.database.fence = self.raise_if_lost

    def identify_files(self) -> list[tuple[int, int]]:
        """Return device and inode of the lock file and of the database; none for a missing one."""
        found = []
        for path in (self.folder / LOCK_FILE_NAME, self.database.path):
            with suppress(OSError):
                status = path.stat() if path else None
                found += [(status.st_dev, status.st_ino)] if status else []
        return found

    def raise_if_lost(self) -> None:
        """Raise ServiceError if the files are other ones than were locked, or have no names."""
        if self.identify_files() != self.locked_files:
            raise ServiceError(
                f"the index in {self.folder} was deleted, moved or made anew during this run, or "
                "its lock was: run again"
            )

    def join(self, _: str, /) -> None:
        """Do nothing: no other machine can write to the folder."""

    def wait_until_listed(self) -> None:
        """Do nothing: reads show every write at once."""

    def stop_renewing(self) -> None:
        """Do nothing: no other machine can write to the folder."""

    def lease_stamp(self, _: str, /) -> str:
        return ""

    def seconds_since_write(self) -> float:
        if self.lock.is_locked or not (self.folder / LOCK_FILE_NAME).exists():
            return math.inf
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            return 0.0
        except OSError:
            return math.inf  # no permission to lock, so no way to know
        self.lock.release()
        return math.inf
