"""The local index: SQLite, FTS5 and numpy in a folder."""
