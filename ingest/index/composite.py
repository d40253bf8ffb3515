"""An index made of any vector store, and a SQLite file for all the rest."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ingest.errors import ConfigError
from ingest.index import HYBRID_WEIGHT, VECTOR_FLAW, ChunkStore, Flaw, FreeSpace, IndexTotals
from ingest.index.permissions import no_permissions_error
from ingest.index.ranking import search_distinct
from ingest.index.schema import FIGURE_KIND_FIELD
from ingest.index.sqlite.connection import has_table, select_in
from ingest.index.sqlite.database import STATE_SCHEMA, Database
from ingest.index.sqlite.space import measure_parts, reclaim_space
from ingest.index.sqlite.state import SqliteState
from ingest.models import (
    FigureFilter,
    Hit,
    IndexEntry,
    Mode,
    Permissions,
    Refusal,
    StoredChunk,
    Vectors,
)

# Not in the schema: the first write creates it in an older index.
CREATE_TEXTS_SQL = (
    "CREATE TABLE IF NOT EXISTS texts (id TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS chunks_of_text ON texts (hash)",
)
STATE_FILE_NAME = "state.db"  # not index.db: it has no chunks
CHECK_BATCH_CHUNKS = 400  # whose vectors are read at once


class CompositeIndex(SqliteState):
    """Index of a ChunkStore and a state file, as `open_state` opens it.

    The two belong together: a source in only one of them is a defect, which `ingest check` finds
    and repairs. Move, copy and delete them together.
    """

    def __init__(self, chunks: ChunkStore, state: Database) -> None:
        super().__init__(state)
        self.store = chunks

    @property
    def hybrid_weight(self) -> float:
        return float(getattr(self.store, "hybrid_weight", HYBRID_WEIGHT))

    @hybrid_weight.setter
    def hybrid_weight(self, weight: float) -> None:
        if hasattr(self.store, "hybrid_weight"):
            self.store.hybrid_weight = weight

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        refusals = self.store.upload(entries)
        refused = {refusal.id for refusal in refusals}
        rows = [
            (entry.chunk.id, entry.text_hash)
            for entry in entries
            if entry.text_hash and entry.chunk.id not in refused
        ]
        with self.database.transaction():
            self.create_texts()
            self.db.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?)", rows)
        return refusals

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        with self.database.transaction():
            self.create_texts()
            self.db.executemany("DELETE FROM texts WHERE id = ?", ((id_,) for id_ in ids))
        return self.store.delete(ids)

    def ids_by_text(self, hashes: Collection[str]) -> dict[str, str]:
        query = "SELECT hash, min(id) FROM texts WHERE hash IN ({}) GROUP BY hash"
        return self.select_texts(query, hashes)

    def vectors_by_text(self, ids: Collection[str]) -> dict[str, Vectors]:
        hashes = self.select_texts("SELECT id, hash FROM texts WHERE id IN ({})", ids)
        return {hashes[id_]: vector for id_, vector in self.vectors(hashes).items()}

    def create_texts(self) -> None:
        """Create the table of the texts that chunks embed. Losing it costs money, nothing else."""
        for statement in CREATE_TEXTS_SQL:
            self.db.execute(statement)

    def select_texts(self, query: str, values: Collection[str]) -> dict[str, str]:
        """Run a query of pairs over a list of values of any length; {} if there is no table."""
        with self.database.translate_errors():
            return dict(select_in(self.db, query, values)) if has_table(self.db, "texts") else {}

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        return self.store.existing_ids(ids)

    def chunks(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[StoredChunk]:
        return self.store.chunks(root, source, text=text)

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        return self.store.vectors(ids)

    def rename_root(self, old: str, new: str) -> bool:
        if next(iter(self.store.chunks(old, text=False)), None) is not None:
            rename = getattr(self.store, "rename_root", None)
            if rename is None:
                raise ConfigError(
                    f"{old} is in the index by its path, and this kind of index cannot rename it: "
                    f"leave out the name, or remove the root first (ingest check --forget {old})"
                )
            rename(old, new)
        return super().rename_root(old, new)

    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]:
        return search_distinct(
            lambda depth: self.store.search(text, vector, mode, depth), top, sys.maxsize
        )

    def search_permitted(  # noqa: PLR0913 - a query, and what to search
        self,
        text: str,
        vector: Vectors | None,
        mode: Mode,
        top: int,
        person: Permissions | None,
        *,
        figures: FigureFilter = FigureFilter.INCLUDE,
    ) -> list[Hit]:
        search = getattr(self.store, "search_permitted", None)
        if search is None and person is None:  # a user-supplied store of version 0.1
            return search_distinct(
                lambda depth: self.store.search(text, vector, mode, depth),
                top,
                sys.maxsize,
                lambda hit: figures.admits(hit.fields.get(FIGURE_KIND_FIELD.name)),
            )
        if search is None:
            raise no_permissions_error("this kind of index")
        return search_distinct(
            lambda depth: search(text, vector, mode, depth, person, figures=figures),
            top,
            sys.maxsize,
        )

    def totals(self) -> IndexTotals:
        return replace(self.store.totals(), sources=self.count_records())

    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]:
        chunks = self.chunks(text=False) if thorough else iter(())
        while some := list(islice(chunks, CHECK_BATCH_CHUNKS)):
            vectors = self.vectors([chunk.id for chunk in some])
            for chunk in some:
                vector = vectors.get(chunk.id)
                if vector is None or vector.shape != (dimensions,):
                    reason = f"it has no vector of {dimensions} dimensions"
                    yield Flaw(VECTOR_FLAW, reason, chunk.id, chunk.root, chunk.source)

    def repair_local(self) -> None:
        """Do nothing: a missing vector takes the model."""

    def free_space(self) -> FreeSpace:
        folder = self.database.folder
        here = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        with self.database.translate_errors():
            return FreeSpace(disk=shutil.disk_usage(here).free)

    def part_sizes(self) -> dict[str, int]:
        with self.database.translate_errors():
            return measure_parts(self.db)

    def reclaim_space(self) -> None:
        if self.database.path:
            with self.database.translate_errors():
                reclaim_space(self.db, self.database.path)

    def close(self) -> None:
        self.store.close()
        super().close()


def open_state(folder: Path, model: str, dimensions: int, *, create: bool = True) -> Database:
    """Open the SQLite file for all of an index but its chunks."""
    path = folder / STATE_FILE_NAME
    return Database(path, STATE_SCHEMA, model, dimensions, create=create)
