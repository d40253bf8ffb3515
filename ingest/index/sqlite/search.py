"""How an embedded index is searched: by meaning with numpy, by words with SQLite's FTS5."""

from __future__ import annotations

import sqlite3
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from ingest.index.ranking import CANDIDATES, Matrix, fused
from ingest.index.sqlite.tokenize import CHARACTER, folded, match_query, terms
from ingest.models import Mode

if TYPE_CHECKING:
    from ingest.models import Vectors

FEWEST_WORDS = 2
COMMON = 0.5  # of all chunks: BM25 gives nothing for a word in more of them
ROWS = 30_000  # that a question reads, in some 20 ms; in a large index frequent words give way


class Finder:
    """The chunks of an index, ranked. It keeps the vectors in memory until the index changes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.matrix: Matrix | None = None

    def ranked(
        self, text: str, vector: Vectors | None, mode: Mode, top: int
    ) -> list[tuple[int, float]]:
        """The numbers of the best chunks for a question, and their scores, best first."""
        depth = max(CANDIDATES, top)
        if mode is Mode.TEXT or vector is None:
            return self.matching(text, top) if mode is not Mode.VECTOR else []
        if mode is Mode.VECTOR:
            return self.nearest(vector, top)
        return fused(self.nearest(vector, depth), self.matching(text, depth))[:top]

    def nearest(self, vector: Vectors, top: int) -> list[tuple[int, float]]:
        """The chunks whose vectors have the highest cosine with the vector's, exactly."""
        if self.matrix is None or self.matrix.version != self.version():
            self.matrix = self.load()
        return self.matrix.nearest(vector, top)

    def load(self) -> Matrix:
        """All vectors, as they are now."""
        version = self.version()
        rows = self.db.execute("SELECT number, embedding FROM vectors ORDER BY number").fetchall()
        dimensions = self.db.execute("SELECT dimensions FROM about").fetchone()[0]
        flat = np.frombuffer(b"".join(row[1] for row in rows), "<f4")
        return Matrix(version, np.array([row[0] for row in rows]), flat.reshape(-1, dimensions))

    def version(self) -> tuple[int, int]:
        """Differs once anybody, this connection included, has changed the index."""
        version = self.db.execute("PRAGMA data_version").fetchone()[0]
        return int(version), self.db.total_changes

    def matching(self, text: str, top: int) -> list[tuple[int, float]]:
        """The chunks that BM25 ranks highest for any of the words that tell chunks apart."""
        query = match_query(self.telling(terms(text)))
        if not query:
            return []
        select = "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        return self.db.execute(select, (query, top)).fetchall()

    def telling(self, words: list[str]) -> list[str]:
        """The words without those that stand in many chunks, the rarest first; few if all do.

        This is what a list of stop words is for, in whatever language the index is.
        """
        self.db.execute(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab(main, words, row)"
        )
        marks = ", ".join("?" * len(words))
        query = f"SELECT term, doc FROM temp.vocabulary WHERE term IN ({marks})"
        counts = dict(self.db.execute(query, [folded(word) for word in words]).fetchall())
        most = COMMON * self.db.execute("SELECT count(*) FROM words_docsize").fetchone()[0]
        # What stands in no chunk says nothing, but scripts without spaces are not counted by words.
        known = [word for word in words if folded(word) in counts or CHARACTER.match(word)] or words
        known.sort(key=lambda word: counts.get(folded(word), 0))
        read = accumulate(counts.get(folded(word), 0) for word in known)
        rare = [
            word
            for word, rows in zip(known, read, strict=True)
            if counts.get(folded(word), 0) <= most and rows <= ROWS
        ]
        return rare or known[:FEWEST_WORDS]
