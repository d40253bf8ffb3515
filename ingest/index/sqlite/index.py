"""An index in one folder: SQLite for the rows and the words, numpy for the vectors.

Each call is one transaction and the journal is a write-ahead log, so a process killed anywhere
leaves the calls before that moment, in their order, and nothing of the one it was in.
"""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock, Timeout

from ingest.errors import BusyError, ConfigError
from ingest.index import MAX_SAVED_RUNS, Flaw, FreeSpace, IndexTotals
from ingest.index.schema import (
    CHUNK_FIELD_NAMES,
    STORED_FIELD_NAMES,
    chunk_from_document,
    chunk_to_document,
    details_from_json,
    details_to_json,
    summary_from_json,
    summary_to_json,
)
from ingest.index.sqlite.connection import open_connection
from ingest.index.sqlite.errors import NOT_AN_INDEX_MESSAGE, translate_errors
from ingest.index.sqlite.integrity import repair_flaws, scan_for_flaws
from ingest.index.sqlite.page_cache import SqlitePageCache
from ingest.index.sqlite.pointer import find_current_file
from ingest.index.sqlite.search import SqliteSearcher
from ingest.index.sqlite.tokenize import segment
from ingest.models import CachedPage, Hit, IndexEntry, Mode, Record, Refusal, StoredChunk, Summary

if TYPE_CHECKING:
    from ingest.models import Vectors

FORMAT_VERSION = 2
APPLICATION_ID = 0x696E6765  # tells our file from another program's: "inge"

SCHEMA = f"""
CREATE TABLE about (model TEXT NOT NULL, dimensions INTEGER NOT NULL);
CREATE TABLE records (
    root TEXT, source TEXT, fingerprint TEXT, size INTEGER, modified TEXT, pages INTEGER,
    empty_pages INTEGER, tokens INTEGER, outcome TEXT, error TEXT, attempts INTEGER,
    chunks INTEGER, settled TEXT, run TEXT, committed TEXT, pending TEXT,
    code TEXT NOT NULL DEFAULT '', details TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (root, source)
) WITHOUT ROWID;
CREATE TABLE chunks (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, {", ".join(CHUNK_FIELD_NAMES[1:])}
);
CREATE TABLE vectors (number INTEGER PRIMARY KEY, embedding BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (content, tokenize = "unicode61 remove_diacritics 2");
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT_VERSION};
"""

# What version 2 has more than version 1.
UPGRADE_V1_SQL = """
ALTER TABLE records ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN details TEXT NOT NULL DEFAULT '';
ALTER TABLE chunks ADD COLUMN author;
ALTER TABLE chunks ADD COLUMN language;
ALTER TABLE chunks ADD COLUMN created;
ALTER TABLE chunks ADD COLUMN confidence;
PRAGMA user_version = 2;
"""

# The same for who only looks: not a byte of the file is changed.
V1_VIEWS_SQL = """
CREATE TEMP VIEW records AS SELECT *, '' AS code, '' AS details FROM main.records;
CREATE TEMP VIEW chunks AS SELECT *, NULL AS author, NULL AS language, NULL AS created,
    NULL AS confidence FROM main.chunks;
"""

LISTED_COLUMNS = [f.name for f in fields(Record) if f.name not in ("committed", "pending")]
RECORD_COLUMNS = [f.name for f in fields(Record)]

PAGE_ROWS = 1000  # records read at a time
MAX_SQL_VARIABLES = 500  # ids in one statement; SQLite before 3.32 takes 999
# What a source has is asked for one by one. Not in SCHEMA: older indexes get it from the next run.
CREATE_SOURCE_INDEX_SQL = "CREATE INDEX IF NOT EXISTS chunks_of_source ON chunks (root, source, id)"
LOCK_TIMEOUT_SECONDS = 0.5  # seconds; who only looks whether the lock is taken has it for less


