"""Summaries of past runs, in SQLite."""

from __future__ import annotations

from ingest.index import MAX_SAVED_RUNS
from ingest.index.schema import summaries_from_json, summary_to_json
from ingest.index.sqlite.connection import has_table
from ingest.index.sqlite.database import Tables
from ingest.models import Summary

CREATE_RUNS_SQL = "CREATE TABLE IF NOT EXISTS runs (number INTEGER PRIMARY KEY, summary TEXT)"


class SqliteRunHistory(Tables):
    """RunHistory in the table `runs`."""

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
