"""Search of the local index: vectors with numpy, keywords with SQLite's FTS5."""

from __future__ import annotations

import logging
import math
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, islice
from operator import itemgetter

import numpy as np

from ingest.index.function_words import FUNCTION_WORDS, find_names, guess_language, is_written_in
from ingest.index.ranking import Matrix
from ingest.index.sqlite.tokenize import fold_case, match_query, query_terms
from ingest.models import Mode, Vectors

log = logging.getLogger(__name__)

FLOAT_BYTES = 4
TEXT_CANDIDATES = 1000  # of the keyword ranking; chunks of low rank may be near by their vectors
BM25_K1 = 1.2  # of FTS5
GOOD_SHARE = 0.5  # of the highest possible score: see min_max_fusion
MIN_QUERY_WORDS = 2
MAX_DOCUMENT_FREQUENCY = 0.5  # share of chunks; BM25 scores a more frequent word 0
MIN_FUNCTION_WORDS = 2  # of a question, to tell its language
MIN_LANGUAGE_SHARE = 0.15  # of chunks in a language, for an index that is not foreign to it
UNTRANSLATED_WEIGHT = 0.5  # of words in chunks that are in the language of a foreign question
MAX_ROWS_READ = 20_000  # by one query, in some 20 ms; beyond, frequent words are left out


