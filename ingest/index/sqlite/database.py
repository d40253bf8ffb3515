"""SQLite files: their schema, versions, transactions and errors.

Each call is one transaction and the journal is a write-ahead log. A process that is killed leaves
every earlier call complete and nothing of the one it was in.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from ingest.errors import ConfigError
from ingest.index.manifest import INDEX_FORMAT
from ingest.index.schema import CHUNK_FIELD_NAMES
from ingest.index.sqlite.connection import open_connection
from ingest.index.sqlite.errors import NOT_AN_INDEX_MESSAGE, damaged_error, translate_errors
from ingest.runtime.private_file import create_private_file, create_private_folder

FORMAT_WITHOUT_CODES = 1  # the first one; format 3 differs from 2 in the manifest only
APPLICATION_ID = 0x696E6765  # "inge": distinguishes our files from others
INCREMENTAL_VACUUM = 2  # a value of PRAGMA auto_vacuum: free pages are given back when asked to
BUSY_TIMEOUT_SECONDS = 60.0  # for writes of other programs, such as one that makes a backup

# Tables that were added later are not here: the first write to one creates it in every index.
STATE_SCHEMA = """
CREATE TABLE about (model TEXT NOT NULL, dimensions INTEGER NOT NULL);
CREATE TABLE records (
    root TEXT, source TEXT, fingerprint TEXT, size INTEGER, modified TEXT, pages INTEGER,
    empty_pages INTEGER, tokens INTEGER, outcome TEXT, error TEXT, attempts INTEGER,
    chunks INTEGER, settled TEXT, run TEXT, committed TEXT, pending TEXT,
    code TEXT NOT NULL DEFAULT '', details TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (root, source)
) WITHOUT ROWID;
"""
# `names` holds the result of index_names for the source's name and title. Files of earlier
# versions lack it until the first upload.
CREATE_WORDS_SQL = """
CREATE VIRTUAL TABLE words USING fts5 (content, names, tokenize = "unicode61 remove_diacritics 2")
"""
CHUNK_SCHEMA = f"""
CREATE TABLE chunks (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, {", ".join(CHUNK_FIELD_NAMES[1:])}
);
CREATE TABLE vectors (number INTEGER PRIMARY KEY, embedding BLOB NOT NULL);
{CREATE_WORDS_SQL};
"""
STAMP_SQL = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {INDEX_FORMAT};
"""

UPGRADE_V1_SQL = """
ALTER TABLE records ADD COLUMN code TEXT NOT NULL DEFAULT '';
ALTER TABLE records ADD COLUMN details TEXT NOT NULL DEFAULT '';
ALTER TABLE chunks ADD COLUMN author;
ALTER TABLE chunks ADD COLUMN language;
ALTER TABLE chunks ADD COLUMN created;
ALTER TABLE chunks ADD COLUMN confidence;
PRAGMA user_version = 2;
"""

# For readers, which must not change a byte of a version 1 file.
V1_VIEWS_SQL = """
CREATE TEMP VIEW records AS SELECT *, '' AS code, '' AS details FROM main.records;
CREATE TEMP VIEW chunks AS SELECT *, NULL AS author, NULL AS language, NULL AS created,
    NULL AS confidence FROM main.chunks;
"""


class Database:
    """Connection to one file, for the thread that opened it.

    Without `create`, a missing file is an empty database in memory. Raises ConfigError if the file
    is not ours, was written by a newer version, or holds vectors of another model than `model`; ""
    is any.
    """

    def __init__(
        self, path: Path, schema: str, model: str, dimensions: int, *, create: bool
    ) -> None:
        self.folder = path.parent
        self.is_new = False
        self.fence: Callable[[], None] = lambda: None  # called before each transaction
        if self.folder.is_file():
            raise ConfigError(f"--index {self.folder} is a file: name a folder")
        with self.translate_errors():
            if create:
                create_private_folder(self.folder)
                create_private_file(path)  # SQLite gives its journal the permissions of the file
            # A run that was killed while it created its index leaves an empty file.
            exists = create or (path.exists() and path.stat().st_size > 0)
            self.path = path if exists else None
            self.db = (
                open_connection(path, BUSY_TIMEOUT_SECONDS)
                if exists
                else sqlite3.connect(":memory:", isolation_level=None)
            )
            try:
                if not self.pragma("user_version"):
                    self.create_schema(schema + STAMP_SQL, model, dimensions)
                self.check_compatible(model, dimensions, can_write=create)
                self.db.execute("PRAGMA synchronous = NORMAL")
            except BaseException:
                self.db.close()
                raise

    def create_schema(self, schema: str, model: str, dimensions: int) -> None:
        """Create the tables, unless the file has some or another process creates them first."""
        if self.pragma("schema_version"):
            return  # another program's: check_compatible rejects it unchanged
        self.is_new = True
        self.db.execute(f"PRAGMA auto_vacuum = {INCREMENTAL_VACUUM}")  # before all else
        self.db.execute("PRAGMA journal_mode = WAL")
        with self.transaction():
            if self.pragma("schema_version") == 0:
                for statement in schema.split(";"):
                    self.db.execute(statement)
                self.db.execute("INSERT INTO about VALUES (?, ?)", (model, dimensions))

    def check_compatible(self, model: str, dimensions: int, *, can_write: bool) -> None:
        """Upgrade an older file; raise ConfigError for one that cannot be used."""
        version = self.pragma("user_version")
        if self.pragma("application_id") != APPLICATION_ID:
            raise ConfigError(f"{self.folder} {NOT_AN_INDEX_MESSAGE}")
        if version > INDEX_FORMAT:
            raise ConfigError(
                f"the index in {self.folder} was written by a newer ingest (format {version}, "
                f"this one knows {INDEX_FORMAT}): upgrade ingest, or choose another --index"
            )
        if version == FORMAT_WITHOUT_CODES and not can_write:
            self.db.executescript(V1_VIEWS_SQL)
        elif version == FORMAT_WITHOUT_CODES:
            with self.transaction():
                if self.pragma("user_version") == FORMAT_WITHOUT_CODES:
                    for statement in UPGRADE_V1_SQL.split(";"):
                        self.db.execute(statement)
        found = read_vector_space(self.db)
        if model and found != (model, dimensions):
            raise ConfigError(
                f"the index in {self.folder} holds vectors of {found[0]} ({found[1]} dimensions), "
                f"not of {model} ({dimensions}): ingest rebuild makes a new one next to it, or "
                "choose another --index"
            )

    def pragma(self, name: str) -> int:
        return int(self.db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one transaction: commit at its end, roll back on any exception."""
        with self.translate_errors():
            self.fence()
            self.db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.db.execute("COMMIT")
            except BaseException:
                if self.db.in_transaction:  # SQLite has ended it already when the disk is full
                    self.db.execute("ROLLBACK")
                raise

    def translate_errors(self) -> AbstractContextManager[None]:
        """Raise ServiceError or ConfigError in place of SQLite's and the system's errors."""
        return translate_errors(self.folder)


class Tables:
    """Base of the classes that keep tables in a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.db = database.db


def read_vector_space(db: sqlite3.Connection) -> tuple[str, int]:
    """Read the model that fills an index, and the dimensions of its vectors."""
    found = db.execute("SELECT model, dimensions FROM about").fetchone()
    if not found or not isinstance(found[1], int):
        raise damaged_error("it does not say which model filled it")
    return str(found[0]), found[1]
