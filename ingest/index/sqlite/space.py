"""Space in an SQLite file: give back pages that deletions freed, and measure each part.

SQLite reuses free pages and never gives them back unasked. A new file can shrink page by page
(`auto_vacuum`); one of an earlier version is rewritten once, which takes its size again.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path

from ingest.index.sqlite.database import INCREMENTAL_VACUUM

FREE_SHARE = 0.25  # of the file that may be free; later additions take it
MIN_FREE_BYTES = 1_000_000
SLICE_PAGES = 1000  # given back in one transaction
ROOM_FACTOR = 2.0  # free room on the disk that rewriting a file takes, in files

# Parts of an index by the beginnings of table names, the first that fits.
PARTS = (
    ("vectors", "vectors"),
    ("words_content", "copies of texts for the word index"),
    ("words", "word index"),
    ("chunks", "texts"),
    ("sqlite_autoindex_chunks", "texts"),
    ("", "records and other data"),
)


def reclaim_space(db: sqlite3.Connection, path: Path) -> int:
    """Shrink a file of which much is free; returns the bytes that were given back.

    A file that is locked, or that has no room to be rewritten, stays as it is. The file itself
    shrinks once no other connection reads it.
    """
    page_size, pages, free = count_file_pages(db)
    if free < FREE_SHARE * pages or free * page_size < MIN_FREE_BYTES:
        return 0
    with suppress(sqlite3.OperationalError):  # locked, or the disk is full: the next run tries
        if db.execute("PRAGMA auto_vacuum").fetchone()[0] == INCREMENTAL_VACUUM:
            while (left := count_file_pages(db)[2]) > 0:
                db.execute(f"PRAGMA incremental_vacuum({SLICE_PAGES})").fetchall()
                if count_file_pages(db)[2] >= left:
                    break
        elif shutil.disk_usage(path.parent).free > ROOM_FACTOR * pages * page_size:
            db.execute(f"PRAGMA auto_vacuum = {INCREMENTAL_VACUUM}")
            db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return (pages - count_file_pages(db)[1]) * page_size


def count_file_pages(db: sqlite3.Connection) -> tuple[int, int, int]:
    """Read the bytes of a page, the number of pages of a file, and how many of them are free."""
    size, count, free = (
        db.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_size", "page_count", "freelist_count")
    )
    return size, count, free


def measure_parts(db: sqlite3.Connection) -> dict[str, int]:
    """Measure the bytes of each part of an index; empty where SQLite was built without dbstat."""
    query = "SELECT name, pgsize FROM dbstat WHERE aggregate = TRUE"
    try:
        rows = db.execute(query).fetchall()
    except sqlite3.OperationalError:
        return {}
    sizes: dict[str, int] = {}
    for name, size in rows:
        part = next(part for start, part in PARTS if name.startswith(start))
        sizes[part] = sizes.get(part, 0) + size
    page_size, _, free = count_file_pages(db)
    return sizes | ({"free": free * page_size} if free else {})
