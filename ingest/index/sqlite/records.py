"""Records of sources, in SQLite."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import Future

from ingest.index.records import ID_LISTS, RECORD_NAMES, details_to_json, record_from_values
from ingest.index.sqlite.database import Tables, read_vector_space
from ingest.models import NOT_INDEXED_OUTCOMES, Record, SourceKey

LISTED_COLUMNS = [name for name in RECORD_NAMES if name not in ID_LISTS]
PAGE_ROWS = 1000  # rows read at a time


class SqliteRecords(Tables):
    """RecordStore in the table `records`; the page cache is the caller's."""

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

    def forget(self, record: Record, *, keeps_pages: bool = False) -> None:  # noqa: ARG002 - none here
        with self.database.transaction():
            self.db.execute(
                "DELETE FROM records WHERE root = ? AND source = ?", (record.root, record.source)
            )
