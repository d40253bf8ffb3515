"""Generations of an index in a folder: one file each, and a pointer to the current one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from filelock import FileLock

from ingest.errors import ConfigError
from ingest.index.generations import new_timestamp, newest_unfinished
from ingest.index.sqlite.connection import open_connection
from ingest.index.sqlite.database import APPLICATION_ID, read_vector_space
from ingest.index.sqlite.errors import NOT_AN_INDEX_MESSAGE, translate_errors
from ingest.index.sqlite.index import SqliteIndex
from ingest.index.sqlite.pointer import (
    FIRST_INDEX_FILE_NAME,
    find_current_file,
    list_index_files,
    write_pointer,
)

READ_TIMEOUT_SECONDS = 5.0  # for locks of other connections


class SqliteGenerations:
    """Generations in a folder. New ones take vectors of the given model; one lock covers all."""

    def __init__(self, folder: Path, model: str, dimensions: int) -> None:
        self.folder = folder
        self.model = model
        self.dimensions = dimensions
        self.lock = FileLock(folder / "lock")

    def names(self) -> list[str]:
        return list_index_files(self.folder)

    def current(self) -> str:
        name = find_current_file(self.folder)
        return name if name in self.names() else ""

    def open(self, name: str) -> SqliteIndex:
        model, dimensions = self.vector_space(name)
        return self.share_lock(
            SqliteIndex(self.folder, model, dimensions, create=False, generation=name)
        )

    def share_lock(self, index: SqliteIndex) -> SqliteIndex:
        """Give an index this object's lock, so that holding one generation holds them all."""
        index.lock = self.lock
        return index

    def vector_space(self, name: str) -> tuple[str, int]:
        """Read the model that fills a generation, and the dimensions of its vectors."""
        with (
            translate_errors(self.folder),
            closing(open_connection(self.folder / name, READ_TIMEOUT_SECONDS)) as db,
        ):
            if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise ConfigError(f"{self.folder} {NOT_AN_INDEX_MESSAGE}")
            return read_vector_space(db)

    def resume_or_create(self) -> tuple[str, SqliteIndex]:
        names, current = self.names(), self.current()
        unfinished = newest_unfinished(names, current)
        if unfinished and self.vector_space(unfinished) != (self.model, self.dimensions):
            self.drop(unfinished)
            unfinished = ""
        timestamps = [
            name.removeprefix("index-").removesuffix(".db")
            for name in names
            if name != FIRST_INDEX_FILE_NAME
        ]
        new = f"index-{new_timestamp(timestamps)}.db" if current else FIRST_INDEX_FILE_NAME
        name = unfinished or new
        index = SqliteIndex(self.folder, self.model, self.dimensions, create=True, generation=name)
        return name, self.share_lock(index)

    def switch(self, name: str, fence: Callable[[], None] = lambda: None) -> None:
        fence()
        with translate_errors(self.folder):
            write_pointer(self.folder, name)

    def drop(self, name: str) -> bool:
        with translate_errors(self.folder):
            for suffix in ("", "-wal", "-shm"):
                (self.folder / f"{name}{suffix}").unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Do nothing: callers close the indexes that they opened."""
