"""The generations of an index in a folder: a file each, and a pointer to the one in use."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from filelock import FileLock

from ingest.errors import ConfigError
from ingest.index.generations import newest, stamp
from ingest.index.sqlite.connection import opened
from ingest.index.sqlite.errors import NOT_OURS, translated
from ingest.index.sqlite.index import APPLICATION, LocalIndex
from ingest.index.sqlite.pointer import FIRST, current, files, point

WAIT = 5.0  # seconds, for others that read or write


class Folder:
    """Generations in a folder, to be filled with vectors of a model. One lock is for all."""

    def __init__(self, folder: Path, model: str, dimensions: int) -> None:
        self.folder = folder
        self.model = model
        self.dimensions = dimensions
        self.lock = FileLock(folder / "lock")

    def names(self) -> list[str]:
        return files(self.folder)

    def current(self) -> str:
        name = current(self.folder)
        return name if name in self.names() else ""

    def opened(self, name: str) -> LocalIndex:
        model, dimensions = self.space(name)
        return self.sharing(
            LocalIndex(self.folder, model, dimensions, create=False, generation=name)
        )

    def sharing(self, index: LocalIndex) -> LocalIndex:
        """An index that is held whenever another one of the folder is, and is then free for us."""
        index.lock = self.lock
        return index

    def space(self, name: str) -> tuple[str, int]:
        """The model of its vectors, and their dimensions."""
        with translated(self.folder), closing(opened(self.folder / name, WAIT)) as db:
            if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
                raise ConfigError(f"{self.folder} {NOT_OURS}")
            model, dimensions = db.execute("SELECT model, dimensions FROM about").fetchone()
        return str(model), int(dimensions)

    def next(self) -> tuple[str, LocalIndex]:
        names, in_use = self.names(), self.current()
        begun = newest(names, in_use)
        if begun and self.space(begun) != (self.model, self.dimensions):
            self.drop(begun)
            begun = ""
        taken = [name.removeprefix("index-").removesuffix(".db") for name in names if name != FIRST]
        name = begun or (f"index-{stamp(taken)}.db" if in_use else FIRST)
        index = LocalIndex(self.folder, self.model, self.dimensions, create=True, generation=name)
        return name, self.sharing(index)

    def switch(self, name: str) -> None:
        with translated(self.folder):
            point(self.folder, name)

    def drop(self, name: str) -> bool:
        with translated(self.folder):
            for end in ("", "-wal", "-shm"):
                (self.folder / f"{name}{end}").unlink(missing_ok=True)
        return True

    def close(self) -> None:
        """Nothing is open but what was handed out."""
