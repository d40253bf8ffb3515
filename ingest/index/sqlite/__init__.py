"""The embedded index: SQLite, FTS5 and numpy in a folder."""
