"""Inventory of an index, counted by source in a temporary SQLite file, to keep memory constant.

It yields the suspects: sources whose counts do not match their records. It may report a source
that turns out to be correct, but must never miss one that is not.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Self

from ingest.commands.check.record import is_interrupted
from ingest.errors import ServiceError
from ingest.index import Flaw
from ingest.models import NOT_INDEXED_OUTCOMES, Code, Record, SourceKey, StoredChunk

CREATE_TABLES_SQL = """
CREATE TABLE chunks (root, source, fingerprint, ordinal);
CREATE TABLE records (root, source, fingerprint, chunks, outcome, error, code,
                      PRIMARY KEY (root, source)) WITHOUT ROWID;
CREATE TABLE flaws (root, source, kind, id, reason);
CREATE TABLE pages (root, source);
CREATE TABLE suspects (root, source, PRIMARY KEY (root, source)) WITHOUT ROWID;
CREATE TABLE glances (root, source, glance, PRIMARY KEY (root, source)) WITHOUT ROWID;
"""
# Stand-ins for the fingerprint of a record that does not predict its chunks' fingerprints.
TORN_FINGERPRINT, ANY_FINGERPRINT = "torn", "any"

COUNT_SQL = """
CREATE TABLE counted AS
SELECT root, source, count(*) AS count, count(DISTINCT ordinal) AS places, min(ordinal) AS first,
       max(ordinal) AS last, min(fingerprint) AS lowest, max(fingerprint) AS highest
FROM chunks GROUP BY root, source;
CREATE UNIQUE INDEX of_source ON counted (root, source);
CREATE INDEX of_flaw ON flaws (root, source);
CREATE INDEX of_page ON pages (root, source);
"""
SUSPECTS_SQL = f"""
INSERT INTO suspects
SELECT root, source FROM records LEFT JOIN counted USING (root, source)
WHERE fingerprint = '{TORN_FINGERPRINT}' OR ifnull(count, 0) <> chunks OR places <> count
   OR first <> 0 OR last <> count - 1
   OR (fingerprint <> '{ANY_FINGERPRINT}' AND (lowest <> fingerprint OR highest <> fingerprint))
UNION
SELECT root, source FROM
   (SELECT root, source FROM counted UNION SELECT root, source FROM pages
    EXCEPT SELECT root, source FROM records)
UNION
SELECT root, source FROM flaws WHERE source <> '';
"""


class Inventory:
    """Inventory of one check. Not thread-safe. Raises ServiceError if the disk is full."""

    def __init__(self) -> None:
        # A database without a name is a temporary file, removed with its connection.
        self.db = sqlite3.connect("", isolation_level=None)
        self.db.executescript(f"PRAGMA journal_mode = OFF; {CREATE_TABLES_SQL}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    def add_chunks(self, chunks: Iterable[StoredChunk]) -> None:
        """Count chunks."""
        self.insert_rows(
            "chunks", 4, ((c.root, c.source, c.fingerprint, c.ordinal) for c in chunks)
        )

    def add_records(self, records: Iterable[Record]) -> None:
        """Add records: the chunks and fingerprints they expect, and their errors."""
        self.insert_rows("records", 7, map(record_row, records))

    def replace_flaws(self, flaws: Iterable[Flaw]) -> None:
        """Replace the flaws of single chunks."""
        self.db.execute("DELETE FROM flaws")
        self.insert_rows("flaws", 5, ((f.root, f.source, f.kind, f.id, f.reason) for f in flaws))

    def add_pages(self, places: Iterable[SourceKey]) -> None:
        """Add a row for each cached page of paid OCR."""
        self.insert_rows("pages", 2, places)

    def insert_rows(self, table: str, width: int, rows: Iterable[tuple[object, ...]]) -> None:
        """Insert rows in one transaction."""
        marks = ", ".join("?" * width)
        try:
            self.db.execute("BEGIN")
            self.db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise ServiceError(
                f"a check needs space in the temporary folder ({error}): free some, or set TMPDIR"
            ) from error

    def find_suspects(self) -> int:
        """Find the sources that do not match their records; returns their number."""
        self.db.executescript(COUNT_SQL + SUSPECTS_SQL)
        return self.count_rows("suspects")

    def count_rows(self, table: str) -> int:
        """Count the rows of a table."""
        return int(self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def suspects(self) -> Iterator[SourceKey]:
        """Suspects, ordered by root and source."""
        return self.db.execute("SELECT root, source FROM suspects ORDER BY root, source")

    def save_record_hash(self, place: SourceKey, record_hash: int) -> None:
        """Save the hash of a suspect's record."""
        self.db.execute("INSERT OR REPLACE INTO glances VALUES (?, ?, ?)", (*place, record_hash))

    def saved_record_hash(self, place: SourceKey) -> int | None:
        """Saved hash of a suspect's record; None if there is none."""
        query = "SELECT glance FROM glances WHERE (root, source) = (?, ?)"
        found: tuple[int] | None = self.db.execute(query, place).fetchone()
        return found[0] if found else None

    def flaws_of(self, place: SourceKey) -> list[Flaw]:
        """Flaws of a source's chunks; for ("", ""), flaws of the index as a whole."""
        query = "SELECT kind, reason, id, root, source FROM flaws WHERE (root, source) = (?, ?)"
        return [Flaw(*row) for row in self.db.execute(query, place)]

    def pages_of(self, place: SourceKey) -> int:
        """Count the cached pages of paid OCR of a source."""
        query = "SELECT count(*) FROM pages WHERE (root, source) = (?, ?)"
        return int(self.db.execute(query, place).fetchone()[0])

    def untaken(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """Sources that were skipped or failed: root, source, outcome, error, code, chunks."""
        columns = "root, source, outcome, error, code, chunks"
        query = f"SELECT {columns} FROM records WHERE outcome IN (?, ?) ORDER BY root, source"
        return self.db.execute(query, tuple(map(str, NOT_INDEXED_OUTCOMES)))

    def root_names(self) -> list[str]:
        """Names of the roots that have a record or chunks."""
        query = "SELECT root FROM records UNION SELECT root FROM counted ORDER BY root"
        return [row[0] for row in self.db.execute(query)]

    def count_sources(self, root: str) -> int:
        """Count the sources of a root that have a record or chunks."""
        query = """
            SELECT count(*) FROM (SELECT source FROM records WHERE root = ?1
                                  UNION SELECT source FROM counted WHERE root = ?1)
        """
        return int(self.db.execute(query, (root,)).fetchone()[0])


def record_row(record: Record) -> tuple[object, ...]:
    """Row of a record in the table `records`."""
    result = record.outcome, record.error, record.code
    key, fingerprint = record.key, expected_fingerprint(record)
    return *key, fingerprint, record.chunks, *map(str, result)


def expected_fingerprint(record: Record) -> str:
    """Fingerprint that a record's chunks should have."""
    # Chunks that an index refused leave pending ids, and listings of records do not have those.
    if not record.fingerprint or record.code == Code.REFUSED or is_interrupted(record):
        return TORN_FINGERPRINT
    # A failure changes the record's fingerprint and leaves the chunks of the last success as is.
    return ANY_FINGERPRINT if record.outcome in NOT_INDEXED_OUTCOMES else record.fingerprint
