"""Search of the local index: vectors with numpy, keywords with SQLite's FTS5."""

from __future__ import annotations

import sqlite3
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from ingest.index.ranking import Matrix
from ingest.index.sqlite.tokenize import match_query, query_terms
from ingest.models import Mode

if TYPE_CHECKING:
    from ingest.models import Vectors

TEXT_CANDIDATES = 1000  # of the keyword ranking; those of low rank may be near by their vectors
NAMES_WEIGHT = 1.0  # of a word in the name or title, where one in the text has 1
MIN_QUERY_WORDS = 2
MAX_DOCUMENT_FREQUENCY = 0.5  # share of chunks; BM25 scores a more frequent word 0
MAX_ROWS_READ = 20_000  # by one query, in some 20 ms; beyond, frequent words are left out


class SqliteSearcher:
    """Ranks chunks. Keeps all vectors in memory until the index changes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.matrix: Matrix | None = None

    def rank(
        self, text: str, vector: Vectors | None, mode: Mode, top: int, weight: float
    ) -> list[tuple[int, float]]:
        """Rank chunks for a query: (row number, score), best first.

        `weight` is that of vectors in a hybrid search, where words have 1.
        """
        if mode is Mode.TEXT or vector is None:
            return self.search_text(text, top) if mode is not Mode.VECTOR else []
        matrix = self.current_matrix()
        if mode is Mode.VECTOR:
            return matrix.nearest(vector, top)
        by_text = self.search_text(text, max(TEXT_CANDIDATES, top))
        return matrix.fuse(vector, by_text, weight, top)

    def current_matrix(self) -> Matrix:
        """Return all vectors as they are stored now."""
        if self.matrix is None or self.matrix.version != self.data_version():
            self.matrix = self.load_matrix()
        return self.matrix

    def load_matrix(self) -> Matrix:
        """Load all vectors."""
        version = self.data_version()
        rows = self.db.execute("SELECT number, embedding FROM vectors ORDER BY number").fetchall()
        dimensions = self.db.execute("SELECT dimensions FROM about").fetchone()[0]
        flat = np.frombuffer(b"".join(row[1] for row in rows), "<f4")
        return Matrix(version, np.array([row[0] for row in rows]), flat.reshape(-1, dimensions))

    def data_version(self) -> tuple[int, int]:
        """Return a value that changes whenever any connection, or this one, writes."""
        version = self.db.execute("PRAGMA data_version").fetchone()[0]
        return int(version), self.db.total_changes

    def search_text(self, text: str, top: int) -> list[tuple[int, float]]:
        """Rank chunks by BM25 for any of the query's rare words."""
        query = match_query(self.select_rare_words(query_terms(text)))
        if not query:
            return []
        select = "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        return self.db.execute(select, (query, top)).fetchall()

    def select_rare_words(self, words: list[str]) -> list[str]:
        """Drop the words that occur in many chunks; rarest first. If all do, keep the rarest few.

        This does the job of a stop word list, in any language.
        """
        counts = {word: self.count_chunks(word) for word in words}
        most = (
            MAX_DOCUMENT_FREQUENCY
            * self.db.execute("SELECT count(*) FROM words_docsize").fetchone()[0]
        )
        known = sorted((word for word in words if counts[word]), key=counts.__getitem__)
        read = accumulate(counts[word] for word in known)
        rare = [
            word
            for word, rows in zip(known, read, strict=True)
            if counts[word] <= most and rows <= MAX_ROWS_READ
        ]
        return rare or known[:MIN_QUERY_WORDS]

    def count_chunks(self, word: str) -> int:
        """Count the chunks with a word."""
        query = "SELECT count(*) FROM words WHERE words MATCH ?"
        return int(self.db.execute(query, (match_query([word]),)).fetchone()[0])
