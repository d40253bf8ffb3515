"""What an index holds, counted source by source in a temporary file: a million take no memory.

Only what does not fit comes out of it, to be looked at closely. It must never pass over a source
that is not as it should be; one that is may be looked at for nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Self, TypeAlias

from ingest.check.judge import interrupted
from ingest.errors import ServiceError
from ingest.index import Flaw
from ingest.model import Code, Record, Stored
from ingest.plan import NOT_TAKEN

Place: TypeAlias = tuple[str, str]  # root and source

TABLES = """
CREATE TABLE chunks (root, source, fingerprint, ordinal);
CREATE TABLE records (root, source, fingerprint, chunks, outcome, error, code,
                      PRIMARY KEY (root, source)) WITHOUT ROWID;
CREATE TABLE flaws (root, source, kind, id, reason);
CREATE TABLE pages (root, source);
CREATE TABLE suspects (root, source, PRIMARY KEY (root, source)) WITHOUT ROWID;
CREATE TABLE glances (root, source, glance, PRIMARY KEY (root, source)) WITHOUT ROWID;
"""
# The fingerprint of a record that says nothing about those of its chunks; no other is like these.
TORN, ANY = "torn", "any"

COUNTED = """
CREATE TABLE counted AS
SELECT root, source, count(*) AS count, count(DISTINCT ordinal) AS places, min(ordinal) AS first,
       max(ordinal) AS last, min(fingerprint) AS lowest, max(fingerprint) AS highest
FROM chunks GROUP BY root, source;
CREATE UNIQUE INDEX of_source ON counted (root, source);
CREATE INDEX of_flaw ON flaws (root, source);
CREATE INDEX of_page ON pages (root, source);
"""
SUSPECTS = f"""
INSERT INTO suspects
SELECT root, source FROM records LEFT JOIN counted USING (root, source)
WHERE fingerprint = '{TORN}' OR ifnull(count, 0) <> chunks OR places <> count
   OR first <> 0 OR last <> count - 1
   OR (fingerprint <> '{ANY}' AND (lowest <> fingerprint OR highest <> fingerprint))
UNION
SELECT root, source FROM
   (SELECT root, source FROM counted UNION SELECT root, source FROM pages
    EXCEPT SELECT root, source FROM records)
UNION
SELECT root, source FROM flaws WHERE source <> '';
"""


class Tally:
    """The count of one check. Used by one thread. Raises ServiceError where the disk is full."""

    def __init__(self) -> None:
        # A database without a name lies in a temporary file, and is gone with its connection.
        self.db = sqlite3.connect("", isolation_level=None)
        self.db.executescript(f"PRAGMA journal_mode = OFF; {TABLES}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    def chunks(self, chunks: Iterable[Stored]) -> None:
        """Count chunks."""
        self.add("chunks", 4, ((c.root, c.source, c.fingerprint, c.ordinal) for c in chunks))

    def records(self, records: Iterable[Record]) -> None:
        """Note how many chunks of which fingerprint there should be, and what was not taken."""
        self.add("records", 7, map(row, records))

    def flaws(self, flaws: Iterable[Flaw]) -> None:
        """Note what is wrong with chunks in themselves, in place of what was noted before."""
        self.db.execute("DELETE FROM flaws")
        self.add("flaws", 5, ((f.root, f.source, f.kind, f.id, f.reason) for f in flaws))

    def pages(self, places: Iterable[Place]) -> None:
        """Note where pages were paid for."""
        self.add("pages", 2, places)

    def add(self, table: str, width: int, rows: Iterable[tuple[object, ...]]) -> None:
        """Add rows as they come."""
        marks = ", ".join("?" * width)
        try:
            self.db.execute("BEGIN")
            self.db.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)
            self.db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            raise ServiceError(
                f"a check needs room in a temporary folder ({error}): free some, or set TMPDIR"
            ) from error

    def suspect(self) -> int:
        """Find what does not fit, now that all is noted; how many sources that is."""
        self.db.executescript(COUNTED + SUSPECTS)
        return self.count("suspects")

    def count(self, table: str) -> int:
        """How many rows of a kind there are."""
        return int(self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def suspects(self) -> Iterator[Place]:
        """The sources that do not fit, by root and source."""
        return self.db.execute("SELECT root, source FROM suspects ORDER BY root, source")

    def glanced(self, place: Place, glance: int) -> None:
        """Note what a suspect's record was like."""
        self.db.execute("INSERT OR REPLACE INTO glances VALUES (?, ?, ?)", (*place, glance))

    def glance(self, place: Place) -> int | None:
        """What a suspect's record was like; None if nobody looked."""
        query = "SELECT glance FROM glances WHERE (root, source) = (?, ?)"
        found: tuple[int] | None = self.db.execute(query, place).fetchone()
        return found[0] if found else None

    def flaws_of(self, place: Place) -> list[Flaw]:
        """What is wrong with a source's chunks in themselves; ("", ""): with what is no chunk."""
        query = "SELECT kind, reason, id, root, source FROM flaws WHERE (root, source) = (?, ?)"
        return [Flaw(*row) for row in self.db.execute(query, place)]

    def pages_of(self, place: Place) -> int:
        """How many pages were paid for in a source."""
        query = "SELECT count(*) FROM pages WHERE (root, source) = (?, ?)"
        return int(self.db.execute(query, place).fetchone()[0])

    def untaken(self) -> Iterator[tuple[str, str, str, str, str]]:
        """The sources that were skipped or failed: root, source, outcome, error, code."""
        query = "SELECT root, source, outcome, error, code FROM records WHERE outcome IN (?, ?)"
        return self.db.execute(f"{query} ORDER BY root, source", tuple(map(str, NOT_TAKEN)))

    def roots(self) -> list[str]:
        """The roots that have a record, or chunks."""
        query = "SELECT root FROM records UNION SELECT root FROM counted ORDER BY root"
        return [row[0] for row in self.db.execute(query)]

    def sources(self, root: str) -> int:
        """How many sources of a root have a record, or chunks."""
        query = """
            SELECT count(*) FROM (SELECT source FROM records WHERE root = ?1
                                  UNION SELECT source FROM counted WHERE root = ?1)
        """
        return int(self.db.execute(query, (root,)).fetchone()[0])


def row(record: Record) -> tuple[object, ...]:
    """A record as it is noted."""
    said = record.outcome, record.error, record.code
    return record.root, record.source, expected(record), record.chunks, *map(str, said)


def expected(record: Record) -> str:
    """The fingerprint that a record's chunks should have."""
    # What an index refused leaves ids that may exist, and those are not listed.
    if not record.fingerprint or record.code == Code.REFUSED or interrupted(record):
        return TORN
    # A failure changes the record's fingerprint and leaves the chunks of the last success.
    return ANY if record.outcome in NOT_TAKEN else record.fingerprint
