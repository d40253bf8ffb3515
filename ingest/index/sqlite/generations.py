"""The generations of an index in a folder: a file each, and a pointer to the one in use."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from filelock import FileLock

from ingest.errors import ConfigError
from ingest.index.generations import new_timestamp, newest_unfinished
from ingest.index.sqlite.connection import open_connection
from ingest.index.sqlite.errors import NOT_AN_INDEX_MESSAGE, translate_errors
from ingest.index.sqlite.index import APPLICATION_ID, SqliteIndex
from ingest.index.sqlite.pointer import (
    FIRST_INDEX_FILE_NAME,
    find_current_file,
    list_index_files,
    write_pointer,
)

BUSY_TIMEOUT_SECONDS = 5.0  # seconds, for others that read or write


class SqliteGenerations:
    """Generations in a folder, to be filled with vectors of a model. One lock is for all."""

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
        """An index that is held whenever another one of the folder is, and is then free for us."""
        index.lock = self.lock
        return index

    def vector_space(self, name: str) -> tuple[str, int]:
        """The model of its vectors, and their dimensions."""
        with (
            translate_errors(self.folder),
            closing(open_connection(self.folder / name, BUSY_TIMEOUT_SECONDS)) as db,
        ):
            if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise ConfigError(f"{self.folder} {NOT_AN_INDEX_MESSAGE}")
            model, dimensions = db.execute("SELECT model, dimensions FROM about").fetchone()
        return str(model), int(dimensions)

    def resume_or_create(self) -> tuple[str, SqliteIndex]:
        names, in_use = self.names(), self.current()
        begun = newest_unfinished(names, in_use)
        if begun and self.vector_space(begun) != (self.model, self.dimensions):
            self.drop(begun)
            begun = ""
        taken = [
            name.removeprefix("index-").removesuffix(".db")
            for name in names
            if name != FIRST_INDEX_FILE_NAME
        ]
        name = begun or (f"index-{new_timestamp(taken)}.db" if in_use else FIRST_INDEX_FILE_NAME)
        index = SqliteIndex(self.folder, self.model, self.dimensions, create=True, generation=name)
        return name, self.share_lock(index)

    def switch(self, name: str) -> None:
        with translate_errors(self.folder):
            write_pointer(self.folder, name)

    def drop(self, name: str) -> bool:
        with translate_errors(self.folder):
            for end in ("", "-wal", "-shm"):
                (self.folder / f"{name}{end}").unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Nothing is open but what was handed out."""
