"""Chunks in SQLite: rows, an FTS5 index of their words, and vectors for numpy to search."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import astuple
from itertools import chain
from typing import Any

import numpy as np

from ingest.index import HYBRID_WEIGHT, IndexTotals
from ingest.index.generated import words_to_find
from ingest.index.permissions import no_permissions_error
from ingest.index.schema import (
    CHUNK_FIELD_NAMES,
    FIGURE_KIND_FIELD,
    LIST_FIELD_NAMES,
    STORED_FIELD_NAMES,
    chunk_from_document,
    chunk_to_document,
)
from ingest.index.sqlite.connection import select_in
from ingest.index.sqlite.database import Database, Tables
from ingest.index.sqlite.search import FLOAT_BYTES, SqliteSearcher
from ingest.index.sqlite.state import PAGE_ROWS
from ingest.index.sqlite.tokenize import index_names, index_words
from ingest.index.sqlite.words import INSERT_WORDS_SQL, add_names_column
from ingest.index.stored_chunks import (
    READERS_COLUMN,
    parse_list,
    parse_lists,
    parse_readers,
    readable_hits,
)
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


class SqliteChunks(Tables):
    """ChunkStore in the tables `chunks`, `vectors` and `words`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.searcher = SqliteSearcher(self.db)
        self.hybrid_weight = HYBRID_WEIGHT
        self.has_all_columns = False  # True: none is missing; they are never removed
        self.has_readers = False  # True: likewise

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        with self.database.transaction():
            self.add_missing_columns()
            add_names_column(self.db)
            self.add_readers_column(entries)
            return [refusal for entry in entries if (refusal := self.write_entry(entry))]

    def add_missing_columns(self) -> None:
        """Add the columns of fields that the file's version did not have; inside a transaction."""
        if self.has_all_columns:
            return
        known = self.column_names()
        for name in CHUNK_FIELD_NAMES:
            if name not in known:
                self.db.execute(f"ALTER TABLE chunks ADD COLUMN {name}")
        self.has_all_columns = True

    def add_readers_column(self, entries: Sequence[IndexEntry]) -> None:
        """Add the column of permissions when the first chunk has any; inside a transaction."""
        self.has_readers = self.has_readers or READERS_COLUMN in self.column_names()
        if not self.has_readers and any(entry.source.permissions for entry in entries):
            self.db.execute(f"ALTER TABLE chunks ADD COLUMN {READERS_COLUMN}")
            self.has_readers = True

    def column_names(self) -> set[str]:
        """Return the names of the columns of chunks."""
        return {row[1] for row in self.db.execute("PRAGMA table_info(chunks)")}

    def write_entry(self, entry: IndexEntry) -> Refusal | None:
        """Write one chunk; inside a transaction."""
        document = chunk_to_document(entry)
        values = {name: document[name] for name in CHUNK_FIELD_NAMES}
        for name in LIST_FIELD_NAMES:
            if values[name] is not None:
                values[name] = json.dumps(values[name], ensure_ascii=False)
        if self.has_readers:
            found = entry.source.permissions
            values[READERS_COLUMN] = json.dumps(astuple(found)) if found else None
        words = (
            index_words(words_to_find(entry.chunk.text)),
            index_names(entry.source.name, str(document["title"] or "")),
        )
        row = self.db.execute("SELECT number FROM chunks WHERE id = ?", (values["id"],)).fetchone()
        if row:
            number = row[0]
            changes = ", ".join(f"{name} = ?" for name in values)
            self.db.execute(
                f"UPDATE chunks SET {changes} WHERE number = ?", (*values.values(), number)
            )
            self.update_words(number, words)
        elif entry.vector is None:
            return Refusal(entry.chunk.id, "to be moved, but not in the index")
        else:
            marks = ", ".join("?" * len(values))
            number = self.db.execute(
                f"INSERT INTO chunks ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
            ).lastrowid
            self.db.execute(INSERT_WORDS_SQL, (number, *words))
        if entry.vector is not None:
            unit = np.asarray(entry.vector, "<f4")
            unit = unit / (np.linalg.norm(unit) or 1)
            self.db.execute(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?)", (number, unit.tobytes())
            )
        return None

    def update_words(self, number: int, words: tuple[str, str]) -> None:
        """Index the words of a chunk again if they or how they are indexed has changed."""
        query = "SELECT 1 FROM words WHERE rowid = ? AND content = ? AND names = ?"
        if not self.db.execute(query, (number, *words)).fetchone():
            self.db.execute("DELETE FROM words WHERE rowid = ?", (number,))
            self.db.execute(INSERT_WORDS_SQL, (number, *words))

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        with self.database.transaction():
            rows = list(select_in(self.db, "SELECT number FROM chunks WHERE id IN ({})", ids))
            for table, key in (("chunks", "number"), ("vectors", "number"), ("words", "rowid")):
                self.db.executemany(f"DELETE FROM {table} WHERE {key} = ?", rows)
        return []

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        query = "SELECT id FROM chunks WHERE id IN ({})"
        with self.database.translate_errors():
            return {row[0] for row in select_in(self.db, query, ids)}

    def chunks(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[StoredChunk]:
        names = [name for name in STORED_FIELD_NAMES if text or name != "content"]
        # Without a source, reading in order of id matters more than the root: the plus keeps SQLite
        # from using the index on root.
        also = [] if root is None else ["+root = ?" if source is None else "root = ?"]
        also += [] if source is None else ["source = ?"]
        query = (
            f"SELECT {', '.join(names)} FROM chunks WHERE {' AND '.join(['id > ?', *also])} "
            "ORDER BY id LIMIT ?"
        )
        wanted = [value for value in (root, source) if value is not None]
        last = ""
        while True:
            with self.database.translate_errors():
                rows = self.db.execute(query, (last, *wanted, PAGE_ROWS)).fetchall()
            for row in rows:
                values = dict(zip(names, row, strict=True))
                yield chunk_from_document(values | {"headings": parse_list(values["headings"])})
            if len(rows) < PAGE_ROWS:
                return
            last = rows[-1][0]

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        query = "SELECT id, embedding FROM chunks JOIN vectors USING (number) WHERE id IN ({})"
        with self.database.translate_errors():
            rows = select_in(self.db, query, ids)
            return {
                id_: np.frombuffer(row, "<f4")
                for id_, row in rows
                if isinstance(row, bytes) and len(row) % FLOAT_BYTES == 0
            }

    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]:
        with self.database.translate_errors():
            ranked = self.searcher.rank(text, vector, mode, top, self.hybrid_weight)
            return readable_hits((score, self.chunk_fields(number)) for number, score in ranked)

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
        with self.database.translate_errors():
            permitted = None if person is None else self.permitted_numbers(person)
            limits = [n for n in (permitted, self.figure_numbers(figures)) if n is not None]
            among = set.intersection(*limits) if limits else None
            ranked = self.searcher.rank(text, vector, mode, top, self.hybrid_weight, among=among)
            return readable_hits((score, self.chunk_fields(number)) for number, score in ranked)

    def figure_numbers(self, figures: FigureFilter) -> set[int] | None:
        """Return the numbers of the chunks that a filter admits; None for all."""
        if figures is FigureFilter.INCLUDE:
            return None
        if FIGURE_KIND_FIELD.name not in self.column_names():  # written by an earlier version
            return set() if figures is FigureFilter.ONLY else None
        test = "IS NOT NULL" if figures is FigureFilter.ONLY else "IS NULL"
        query = f"SELECT number FROM chunks WHERE {FIGURE_KIND_FIELD.name} {test}"
        return {row[0] for row in self.db.execute(query)}

    def permitted_numbers(self, person: Permissions) -> set[int]:
        """Return the numbers of the chunks that a person may read.

        Raises ConfigError if no chunk has permissions.
        """
        if READERS_COLUMN not in self.column_names():
            raise no_permissions_error(str(self.database.folder))
        query = f"SELECT {READERS_COLUMN}, number FROM chunks WHERE {READERS_COLUMN} IS NOT NULL"
        numbers: dict[str, list[int]] = {}  # by permissions, which most chunks share
        for readers, number in self.db.execute(query):
            numbers.setdefault(readers, []).append(number)
        admitted = (
            n for r, n in numbers.items() if (known := parse_readers(r)) and known.admits(person)
        )
        return set(chain.from_iterable(admitted))

    def chunk_fields(self, number: int) -> dict[str, Any]:
        """Read the fields of one chunk; None for those that the file has no value of."""
        query = "SELECT * FROM chunks WHERE number = ?"
        cursor = self.db.execute(query, (number,))
        names = [column[0] for column in cursor.description]
        values = dict(zip(names, cursor.fetchone() or (), strict=False))
        return parse_lists({name: values.get(name) for name in CHUNK_FIELD_NAMES})

    def totals(self) -> IndexTotals:
        with self.database.translate_errors():
            chunks = self.db.execute("SELECT count(*) FROM chunks").fetchone()[0]
            size = self.database.pragma("page_count") * self.database.pragma("page_size")
            return IndexTotals(0, chunks, size)

    def close(self) -> None:
        self.db.close()
