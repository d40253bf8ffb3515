"""Manifest of an index, in SQLite."""

from __future__ import annotations

from ingest.index.manifest import INDEX_FORMAT, Manifest, manifest_from_json, manifest_to_json
from ingest.index.sqlite.connection import has_table
from ingest.index.sqlite.database import Tables

# Not in the schema: the first write creates it in an older index.
CREATE_MANIFEST_SQL = "CREATE TABLE IF NOT EXISTS manifest (json TEXT NOT NULL)"


class SqliteManifest(Tables):
    """ManifestStore in the table `manifest`, which has one row."""

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
