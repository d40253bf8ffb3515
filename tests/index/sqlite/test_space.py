"""Room of a local index: what deletions left free goes back to the disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from ingest.index.sqlite.connection import open_connection
from ingest.index.sqlite.database import INCREMENTAL_VACUUM
from ingest.index.sqlite.index import SqliteIndex
from ingest.index.sqlite.space import measure_parts, reclaim_space
from tests.conftest import DIMENSIONS, MODEL

ROWS, ROW_BYTES = 2000, 2000


def fill(path: Path, auto_vacuum: int) -> sqlite3.Connection:
    """A file of 4 MB, as a version makes it."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA auto_vacuum = {auto_vacuum}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE chunks (id INTEGER PRIMARY KEY, content)")
    db.execute("BEGIN")
    rows = ((bytes(ROW_BYTES),) for _ in range(ROWS))
    db.executemany("INSERT INTO chunks (content) VALUES (?)", rows)
    db.execute("COMMIT")
    return db


@pytest.mark.parametrize("auto_vacuum", [0, INCREMENTAL_VACUUM])
def test_a_file_shrinks_after_large_deletions(auto_vacuum: int, tmp_path: Path) -> None:
    """I remove most of an archive: the file is small again, also one of an earlier version."""
    path = tmp_path / "index.db"
    with closing(fill(path, auto_vacuum)) as db:
        db.execute("DELETE FROM chunks WHERE id % 10 = 0")
        assert reclaim_space(db, path) == 0  # little is free, and is used again
        db.execute("DELETE FROM chunks WHERE id > 500")
        assert reclaim_space(db, path) > 2_500_000
        assert path.stat().st_size < 1_500_000
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT count(*) FROM chunks").fetchone() == (450,)
        assert db.execute("PRAGMA auto_vacuum").fetchone() == (INCREMENTAL_VACUUM,)
        parts = measure_parts(db)
        assert parts.get("free", 0) == 0
        assert 900_000 < parts["texts"] <= path.stat().st_size


def test_a_file_that_is_being_read_shrinks_once_it_is_not(tmp_path: Path) -> None:
    """A search is under way while the run ends: neither fails, and the room is given back later."""
    path = tmp_path / "index.db"
    with closing(fill(path, 0)) as db, closing(open_connection(path, 0.0)) as reader:
        db.execute("PRAGMA busy_timeout = 0")
        db.execute("DELETE FROM chunks WHERE id > 500")
        cursor = reader.execute("SELECT id FROM chunks")
        cursor.fetchone()
        reclaim_space(db, path)
        assert sum(1 for _ in cursor) == 499
    assert path.stat().st_size < 1_500_000


def test_a_new_index_can_give_room_back(tmp_path: Path) -> None:
    """It is made so, and says what takes how much."""
    with closing(SqliteIndex(tmp_path, MODEL, DIMENSIONS, create=True)) as index:
        assert index.database.pragma("auto_vacuum") == INCREMENTAL_VACUUM
        assert {"vectors", "word index", "texts"} <= index.part_sizes().keys()
        index.reclaim_space()
    with closing(SqliteIndex(tmp_path / "none", MODEL, DIMENSIONS, create=False)) as absent:
        absent.reclaim_space()