class SqliteSearcher:
    """Ranks chunks. Keeps all vectors in memory until the index changes."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.matrix: Matrix | None = None

    def rank(  # noqa: PLR0913 - a query, and what to rank
        self,
        text: str,
        vector: Vectors | None,
        mode: Mode,
        top: int,
        weight: float,
        *,
        among: Collection[int] | None = None,
    ) -> list[tuple[int, float]]:
        """Rank chunks for a query: (row number, score), best first.

        `weight`: of vectors in a hybrid search, where words have 1; `among`: the chunks to rank,
        None for all.
        """
        if mode is Mode.VECTOR:
            return [] if vector is None else self.current_matrix().only(among).nearest(vector, top)
        language = self.foreign_language(text)
        words = self.select_words(text, language)
        by_text = self.search_words(words, max(TEXT_CANDIDATES, top), among)
        if language:
            by_text = self.discount_untranslated(by_text, language)
        if mode is Mode.TEXT or vector is None:
            return by_text[:top]
        good = GOOD_SHARE * self.highest_score(words)
        return self.current_matrix().only(among).fuse(vector, by_text, good, weight, top)

    def current_matrix(self) -> Matrix:
        """Return all vectors as they are stored now."""
        if self.matrix is None or self.matrix.version != self.data_version():
            self.matrix = self.load_matrix()
        return self.matrix

    def load_matrix(self) -> Matrix:
        """Load all vectors."""
        version = self.data_version()
        dimensions = self.db.execute("SELECT dimensions FROM about").fetchone()[0]
        stored = self.db.execute("SELECT number, embedding FROM vectors ORDER BY number").fetchall()
        size = dimensions * FLOAT_BYTES
        rows = [row for row in stored if isinstance(row[1], bytes) and len(row[1]) == size]
        vectors = np.frombuffer(b"".join(row[1] for row in rows), "<f4").reshape(-1, dimensions)
        numbers = np.array([row[0] for row in rows], np.int64)
        if not np.isfinite(vectors.sum()):  # one alone would hide all others
            is_finite = np.isfinite(vectors).all(axis=1)
            numbers, vectors = numbers[is_finite], vectors[is_finite]
        if spoilt := len(stored) - len(numbers):
            log.warning(
                "%d vectors of the index cannot be read, and are not searched: "
                "ingest check --repair mends them",
                spoilt,
            )
        return Matrix(version, numbers, vectors)

    def data_version(self) -> tuple[int, int]:
        """Return a value that changes whenever any connection, or this one, writes."""
        version = self.db.execute("PRAGMA data_version").fetchone()[0]
        return int(version), self.db.total_changes

    def search_words(
        self, words: Mapping[str, int], top: int, among: Collection[int] | None = None
    ) -> list[tuple[int, float]]:
        """Rank chunks by BM25 for any of the words."""
        if not words:
            return []
        select = "SELECT rowid, -rank FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?"
        limit = top if among is None else -1  # -1: none
        found = self.db.execute(select, (match_query(list(words)), limit))
        return list(islice((row for row in found if among is None or row[0] in among), top))

    def discount_untranslated(
        self, by_text: Sequence[tuple[int, float]], language: str
    ) -> list[tuple[int, float]]:
        """Lower the scores of chunks in a language that is not their document's; best first.

        Parts of a translated manual that are still in the question's language have its words
        because of that; a translated part that answers has only names and code of them.
        """
        return sorted(
            (
                (number, score * (UNTRANSLATED_WEIGHT if self.is_quoted(number, language) else 1))
                for number, score in by_text
            ),
            key=itemgetter(1),
            reverse=True,
        )

    def is_quoted(self, number: int, language: str) -> bool:
        """Return whether a chunk is in a language, and its document in another one."""
        select = "SELECT content, language FROM chunks WHERE number = ? AND language <> ?"
        row = self.db.execute(select, (number, language)).fetchone()
        return row is not None and is_written_in(str(row[0]), language, rather_than=row[1])

    def select_words(self, text: str, language: str = "") -> dict[str, int]:
        """Drop the words that occur in many chunks; if all do, keep the rarest few.

        Returns the number of chunks with each word, rarest first. This does the job of a stop word
        list, in the languages of the documents. `language` is given for a question in a foreign
        language: its function words, as rare as names there, are dropped. Words that no chunk has
        are kept then, with 0: chunks that answer have translations of them, so one with a single
        word of the question must not score as if it had all.
        """
        counts = self.count_each(query_terms(text))
        if language:
            foreign = find_function_words(text, counts, language)
            content = {word: n for word, n in counts.items() if word not in foreign}
            counts = content if any(content.values()) else counts
        else:
            counts = {word: n for word, n in counts.items() if n}
        most = MAX_DOCUMENT_FREQUENCY * self.count_all()
        rare = {
            word: count
            for (word, count), rows in zip(counts.items(), accumulate(counts.values()), strict=True)
            if count <= most and rows <= MAX_ROWS_READ
        }
        return rare or dict(list(counts.items())[:MIN_QUERY_WORDS])

    def foreign_language(self, text: str) -> str:
        """Return the language of a question, told by its function words, if few chunks are in it.

        Returns "" for other questions.
        """
        words = query_terms(text)
        language = guess_language([fold_case(word) for word in words])
        if len(find_function_words(text, words, language)) < MIN_FUNCTION_WORDS:
            return ""  # perhaps words of another language
        return "" if self.has_language(language) else language

    def has_language(self, language: str) -> bool:
        """Return whether enough chunks are of documents in a language, or in an unknown one.

        The language of the whole document counts: a third of a translated manual's chunks may quote
        English licences, and an English question is not about those.
        """
        query = "SELECT count(*) FROM chunks WHERE coalesce(language, ?1) = ?1"
        count = int(self.db.execute(query, (language,)).fetchone()[0])
        return count >= MIN_LANGUAGE_SHARE * self.count_all()

    def count_each(self, words: Sequence[str]) -> dict[str, int]:
        """Return the number of chunks with each word, rarest first."""
        counts = {word: self.count_chunks(word) for word in words}
        return dict(sorted(counts.items(), key=itemgetter(1)))

    def count_chunks(self, word: str) -> int:
        """Count the chunks with a word."""
        query = "SELECT count(*) FROM words WHERE words MATCH ?"
        return int(self.db.execute(query, (match_query([word]),)).fetchone()[0])

    def count_all(self) -> int:
        """Count the chunks in the word index."""
        return int(self.db.execute("SELECT count(*) FROM words_docsize").fetchone()[0])

    def highest_score(self, words: Mapping[str, int]) -> float:
        """Return the limit of the BM25 score, which a chunk with each word very often has."""
        total = self.count_all()
        weights = (math.log((total - count + 0.5) / (count + 0.5)) for count in words.values())
        return (BM25_K1 + 1) * sum(max(weight, 0.0) for weight in weights)


def find_function_words(text: str, words: Iterable[str], language: str) -> set[str]:
    """Return the words of a question that are function words of a language, and no names."""
    known = FUNCTION_WORDS[language] - set(map(fold_case, find_names(text)))
    return {word for word in words if fold_case(word) in known}
