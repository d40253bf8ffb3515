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
from ingest.index import RUNS_KEPT, Flaw, Room, Totals
from ingest.index.schema import (
    CHUNK_FIELDS,
    STORED,
    chunk_document,
    details_json,
    details_of,
    stored,
    summary_json,
    summary_of,
)
from ingest.index.sqlite.connection import opened
from ingest.index.sqlite.errors import NOT_OURS, translated
from ingest.index.sqlite.integrity import flaws, mend
from ingest.index.sqlite.page_cache import Pages
from ingest.index.sqlite.pointer import current
from ingest.index.sqlite.search import Finder
from ingest.index.sqlite.tokenize import segmented
from ingest.models import Entry, Hit, Mode, Paid, Record, Refusal, Stored, Summary

if TYPE_CHECKING:
    from ingest.models import Vectors

VERSION = 2
APPLICATION = 0x696E6765  # tells our file from another program's: "inge"

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
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, {", ".join(CHUNK_FIELDS[1:])}
);
CREATE TABLE vectors (number INTEGER PRIMARY KEY, embedding BLOB NOT NULL);
CREATE VIRTUAL TABLE words USING fts5 (content, tokenize = "unicode61 remove_diacritics 2");
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""

# What version 2 has more than version 1.
ADDED = """
ALTER TABLE records ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN details TEXT NOT NULL DEFAULT '';
ALTER TABLE chunks ADD COLUMN author;
ALTER TABLE chunks ADD COLUMN language;
ALTER TABLE chunks ADD COLUMN created;
ALTER TABLE chunks ADD COLUMN confidence;
PRAGMA user_version = 2;
"""

# The same for who only looks: not a byte of the file is changed.
SHOWN = """
CREATE TEMP VIEW records AS SELECT *, '' AS code, '' AS details FROM main.records;
CREATE TEMP VIEW chunks AS SELECT *, NULL AS author, NULL AS language, NULL AS created,
    NULL AS confidence FROM main.chunks;
"""

LISTED = [f.name for f in fields(Record) if f.name not in ("committed", "pending")]
WHOLE = [f.name for f in fields(Record)]

PAGE = 1000  # records read at a time
VARIABLES = 500  # ids in one statement; SQLite before 3.32 takes 999
# What a source has is asked for one by one. Not in SCHEMA: older indexes get it from the next run.
OF_SOURCE = "CREATE INDEX IF NOT EXISTS chunks_of_source ON chunks (root, source, id)"
A_MOMENT = 0.5  # seconds; who only looks whether the lock is taken has it for less


