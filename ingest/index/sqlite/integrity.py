"""Integrity checks of the chunk tables, and repairs that need no model.

A bad vector is only reported, because a new one takes the model. The text index is rebuilt from the
chunks.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from ingest.index import FIELD_FLAW, ORPHAN_FLAW, TEXT_FLAW, VECTOR_FLAW, Flaw
from ingest.index.sqlite.errors import damaged_error
from ingest.index.sqlite.words import INSERT_WORDS_SQL, add_names_column, word_row
from ingest.index.stored_chunks import are_readers_known, has_readable_fields, parse_lists

UNIT_LENGTH_TOLERANCE = 0.01  # of stored unit vectors; float32 rounding is 10,000 times smaller

# Rows without a chunk, over which a search would fail.
ORPHAN_QUERIES = {
    "vectors": "SELECT number FROM vectors WHERE number NOT IN (SELECT number FROM chunks)",
    "words": "SELECT id FROM words_docsize WHERE id NOT IN (SELECT number FROM chunks)",
}
UNINDEXED_CHUNKS_SQL = "FROM chunks WHERE number NOT IN (SELECT id FROM words_docsize)"


def scan_for_flaws(db: sqlite3.Connection, dimensions: int) -> Iterator[Flaw]:
    """Find every flaw. Raises sqlite3.DatabaseError if the file itself is damaged."""
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok" and "fts5" not in found.lower():
        raise damaged_error(found)
    if not is_text_index_intact(db):
        yield Flaw(TEXT_FLAW, "the text index is damaged, so that searches miss chunks")
    for table, query in ORPHAN_QUERIES.items():
        if count := db.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]:
            yield Flaw(ORPHAN_FLAW, f"{table} without a chunk: {count:,}")
    for id_, root, source in db.execute(f"SELECT id, root, source {UNINDEXED_CHUNKS_SQL}"):
        yield Flaw(TEXT_FLAW, "it is not in the text index", id_, root, source)
    names = [row[1] for row in db.execute("PRAGMA table_info(chunks)")]
    query = "SELECT chunks.*, embedding FROM chunks LEFT JOIN vectors USING (number)"
    for *values, vector in db.execute(query):
        fields = parse_lists(dict(zip(names, values, strict=True)))
        if reason := find_vector_flaw(vector, dimensions):
            yield Flaw(VECTOR_FLAW, reason, fields["id"], fields["root"], fields["source"])
        elif not (has_readable_fields(fields) and are_readers_known(fields)):
            yield Flaw(
                FIELD_FLAW, "it cannot be read", fields["id"], fields["root"], fields["source"]
            )


def repair_flaws(db: sqlite3.Connection) -> None:
    """Index the text of every chunk, and delete rows without a chunk; inside a transaction."""
    if not is_text_index_intact(db):
        db.execute("INSERT INTO words (words) VALUES ('rebuild')")
    for table, query in ORPHAN_QUERIES.items():
        key = "rowid" if table == "words" else "number"
        numbers = db.execute(query).fetchall()
        db.executemany(f"DELETE FROM {table} WHERE {key} = ?", numbers)
    add_names_column(db)
    query = f"SELECT number, content, source, title {UNINDEXED_CHUNKS_SQL}"
    for chunk in db.execute(query).fetchall():
        db.execute(INSERT_WORDS_SQL, word_row(*chunk))


def is_text_index_intact(db: sqlite3.Connection) -> bool:
    """Return False if the text index does not match its texts."""
    try:
        # The syntax of an FTS5 command; it changes nothing.
        db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.OperationalError:
        return True  # read-only, or another connection is writing: unknown
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return False
    return True


def find_vector_flaw(row: object, dimensions: int) -> str:
    """Return the reason why a stored vector is invalid; "" if it is valid."""
    if not isinstance(row, bytes):
        return "it has no vector"
    if len(row) != dimensions * 4:
        return f"its vector has {len(row):,} bytes instead of {dimensions * 4:,}"
    vector = np.frombuffer(row, "<f4")
    if not np.isfinite(vector).all():
        return "its vector has values that are not finite"
    length = float(np.linalg.norm(vector))
    return (
        ""
        if abs(length - 1) < UNIT_LENGTH_TOLERANCE
        else f"its vector has length {length:.3g} instead of 1"
    )
