"""The pages that an index in a folder keeps because they were paid for.

They have a connection of their own to the file, which any thread may use: the other one belongs to
the thread that opened it. Deleting them is always safe: it costs money, never correctness.
"""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from ingest.index.schema import cached_page_from_json, cached_page_to_json
from ingest.index.sqlite.connection import open_connection
from ingest.models import CachedPage, Record

# Not in the schema of the index: indexes from before there was such a table get it here.
CREATE_PAGES_SQL = """
CREATE TABLE IF NOT EXISTS pages (
    key TEXT PRIMARY KEY, root TEXT NOT NULL, source TEXT NOT NULL, paid TEXT NOT NULL
)
"""
WRITE_TIMEOUT_SECONDS = 30.0  # that another connection's write is waited for


class SqlitePageCache:
    """The table, in a file that may not be there yet. Raises what sqlite3 raises."""

    def __init__(self, path: Path | None) -> None:
        self.path = path  # None: there is no index, and none is to be made
        self.lock = threading.Lock()
        self.db: sqlite3.Connection | None = None

    def cached_page(self, key: str) -> CachedPage | None:
        """What is kept of a page."""
        with self.lock:
            if self.path is None or not self.has_table():
                return None
            query = "SELECT key, root, source, paid FROM pages WHERE key = ?"
            row = self.connection().execute(query, (key,)).fetchone()
            return cached_page_from_json(*row) if row else None

    def cached_page_sources(self) -> list[tuple[str, str]]:
        """The root and source of each page."""
        with self.lock:
            if self.path is None or not self.has_table():
                return []
            return self.connection().execute("SELECT root, source FROM pages").fetchall()

    def has_table(self) -> bool:
        """Whether anything was ever kept; under the lock."""
        query = "SELECT 1 FROM sqlite_master WHERE name = 'pages'"
        return self.connection().execute(query).fetchone() is not None

    def cache_page(self, page: CachedPage) -> None:
        """Insert or overwrite; on disk when this returns."""
        values = (page.key, page.root, page.source, cached_page_to_json(page))
        with self.lock:
            assert self.path is not None
            self.connection().execute(CREATE_PAGES_SQL)
            self.connection().execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)", values)

    def forget(self, record: Record) -> None:
        """Remove what was paid for in a source."""
        with self.lock:
            self.connection().execute(CREATE_PAGES_SQL)
            self.connection().execute(
                "DELETE FROM pages WHERE root = ? AND source = ?", (record.root, record.source)
            )

    def connection(self) -> sqlite3.Connection:
        """The connection, made when it is first needed; under the lock."""
        if self.db is None:
            assert self.path is not None
            self.db = open_connection(self.path, WRITE_TIMEOUT_SECONDS, any_thread=True)
            # What was paid for outlives a power cut too.
            self.db.execute("PRAGMA synchronous = FULL")
        return self.db

    def close(self) -> None:
        """Give back the connection."""
        with self.lock:
            if self.db is not None:
                self.db.close()
                self.db = None