class LocalIndex:
    """An Index in a folder. Raises ConfigError if the folder cannot hold it or holds another.

    It is the generation in use, or the one whose file is named.
    """

    def __init__(
        self, folder: Path, model: str, dimensions: int, *, create: bool, generation: str = ""
    ) -> None:
        self.folder = folder
        self.named = bool(generation)
        self.lock = FileLock(folder / "lock")
        self.holder = ""
        self.writes = create
        self.fresh = False
        self.current = True
        self.lag = 0.0
        if folder.is_file():
            raise ConfigError(f"--index {folder} is a file: name a folder")
        with self.translated():
            if create:
                folder.mkdir(parents=True, exist_ok=True)
            self.generation = generation or current(folder)
            path = folder / self.generation
            # An empty file is what is left of a run that ended where it made its index.
            here = create or (path.exists() and path.stat().st_size > 0)
            self.pages = Pages(path if here else None)
            self.db = (
                opened(path, 10) if here else sqlite3.connect(":memory:", isolation_level=None)
            )
            self.finder = Finder(self.db)
            try:
                if not self.pragma("user_version"):
                    self.found(model, dimensions)
                self.check(model, dimensions)
                self.db.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                self.db.close()
                raise

    def found(self, model: str, dimensions: int) -> None:
        """Make an empty index, unless another process is quicker or there is a file already."""
        if self.pragma("schema_version"):
            return  # somebody else's: not a byte of it is ours to change
        self.fresh = True
        self.db.execute("PRAGMA journal_mode = WAL")
        with self.transaction():
            if self.pragma("schema_version") == 0:
                for statement in SCHEMA.split(";"):
                    self.db.execute(statement)
                self.db.execute("INSERT INTO about VALUES (?, ?)", (model, dimensions))

    def check(self, model: str, dimensions: int) -> None:
        """Raise ConfigError unless the file is an index we can read and takes the model."""
        version = self.pragma("user_version")
        if self.pragma("application_id") != APPLICATION:
            raise ConfigError(f"{self.folder} {NOT_OURS}")
        if version > VERSION:
            raise ConfigError(
                f"the index in {self.folder} was written by a newer ingest (format {version}, "
                f"this one knows {VERSION}): upgrade ingest, or choose another --index"
            )
        if version < VERSION and not self.writes:
            self.db.executescript(SHOWN)
        elif version < VERSION:
            with self.transaction():
                if self.pragma("user_version") < VERSION:
                    for statement in ADDED.split(";"):
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

    def stands(self, _: str, /) -> str:
        return ""  # only this machine can write to it

    def hold(self, _: str = "", /) -> None:
        with self.translated():
            try:
                self.lock.acquire(timeout=A_MOMENT)
            except Timeout:
                raise BusyError(
                    f"another run is writing to {self.folder}: wait for it to end, "
                    "or choose another --index"
                ) from None
            if not self.named and self.generation != current(self.folder):
                raise BusyError(f"the index in {self.folder} was rebuilt just now: run again")
            self.db.execute(OF_SOURCE)

    def lapse(self) -> None:
        """Nothing: no worker of another machine can write to it."""

    def quiet(self) -> float:
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

    def paid(self, key: str) -> Paid | None:
        with self.translated():
            return self.pages.paid(key)

    def paid_in(self) -> Iterator[tuple[str, str]]:
        with self.translated():
            yield from self.pages.sources()

    def keep(self, page: Paid) -> None:
        with self.translated():
            self.pages.keep(page)

    def close(self) -> None:
        self.pages.close()
        self.db.close()
        self.lock.release()

    def records(self, root: str | None = None) -> Iterator[Record]:
        # Page by page, because the caller saves records while it goes on reading. A condition on
        # the pair would have SQLite walk a root from its beginning for every page.
        where = "(root, source) > (?, ?)" if root is None else "root = ? AND source > ?"
        query = (
            f"SELECT {', '.join(LISTED)} FROM records WHERE {where} ORDER BY root, source LIMIT ?"
        )
        last = ("", "") if root is None else (root, "")
        while True:
            with self.translated():
                rows = self.db.execute(query, (*last, PAGE)).fetchall()
            for row in rows:
                values = dict(zip(LISTED, row, strict=True))
                yield Record(**(values | {"details": details_of(values["details"])}))
            if len(rows) < PAGE:
                return
            last = rows[-1][:2]

    def record(self, root: str, source: str) -> Record | None:
        query = f"SELECT {', '.join(WHOLE)} FROM records WHERE root = ? AND source = ?"
        with self.translated():
            row = self.db.execute(query, (root, source)).fetchone()
        if row is None:
            return None
        values = dict(zip(WHOLE, row, strict=True))
        ids = {name: tuple(values[name].split()) for name in ("committed", "pending")}
        return Record(**(values | ids | {"details": details_of(values["details"])}))

    def save(self, record: Record) -> Future[None]:
        values = {name: getattr(record, name) for name in WHOLE}
        values["committed"] = " ".join(record.committed)
        values["pending"] = " ".join(record.pending)
        values["details"] = details_json(record.details)
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
            with self.translated():
                self.pages.forget(record)

    def held(self, ids: Collection[str]) -> set[str]:
        with self.translated():
            return {row[0] for row in self.among("SELECT id FROM chunks WHERE id IN ({})", ids)}

    def upload(self, entries: Sequence[Entry]) -> list[Refusal]:
        with self.transaction():
            return [refusal for entry in entries if (refusal := self.put(entry))]

    def put(self, entry: Entry) -> Refusal | None:
        """Write one chunk; inside a transaction."""
        document = chunk_document(entry)
        values = {name: document[name] for name in CHUNK_FIELDS}
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
                (number, segmented(entry.chunk.text)),
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
            rows = list(self.among("SELECT number FROM chunks WHERE id IN ({})", ids))
            for table, key in (("chunks", "number"), ("vectors", "number"), ("words", "rowid")):
                self.db.executemany(f"DELETE FROM {table} WHERE {key} = ?", rows)
        return []

    def among(self, query: str, ids: Collection[str]) -> Iterator[tuple[Any, ...]]:
        """The rows of a query on a list of ids, however long."""
        rest = iter(ids)
        while some := tuple(islice(rest, VARIABLES)):
            yield from self.db.execute(query.format(", ".join("?" * len(some))), some)

    def search(self, text: str, vector: Vectors | None, mode: Mode, top: int) -> list[Hit]:
        with self.translated():
            ranked = self.finder.ranked(text, vector, mode, top)
            return [Hit(score, self.fields(number)) for number, score in ranked]

    def stored(
        self, root: str | None = None, source: str | None = None, *, text: bool = True
    ) -> Iterator[Stored]:
        names = [name for name in STORED if text or name != "content"]
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
            with self.translated():
                rows = self.db.execute(query, (last, *wanted, PAGE)).fetchall()
            for row in rows:
                values = dict(zip(names, row, strict=True))
                yield stored(values | {"headings": json.loads(values["headings"])})
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def vectors(self, ids: Collection[str]) -> dict[str, Vectors]:
        query = "SELECT id, embedding FROM chunks JOIN vectors USING (number) WHERE id IN ({})"
        with self.translated():
            return {id_: np.frombuffer(row, "<f4") for id_, row in self.among(query, ids)}

    def flaws(self, dimensions: int, *, thorough: bool) -> Iterator[Flaw]:  # noqa: ARG002 - it is no work to see all
        with self.translated():
            yield from flaws(self.db, dimensions)

    def mend(self) -> None:
        with self.transaction():
            mend(self.db)

    def fields(self, number: int) -> dict[str, object]:
        """One chunk's fields."""
        query = f"SELECT {', '.join(CHUNK_FIELDS)} FROM chunks WHERE number = ?"
        values = dict(zip(CHUNK_FIELDS, self.db.execute(query, (number,)).fetchone(), strict=True))
        return values | {"headings": json.loads(values["headings"])}

    def totals(self) -> Totals:
        with self.translated():
            sources, chunks = self.db.execute(
                "SELECT (SELECT count(*) FROM records), (SELECT count(*) FROM chunks)"
            ).fetchone()
            size = self.pragma("page_count") * self.pragma("page_size")
            return Totals(sources, chunks, size)

    def room(self) -> Room:
        here = next(
            place for place in (self.folder, *self.folder.absolute().parents) if place.exists()
        )
        with self.translated():
            return Room(disk=shutil.disk_usage(here).free)

    def remember(self, summary: Summary) -> None:
        with self.transaction():
            # Not in SCHEMA: indexes from before there was such a table get it here.
            self.db.execute(
                "CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, summary TEXT)"
            )
            self.db.execute("INSERT INTO runs (summary) VALUES (?)", (summary_json(summary),))
            self.db.execute(
                "DELETE FROM runs WHERE number <= (SELECT max(number) FROM runs) - ?", (RUNS_KEPT,)
            )

    def runs(self, most: int) -> list[Summary]:
        with self.translated():
            if not self.db.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
                return []
            query = "SELECT summary FROM runs ORDER BY number DESC LIMIT ?"
            rows = self.db.execute(query, (most,)).fetchall()
        return [summary_of(row[0]) for row in rows]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        with self.translated():
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # SQLite ends it by itself when the disk is full
                    self.db.execute("ROLLBACK")
                raise

    def translated(self) -> AbstractContextManager[None]:
        """SQLite's and the system's errors as ours."""
        return translated(self.folder)
