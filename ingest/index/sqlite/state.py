"""An index without its chunks, in one SQLite file: records, roots, runs, cached pages, lock."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future

from ingest.index import MAX_SAVED_RUNS
from ingest.index.manifest import INDEX_FORMAT, Manifest, manifest_from_json, manifest_to_json
from ingest.index.records import ID_LISTS, RECORD_NAMES, details_to_json, record_from_values
from ingest.index.schema import root_from_json, root_to_json, summaries_from_json, summary_to_json
from ingest.index.sqlite.connection import has_table
from ingest.index.sqlite.database import Database, read_vector_space
from ingest.index.sqlite.lock import FolderLock
from ingest.index.sqlite.page_cache import SqlitePageCache
from ingest.models import NOT_INDEXED_OUTCOMES, CachedPage, KnownRoot, Record, SourceKey, Summary

log = logging.getLogger(__name__)

LISTED_COLUMNS = [name for name in RECORD_NAMES if name not in ID_LISTS]
PAGE_ROWS = 1000  # rows read at a time
TABLES_WITH_ROOT = ("records", "chunks", "pages")

# Not in the schema: the first write creates each in an older index. `manifest` has one row.
CREATE_ROOTS_SQL = "CREATE TABLE IF NOT EXISTS roots (name TEXT PRIMARY KEY, known TEXT NOT NULL)"
CREATE_MANIFEST_SQL = "CREATE TABLE IF NOT EXISTS manifest (json TEXT NOT NULL)"
CREATE_RUNS_SQL = "CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, summary TEXT)"


class SqliteState(FolderLock):
    """RecordStore, RootRegistry, ManifestStore, RunHistory, PageCache and Lock in one."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.page_cache = SqlitePageCache(database.path)

    def vector_space(self) -> tuple[str, int] | None:
        with self.database.translate_errors():
            return read_vector_space(self.db)

    def records(self, root: str | None = None) -> Iterator[Record]:
        # In pages, because the caller saves records while it reads. A condition on the pair would
        # make SQLite scan a root from its start for every page.
        where = "(root, source) > (?, ?)" if root is None else "root = ? AND source > ?"
        query = (
            f"SELECT {', '.join(LISTED_COLUMNS)} FROM records WHERE {where} "
            "ORDER BY root, source LIMIT ?"
        )
        last = ("", "") if root is None else (root, "")
        while True:
            with self.database.translate_errors():
                rows = self.db.execute(query, (*last, PAGE_ROWS)).fetchall()
            yield from (
                record_from_values(dict(zip(LISTED_COLUMNS, row, strict=True))) for row in rows
            )
            if len(rows) < PAGE_ROWS:
                return
            last = rows[-1][:2]

    def record(self, root: str, source: str, _: Record | None = None, /) -> Record | None:
        query = f"SELECT {', '.join(RECORD_NAMES)} FROM records WHERE root = ? AND source = ?"
        with self.database.translate_errors():
            row = self.db.execute(query, (root, source)).fetchone()
        if row is None:
            return None
        values = dict(zip(RECORD_NAMES, row, strict=True))
        ids = {name: str(values[name] or "").split() for name in ID_LISTS}
        return record_from_values(values | ids)

    def errors_of(self, sources: Collection[SourceKey]) -> dict[SourceKey, str]:
        query = "SELECT outcome, error FROM records WHERE root = ? AND source = ?"
        with self.database.translate_errors():
            found = {key: self.db.execute(query, key).fetchone() for key in sources}
        return {key: row[1] for key, row in found.items() if row and row[0] in NOT_INDEXED_OUTCOMES}

    def count_records(self) -> int:
        with self.database.translate_errors():
            return int(self.db.execute("SELECT count(*) FROM records").fetchone()[0])

    def save(self, record: Record) -> Future[None]:
        values = {name: getattr(record, name) for name in RECORD_NAMES}
        values["committed"] = " ".join(record.committed)
        values["pending"] = " ".join(record.pending)
        values["details"] = details_to_json(record)
        marks = ", ".join("?" * len(values))
        with self.database.transaction():
            self.db.execute(
                f"INSERT OR REPLACE INTO records ({', '.join(values)}) VALUES ({marks})",
                tuple(values.values()),
            )
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def forget(self, record: Record, *, keeps_pages: bool = False) -> None:
        with self.database.transaction():
            self.db.execute(
                "DELETE FROM records WHERE root = ? AND source = ?", (record.root, record.source)
            )
        if not keeps_pages:
            with self.database.translate_errors():
                self.page_cache.forget(record, self.record)

    def roots(self) -> list[KnownRoot]:
        with self.database.translate_errors():
            if not has_table(self.db, "roots"):
                return []
            rows = self.db.execute("SELECT name, known FROM roots ORDER BY name").fetchall()
        found = []
        for name, known in rows:
            try:
                found.append(root_from_json(known))
            except (ValueError, TypeError):  # known by its records, and equal texts are found
                log.warning("what the index says of its root %s cannot be read: left out", name)
        return found

    def save_roots(self, roots: Sequence[KnownRoot]) -> None:
        with self.database.transaction():
            self.db.execute(CREATE_ROOTS_SQL)
            self.db.execute("DELETE FROM roots")
            rows = [(root.name, root_to_json(root)) for root in roots]
            self.db.executemany("INSERT INTO roots VALUES (?, ?)", rows)

    def rename_root(self, old: str, new: str) -> bool:
        with self.database.transaction():
            changed = 0
            for table in TABLES_WITH_ROOT:
                if has_table(self.db, table):
                    query = f"UPDATE {table} SET root = ? WHERE root = ?"
                    changed += self.db.execute(query, (new, old)).rowcount
        return changed > 0

    def manifest(self) -> Manifest | None:
        with self.database.translate_errors():
            if not has_table(self.db, "manifest"):
                return None
            row = self.db.execute("SELECT json FROM manifest").fetchone()
        return manifest_from_json(row[0]) if row else None

    def save_manifest(self, manifest: Manifest) -> None:
        with self.database.transaction():
            self.db.execute(CREATE_MANIFEST_SQL)
            self.db.execute("DELETE FROM manifest")
            self.db.execute("INSERT INTO manifest VALUES (?)", (manifest_to_json(manifest),))
            # So that a version without manifests refuses the file.
            self.db.execute(f"PRAGMA user_version = {INDEX_FORMAT}")

    def save_run(self, summary: Summary) -> None:
        with self.database.transaction():
            self.db.execute(CREATE_RUNS_SQL)
            self.db.execute("INSERT INTO runs (summary) VALUES (?)", (summary_to_json(summary),))
            self.db.execute(
                "DELETE FROM runs WHERE number <= (SELECT max(number) FROM runs) - ?",
                (MAX_SAVED_RUNS,),
            )

    def runs(self, limit: int) -> list[Summary]:
        with self.database.translate_errors():
            if not has_table(self.db, "runs"):
                return []
            query = "SELECT summary FROM runs ORDER BY number DESC LIMIT ?"
            rows = self.db.execute(query, (limit,)).fetchall()
        return summaries_from_json(row[0] for row in rows)

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