class SqliteIndex:
    """An Index in a folder. Raises ConfigError if the folder cannot hold it or holds another.

    It is the generation in use, or the one whose file is named.
    """

    def __init__(
        self, folder: Path, model: str, dimensions: int, *, create: bool, generation: str = ""
    ) -> None:
        self.folder = folder
        self.has_explicit_generation = bool(generation)
        self.lock = FileLock(folder / "lock")
        self.holder = ""
        self.is_writable = create
        self.is_new = False
        self.read_after_write = True
        self.listing_lag = 0.0
        if folder.is_file():
            raise ConfigError(f"--index {folder} is a file: name a folder")
        with self.translate_errors():
            if create:
                folder.mkdir(parents=True, exist_ok=True)
            self.generation = generation or find_current_file(folder)
            path = folder / self.generation
            # An empty file is what is left of a run that ended where it made its index.
            here = create or (path.exists() and path.stat().st_size > 0)
            self.page_cache = SqlitePageCache(path if here else None)
            self.db = (
                open_connection(path, 10)
                if here
                else sqlite3.connect(":memory:", isolation_level=None)
            )
            self.searcher = SqliteSearcher(self.db)
            try:
                if not self.pragma("user_version"):
                    self.create_schema(model, dimensions)
                self.check_compatible(model, dimensions)
                self.db.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                self.db.close()
                raise

    def create_schema(self, model: str, dimensions: int) -> None:
        """Make an empty index, unless another process is quicker or there is a file already."""
        if self.pragma("schema_version"):
            return  # somebody else's: not a byte of it is ours to change
        self.is_new = True
        self.db.execute("PRAGMA journal_mode = WAL")
        with self.transaction():
            if self.pragma("schema_version") == 0:
                for statement in SCHEMA.split(";"):
                    self.db.execute(statement)
                self.db.execute("INSERT INTO about VALUES (?, ?)", (model, dimensions))

    def check_compatible(self, model: str, dimensions: int) -> None:
        """Raise ConfigError unless the file is an index we can read and takes the model."""
        version = self.pragma("user_version")
        if self.pragma("application_id") != APPLICATION_ID:
            raise ConfigError(f"{self.folder} {NOT_AN_INDEX_MESSAGE}")
        if version > FORMAT_VERSION:
            raise ConfigError(
                f"the index in {self.folder} was written by a newer ingest (format {version}, "
                f"this one knows {FORMAT_VERSION}): upgrade ingest, or choose another --index"
            )
        if version < FORMAT_VERSION and not self.is_writable:
            self.db.executescript(V1_VIEWS_SQL)
        elif version < FORMAT_VERSION:
            with self.transaction():
                if self.pragma("user_version") < FORMAT_VERSION:
                    for statement in UPGRADE_V1_SQL.split(";"):
                        self.db.execute(statement)
        found = self.db.execute("SELECT model, dimensions FROM about").fetchone()
        if found != (model, dimensions):
            raise ConfigError(
                f"the index in {self.folder} holds vectors of {found[0]} ({found[1]} dimensions), "
                f"not of {model} ({dimensions}): ingest rebuild makes a new one beside it, or "
                "choose another --index"
            )

    def pragma(self, name: str) -> int:
        return int(self.db.execute(f"PRAGMA {name}").fetchone()[0])

    def lease_stamp(self, _: str, /) -> str:
        return ""  # only this machine can write to it

    def hold(self, _: str = "", /) -> None:
        with self.translate_errors():
            try:
                self.lock.acquire(timeout=LOCK_TIMEOUT_SECONDS)
            except Timeout:
                raise BusyError(
                    f"another run is writing to {self.folder}: wait for it to end, "
                    "or choose another --index"
                ) from None
            if not self.has_explicit_generation and self.generation != find_current_file(
                self.folder
            ):
                raise BusyError(f"the index in {self.folder} was rebuilt just now: run again")
            self.db.execute(CREATE_SOURCE_INDEX_SQL)

    def stop_renewing(self) -> None:
        """Nothing: no worker of another machine can write to it."""

    def seconds_since_write(self) -> float:
        if self.lock.is_locked or not (self.folder / "lock").exists():
            return math.inf
        try:
            self.lock.acquire(timeout=0)
        except Timeout:
            return 0.0
        except OSError:
            return math.inf  # who may not even lock it cannot know
        self.lock.release()
        return math.inf

    def cached_page(self, key: str) -> CachedPage | None:
        with self.translate_errors():
            return self.page_cache.cached_page(key)

    def cached_page_sources(self) -> Iterator[tuple[str, str]]:
        with self.translate_errors():
            yield from self.page_cache.cached_page_sources()

    def cache_page(self, page: CachedPage) -> None:
        with self.translate_errors():
            self.page_cache.cache_page(page)

    def close(self) -> None:
        self.page_cache.close()
        self.db.close()
        self.lock.release()

    def records(self, root: str | None = None) -> Iterator[Record]:
        # Page by page, because the caller saves records while it goes on reading. A condition on
        # the pair would have SQLite walk a root from its beginning for every page.
        where = "(root, source) > (?, ?)" if root is None else "root = ? AND source > ?"
        query = f"SELECT {', '.join(LISTED_COLUMNS)} FROM records WHERE {where} ORDER BY root, source LIMIT ?"
        last = ("", "") if root is None else (root, "")
        while True:
            with self.translate_errors():
                rows = self.db.execute(query, (*last, PAGE_ROWS)).fetchall()
            for row in rows:
                values = dict(zip(LISTED_COLUMNS, row, strict=True))
                yield Record(**(values | {"details": details_from_json(values["details"])}))
            if len(rows) < PAGE_ROWS:
                return
            last = rows[-1][:2]

    def record(self, root: str, source: str) -> Record | None:
        query = f"SELECT {', '.join(RECORD_COLUMNS)} FROM records WHERE root = ? AND source = ?"
        with self.translate_errors():
            row = self.db.execute(query, (root, source)).fetchone()
        if row is None:
            return None
        values = dict(zip(RECORD_COLUMNS, row, strict=True))
        ids = {name: tuple(values[name].split()) for name in ("committed", "pending")}
        return Record(**(values | ids | {"details": details_from_json(values["details"])}))

    def save(self, record: Record) -> Future[None]:
        values = {name: getattr(record, name) for name in RECORD_COLUMNS}
        values["committed"] = " ".join(record.committed)
        values["pending"] = " ".join(record.pending)
        values["details"] = details_to_json(record.details)
        marks = ", ".join("?" * len(values))
        with self.transaction():
            self.db.execute(
                f"INSERT OR REPLACE INTO records ({', '.join(values)}) VALUES ({marks})",
                tuple(values.values()),
            )
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def forget(self, record: Record) -> None:
        with self.transaction():
            self.db.execute(
                "DELETE FROM records WHERE root = ? AND source = ?", (record.root, record.source)
            )
        if record.details.scanned:
            with self.translate_errors():
                self.page_cache.forget(record)

    def existing_ids(self, ids: Collection[str]) -> set[str]:
        with self.translate_errors():
            return {
                row[0] for row in self.select_by_ids("SELECT id FROM chunks WHERE id IN ({})", ids)
            }

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        with self.transaction():
            return [refusal for entry in entries if (refusal := self.write_entry(entry))]

    def write_entry(self, entry: IndexEntry) -> Refusal | None:
        """Write one chunk; inside a transaction."""
        document = chunk_to_document(entry)
        values = {name: document[name] for name in CHUNK_FIELD_NAMES}
        values["headings"] = json.dumps(values["headings"], ensure_ascii=False)
        row = self.db.execute("SELECT number FROM chunks WHERE id = ?", (values["id"],)).fetchone()
        if row:
            number = row[0]
            changes = ", ".join(f"{name} = ?" for name in values)
            self.db.execute(
                f"UPDATE chunks SET {changes} WHERE number = ?", (*values.values(), number)
            )
        elif entry.vector is None:
            return Refusal(entry.chunk.id, "to be moved, but not in the index")
        else:
            marks = ", ".join("?" * len(values))
            number = self.db.execute(
                f"INSERT INTO chunks ({', '.join(values)}) VALUES ({marks})", tuple(values.values())
            ).lastrowid
            self.db.execute(
                "INSERT INTO words (rowid, content) VALUES (?, ?)",
                (number, segment(entry.chunk.text)),
            )
        if entry.vector is not None:
            unit = np.asarray(entry.vector, "<f4")
            unit = unit / (np.linalg.norm(unit) or 1)
            self.db.execute(
                "INSERT OR REPLACE INTO vectors VALUES (?, ?)", (number, unit.tobytes())
            )
        return None

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        with self.transaction():
            rows = list(self.select_by_ids("SELECT number FROM chunks WHERE id IN ({})", ids))
            for table, key in (("chunks", "number"), ("vectors", "number"), ("words", "rowid")):
                self.db.executemany(f"DELETE FROM {table} WHERE {key} = ?", rows)
        return []

    def select_by_ids(self, query: str, ids: Collection[str]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query on a list of ids, however long."""
        rest = iter(ids)
        while some := tuple(islice(rest, MAX_SQL_VARIABLES)):
            yield from self.db.execute(query.format(", ".join("?" * len(some))), some)

    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]:
        with self.translate_errors():
            ranked = self.searcher.rank(text, vector, mode, top)
            return [Hit(score, self.chunk_fields(number)) for number, score in ranked]

    def chunks(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[StoredChunk]:
        names = [name for name in STORED_FIELD_NAMES if text or name != "content"]
        # Without a source, the order is worth more than the root: the plus keeps an index from it.
        also = [] if root is None else ["+root = ?" if source is None else "root = ?"]
        also += [] if source is None else ["source = ?"]
        query = (
            f"SELECT {', '.join(names)} FROM chunks WHERE {' AND '.join(['id > ?', *also])} "
            "ORDER BY id LIMIT ?"
        )
        wanted = [value for value in (root, source) if value is not None]
        last = ""
        while True:
            with self.translate_errors():
                rows = self.db.execute(query, (last, *wanted, PAGE_ROWS)).fetchall()
            for row in rows:
                values = dict(zip(names, row, strict=True))
                yield chunk_from_document(values | {"headings": json.loads(values["headings"])})
            if len(rows) < PAGE_ROWS:
                return
            last = rows[-1][0]

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        query = "SELECT id, embedding FROM chunks JOIN vectors USING (number) WHERE id IN ({})"
        with self.translate_errors():
            return {id_: np.frombuffer(row, "<f4") for id_, row in self.select_by_ids(query, ids)}

    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]:  # noqa: ARG002 - it is no work to see all
        with self.translate_errors():
            yield from scan_for_flaws(self.db, dimensions)

    def repair_local(self) -> None:
        with self.transaction():
            repair_flaws(self.db)

    def chunk_fields(self, number: int) -> dict[str, object]:
        """One chunk's fields."""
        query = f"SELECT {', '.join(CHUNK_FIELD_NAMES)} FROM chunks WHERE number = ?"
        values = dict(
            zip(CHUNK_FIELD_NAMES, self.db.execute(query, (number,)).fetchone(), strict=True)
        )
        return values | {"headings": json.loads(values["headings"])}

    def totals(self) -> IndexTotals:
        with self.translate_errors():
            sources, chunks = self.db.execute(
                "SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM chunks)"
            ).fetchone()
            size = self.pragma("page_count") * self.pragma("page_size")
            return IndexTotals(sources, chunks, size)

    def free_space(self) -> FreeSpace:
        here = next(
            place for place in (self.folder, *self.folder.absolute().parents) if place.exists()
        )
        with self.translate_errors():
            return FreeSpace(disk=shutil.disk_usage(here).free)

    def save_run(self, summary: Summary) -> None:
        with self.transaction():
            # Not in SCHEMA: indexes from before there was such a table get it here.
            self.db.execute(
                "CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, summary TEXT)"
            )
            self.db.execute("INSERT INTO runs (summary) VALUES (?)", (summary_to_json(summary),))
            self.db.execute(
                "DELETE FROM runs WHERE number <= (SELECT max(number) FROM runs) - ?",
                (MAX_SAVED_RUNS,),
            )

    def runs(self, limit: int) -> list[Summary]:
        with self.translate_errors():
            if not self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
                return []
            query = "SELECT summary FROM runs ORDER BY number DESC LIMIT ?"
            rows = self.db.execute(query, (limit,)).fetchall()
        return [summary_from_json(row[0]) for row in rows]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        with self.translate_errors():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # SQLite ends it by itself when the disk is full
                    self.db.execute("ROLLBACK")
                raise

    def translate_errors(self) -> AbstractContextManager[None]:
        """SQLite's and the system's errors as ours."""
        return translate_errors(self.folder)
