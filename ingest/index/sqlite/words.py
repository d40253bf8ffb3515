"""The FTS5 table of the words of chunks, and of the names of their sources."""

from __future__ import annotations

import sqlite3

from ingest.index.generated import words_to_find
from ingest.index.sqlite.database import CREATE_WORDS_SQL
from ingest.index.sqlite.tokenize import index_names, index_words

INSERT_WORDS_SQL = "INSERT INTO words (rowid, content, names) VALUES (?, ?, ?)"


def add_names_column(db: sqlite3.Connection) -> None:
    """Rebuild the table if an earlier version made it without names; inside a transaction.

    FTS5 cannot add a column.
    """
    if has_names_column(db):
        return
    db.execute("DROP TABLE words")
    db.execute(CREATE_WORDS_SQL)
    chunks = db.execute("SELECT number, content, source, title FROM chunks")
    db.executemany(INSERT_WORDS_SQL, (word_row(*chunk) for chunk in chunks))


def has_names_column(db: sqlite3.Connection) -> bool:
    """Return False for a table of an earlier version."""
    columns = db.execute("SELECT 1 FROM pragma_table_info('words') WHERE name = 'names'")
    return columns.fetchone() is not None


def word_row(number: int, text: str, source: str, title: str | None) -> tuple[int, str, str]:
    """Return the row of a chunk."""
    return number, index_words(words_to_find(text)), index_names(source, title or "")
