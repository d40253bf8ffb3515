"""Names of the roots of an index, in SQLite."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ingest.index.schema import root_from_json, root_to_json
from ingest.index.sqlite.connection import has_table
from ingest.index.sqlite.database import Tables
from ingest.models import KnownRoot

log = logging.getLogger(__name__)

# Not in the schema: the first write creates it in an older index.
CREATE_ROOTS_SQL = "CREATE TABLE IF NOT EXISTS roots (name TEXT PRIMARY KEY, known TEXT NOT NULL)"
TABLES_WITH_ROOT = ("records", "chunks", "pages")


class SqliteRoots(Tables):
    """RootRegistry in the table `roots`."""

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
