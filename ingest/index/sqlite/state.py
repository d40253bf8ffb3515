"""All of an index but its chunks, in one SQLite file: records, roots, runs, cached pages, lock."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.index.sqlite.database import Database
from ingest.index.sqlite.lock import FolderLock
from ingest.index.sqlite.manifest import SqliteManifest
from ingest.index.sqlite.page_cache import SqlitePageCache
from ingest.index.sqlite.records import SqliteRecords
from ingest.index.sqlite.roots import SqliteRoots
from ingest.index.sqlite.runs import SqliteRunHistory
from ingest.models import CachedPage, Record


class SqliteState(SqliteRecords, SqliteRoots, SqliteManifest, SqliteRunHistory, FolderLock):
    """RecordStore, RootRegistry, ManifestStore, RunHistory, PageCache and Lock in one."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.page_cache = SqlitePageCache(database.path)

    def forget(self, record: Record, *, keeps_pages: bool = False) -> None:
        super().forget(record)
        if not keeps_pages:
            with self.database.translate_errors():
                self.page_cache.forget(record, self.record)

    def cached_page(self, key: str) -> CachedPage | None:
        with self.database.translate_errors():
            return self.page_cache.cached_page(key)

    def cached_page_sources(self) -> Iterator[tuple[str, str]]:
        with self.database.translate_errors():
            yield from self.page_cache.cached_page_sources()

    def cache_page(self, page: CachedPage) -> None:
        with self.database.translate_errors():
            self.page_cache.cache_page(page)

    def close(self) -> None:
        self.page_cache.close()
        self.db.close()
        self.lock.release()
