"""Cache of pages that a paid OCR service has read, in SQLite.

Its connection to the file is its own, because any thread may use it; the index's belongs to the
thread that opened it. Deleting the table is always safe: it costs money, never correctness.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

from ingest.index.schema import cached_page_from_json, cached_page_to_json, inherit_page
from ingest.index.sqlite.connection import has_table, open_connection
from ingest.models import CachedPage, Record

# Not in the schema: the first write creates it in an older index.
CREATE_PAGES_SQL = """
CREATE TABLE IF NOT EXISTS pages (
    key TEXT PRIMARY KEY, root TEXT NOT NULL, source TEXT NOT NULL, paid TEXT NOT NULL
)
"""
WRITE_TIMEOUT_SECONDS = 30.0  # for writes of other connections


class SqlitePageCache:
    """PageCache in the table `pages`. Thread-safe. Raises sqlite3.Error."""

    def __init__(self, path: Path | None) -> None:
        self.path = path  # None: there is no index, and none may be created
        self.lock = threading.Lock()
        self.db: sqlite3.Connection | None = None

    def cached_page(self, key: str) -> CachedPage | None:
        """Read one entry."""
        with self.lock:
            if not self.has_table():
                return None
            query = "SELECT key, root, source, paid FROM pages WHERE key = ?"
            row = self.connection().execute(query, (key,)).fetchone()
            return cached_page_from_json(*row) if row else None

    def cached_page_sources(self) -> list[tuple[str, str]]:
        """List root and source of every entry."""
        with self.lock:
            if not self.has_table():
                return []
            return self.connection().execute("SELECT root, source FROM pages").fetchall()

    def has_table(self) -> bool:
        """Return True once there was an entry; with the lock held."""
        return self.path is not None and has_table(self.connection(), "pages")

    def cache_page(self, page: CachedPage) -> None:
        """Insert or overwrite; durable when this returns."""
        values = (page.key, page.root, page.source, cached_page_to_json(page))
        with self.lock:
            assert self.path is not None
            self.connection().execute(CREATE_PAGES_SQL)
            self.connection().execute("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?)", values)

    def forget(self, record: Record, is_known: Callable[[str, str], object]) -> None:
        """Delete the entries of a source, but for those that another known source has too."""
        with self.lock:
            if not self.has_table():
                return
            query = "SELECT key, root, source, paid FROM pages WHERE root = ? AND source = ?"
            for row in self.connection().execute(query, record.key).fetchall():
                if page := inherit_page(cached_page_from_json(*row), is_known):
                    values = (page.root, page.source, cached_page_to_json(page), page.key)
                    update = "UPDATE pages SET root = ?, source = ?, paid = ? WHERE key = ?"
                    self.connection().execute(update, values)
                else:
                    self.connection().execute("DELETE FROM pages WHERE key = ?", (row[0],))

    def connection(self) -> sqlite3.Connection:
        """Return the connection, opened on first use; with the lock held."""
        if self.db is None:
            assert self.path is not None
            self.db = open_connection(self.path, WRITE_TIMEOUT_SECONDS, any_thread=True)
            # FULL: an entry that was paid for survives a power failure.
            self.db.execute("PRAGMA synchronous = FULL")
        return self.db

    def close(self) -> None:
        """Close the connection."""
        with self.lock:
            if self.db is not None:
                self.db.close()
                self.db = None
