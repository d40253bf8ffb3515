"""The local index: one SQLite file in a folder, with chunks and all the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ingest.errors import BusyError
from ingest.index import Flaw
from ingest.index.composite import CompositeIndex
from ingest.index.sqlite.chunks import SqliteChunks
from ingest.index.sqlite.database import CHUNK_SCHEMA, STATE_SCHEMA, Database
from ingest.index.sqlite.errors import translate_errors
from ingest.index.sqlite.integrity import repair_flaws, scan_for_flaws
from ingest.index.sqlite.pointer import find_current_file
from ingest.index.sqlite.state import SqliteState

# For the chunks of one source, and the languages of all. Not in the schema: the first run creates
# them in an older index.
CREATE_INDEXES_SQL = (
    "CREATE INDEX IF NOT EXISTS chunks_of_source ON chunks (root, source, id)",
    "CREATE INDEX IF NOT EXISTS chunks_of_language ON chunks (language)",
)


class SqliteIndex(CompositeIndex):
    """Index in a folder: the current generation, or the one whose file is named."""

    def __init__(
        self, folder: Path, model: str, dimensions: int, *, create: bool, generation: str = ""
    ) -> None:
        self.has_explicit_generation = bool(generation)
        self.can_write = create
        with translate_errors(folder):
            self.generation = generation or find_current_file(folder)
        schema = STATE_SCHEMA + CHUNK_SCHEMA
        database = Database(folder / self.generation, schema, model, dimensions, create=create)
        super().__init__(SqliteChunks(database), database)

    def hold(self, _engine: str = "", _on_lost: object = None, /) -> None:
        super().hold()
        with self.database.translate_errors():
            if not self.has_explicit_generation and self.generation != find_current_file(
                self.folder
            ):
                raise BusyError(f"the index in {self.folder} was rebuilt just now: run again")
            if self.can_write:  # not the index that a rebuild replaces
                for statement in CREATE_INDEXES_SQL:
                    self.db.execute(statement)

    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]:  # noqa: ARG002 - every check is fast
        with self.database.translate_errors():
            yield from scan_for_flaws(self.db, dimensions)

    def rename_root(self, old: str, new: str) -> bool:
        return SqliteState.rename_root(self, old, new)  # chunks are in the same file

    def repair_local(self) -> None:
        with self.database.transaction():
            repair_flaws(self.db)
