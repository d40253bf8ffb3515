"""What can be wrong with chunks in themselves, in an index in a folder, and what mends it.

A vector that cannot be compared is only named: to mend it takes the model. Words cost nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import numpy as np

from ingest.index import STRAY, VECTOR, WORDS, Flaw
from ingest.index.sqlite.tokenize import segmented

UNIT = 0.01  # vectors are kept at length 1; float32 is off by a ten-thousandth of this

# What belongs to a chunk that is not there: a search would stumble over it.
STRAYS = {
    "vectors": "SELECT number FROM vectors WHERE number NOT IN (SELECT number FROM chunks)",
    "words": "SELECT id FROM words_docsize WHERE id NOT IN (SELECT number FROM chunks)",
}
WITHOUT_WORDS = "FROM chunks WHERE number NOT IN (SELECT id FROM words_docsize)"


def flaws(db: sqlite3.Connection, dimensions: int) -> Iterator[Flaw]:
    """Every flaw. Raises sqlite3.DatabaseError where the file itself is damaged."""
    (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok" and "fts5" not in found.lower():
        damaged = sqlite3.DatabaseError(found)
        damaged.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise damaged
    if not words_are_whole(db):
        yield Flaw(WORDS, "the list of words is damaged, so that searches miss chunks")
    for table, query in STRAYS.items():
        if count := db.execute(f"SELECT count(*) FROM ({query})").fetchone()[0]:
            yield Flaw(STRAY, f"{table} that belong to no chunk: {count:,}")
    for id_, root, source in db.execute(f"SELECT id, root, source {WITHOUT_WORDS}"):
        yield Flaw(WORDS, "no word finds it", id_, root, source)
    query = "SELECT id, root, source, embedding FROM chunks LEFT JOIN vectors USING (number)"
    for id_, root, source, vector in db.execute(query):
        if reason := unlike(vector, dimensions):
            yield Flaw(VECTOR, reason, id_, root, source)


def mend(db: sqlite3.Connection) -> None:
    """Give every chunk its words, and nothing to what is no chunk; inside a transaction."""
    if not words_are_whole(db):
        db.execute("INSERT INTO words (words) VALUES ('rebuild')")
    for table, query in STRAYS.items():
        key = "rowid" if table == "words" else "number"
        numbers = db.execute(query).fetchall()
        db.executemany(f"DELETE FROM {table} WHERE {key} = ?", numbers)
    for (number,) in db.execute(f"SELECT number {WITHOUT_WORDS}").fetchall():
        (text,) = db.execute("SELECT content FROM chunks WHERE number = ?", (number,)).fetchone()
        db.execute("INSERT INTO words (rowid, content) VALUES (?, ?)", (number, segmented(text)))


def words_are_whole(db: sqlite3.Connection) -> bool:
    """Whether the index of words is that of the texts it was made from."""
    try:
        # It is written as an insertion, but changes nothing.
        db.execute("INSERT INTO words (words) VALUES ('integrity-check')")
    except sqlite3.OperationalError:
        return True  # the file is read-only, or somebody is writing: it cannot be known
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CORRUPT:
            raise
        return False
    return True


def unlike(row: bytes | None, dimensions: int) -> str:
    """Why a vector, as it is kept, is none of this index; "" where it is one."""
    if row is None:
        return "it has no vector"
    if len(row) != dimensions * 4:
        return f"its vector has {len(row):,} bytes instead of {dimensions * 4:,}"
    vector = np.frombuffer(row, "<f4")
    if not np.isfinite(vector).all():
        return "its vector is not made of numbers"
    length = float(np.linalg.norm(vector))
    return "" if abs(length - 1) < UNIT else f"its vector is {length:.3g} long instead of 1"
