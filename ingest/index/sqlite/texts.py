"""Hashes of the texts that chunks embed, in SQLite.

Deleting the table is always safe: it costs money, never correctness.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from itertools import islice

from ingest.index.sqlite.connection import has_table
from ingest.models import IndexEntry

# Not in the schema: the first write creates it in an older index.
CREATE_TEXTS_SQL = (
    "CREATE TABLE IF NOT EXISTS texts (id TEXT PRIMARY KEY, hash TEXT NOT NULL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS chunks_of_text ON texts (hash)",
)
MAX_SQL_VARIABLES = 500  # hashes in one statement; SQLite before 3.32 takes 999


def save_texts(db: sqlite3.Connection, entries: Iterable[IndexEntry]) -> None:
    """Record the texts of stored chunks; inside a transaction."""
    create_texts(db)
    rows = [(entry.chunk.id, entry.text_hash) for entry in entries if entry.text_hash]
    db.executemany("INSERT OR REPLACE INTO texts VALUES (?, ?)", rows)


def delete_texts(db: sqlite3.Connection, ids: Iterable[str]) -> None:
    """Delete the texts of chunks; inside a transaction."""
    create_texts(db)
    db.executemany("DELETE FROM texts WHERE id = ?", ((id_,) for id_ in ids))


def create_texts(db: sqlite3.Connection) -> None:
    """Create the table if it does not exist."""
    for statement in CREATE_TEXTS_SQL:
        db.execute(statement)


def find_ids_by_text(db: sqlite3.Connection, hashes: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each known text hash with the id of a chunk."""
    query = "SELECT hash, min(id) FROM texts WHERE hash IN ({}) GROUP BY hash"
    return select_texts(db, query, hashes)


def find_hashes(db: sqlite3.Connection, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each chunk id whose text hash is known, with that."""
    return select_texts(db, "SELECT id, hash FROM texts WHERE id IN ({})", ids)


def select_texts(
    db: sqlite3.Connection, query: str, values: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Run a query over a list of values of any length; yields nothing if there is no table."""
    if not has_table(db, "texts"):
        return
    rest = iter(values)
    while some := tuple(islice(rest, MAX_SQL_VARIABLES)):
        yield from db.execute(query.format(", ".join("?" * len(some))), some)
