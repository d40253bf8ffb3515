"""The documents of an index as one kind of reader sees them, found fast.

What is looked for is built when it is first asked for and kept up to date from then on, so that a
bulk load costs nothing extra.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tests.emulator.analysis import Analyze
from tests.emulator.filters import Condition
from tests.emulator.server import Json
from tests.emulator.simple import AND, OR, Clause, Group, Not, parse
from tests.emulator.vectors import Vectors, normalize_rows

SATURATION, LENGTH = 1.2, 0.75  # k1 and b of BM25


class Documents:
    """Documents by key."""

    def __init__(self) -> None:
        self.by_key: dict[str, Json] = {}
        self.keys: list[str] | None = None  # in order
        self.equal: dict[str, dict[Any, set[str]]] = {}  # by field and value
        self.words: dict[str, Words] = {}  # by field
        self.rows: dict[str, tuple[list[str], Vectors]] = {}  # by vector field

    def put(self, key: str, document: Json | None) -> None:
        """Insert, replace, or with None remove."""
        old = self.by_key.pop(key, None)
        if document is not None:
            self.by_key[key] = document
        self.rows.clear()
        if self.keys is not None:
            if old is None and document is not None:
                insort(self.keys, key)
            elif old is not None and document is None:
                del self.keys[bisect_left(self.keys, key)]
        for field, found in self.equal.items():
            if old is not None:
                found[old.get(field)].discard(key)
            if document is not None:
                found.setdefault(document.get(field), set()).add(key)
        for field, words in self.words.items():
            words.put(key, document.get(field) if document is not None else None)

    def ordered(self) -> list[str]:
        """All keys in their order."""
        if self.keys is None:
            self.keys = sorted(self.by_key)
        return self.keys

    def matching(self, condition: Condition | None, key: str) -> Iterator[Json]:
        """Documents that meet the condition, in key order; reads no more of them than it must."""
        if condition is None:
            yield from (self.by_key[k] for k in self.ordered())
            return
        yield from (
            d for k in self.candidates(condition, key) if condition.test(d := self.by_key[k])
        )

    def candidates(self, condition: Condition, key: str) -> Iterable[str]:
        """Keys in order, among them all that meet the condition."""
        sets = [self.having(f, v) for f, sign, v in condition.facts if sign == "eq" and f != key]
        if sets:
            fewest: set[str] = min(sets, key=len)
            return sorted(fewest)
        keys = self.ordered()
        start, end = 0, len(keys)
        for field, sign, value in condition.facts:
            if field != key or not isinstance(value, str):
                continue
            if sign in {"eq", "ge"}:
                start = max(start, bisect_left(keys, value))
            if sign == "gt":
                start = max(start, bisect_right(keys, value))
            if sign in {"eq", "le"}:
                end = min(end, bisect_right(keys, value))
            if sign == "lt":
                end = min(end, bisect_left(keys, value))
        return (keys[i] for i in range(start, end))

    def having(self, field: str, value: Any) -> set[str]:
        """Keys of the documents with that value."""
        if field not in self.equal:
            found: dict[Any, set[str]] = {}
            for key, document in self.by_key.items():
                found.setdefault(document.get(field), set()).add(key)
            self.equal[field] = found
        return self.equal[field].get(value, set())

    def nearest(
        self, field: str, vector: Vectors, count: int, among: set[str] | None
    ) -> list[tuple[str, float]]:
        """Keys and scores of the nearest, best first."""
        if field not in self.rows:
            have = [k for k in self.ordered() if self.by_key[k].get(field) is not None]
            stack = [self.by_key[k][field] for k in have]
            self.rows[field] = (
                (have, normalize_rows(np.stack(stack))) if stack else (have, vector[None][:0])
            )
        keys, rows = self.rows[field]
        if among is not None:
            places = [i for i, k in enumerate(keys) if k in among]
            keys, rows = [keys[i] for i in places], rows[places]
        cosines = rows @ normalize_rows(vector[None])[0]
        best = np.argsort(-cosines, kind="stable")[:count]
        return [(keys[i], 1 / (2 - float(cosines[i]))) for i in best]

    def mentioning(
        self, text: str, analyzers: dict[str, Analyze], *, every: bool
    ) -> dict[str, float]:
        """Keys and BM25 scores of the documents that match a query in the simple syntax.

        `analyzers` are those of the fields to search.
        """
        for field, analyze in analyzers.items():
            if field not in self.words:
                said = {k: d.get(field) for k, d in self.by_key.items()}
                self.words[field] = Words(said, analyze)
        clause = parse(text, AND if every else OR)
        return self.scores(clause, analyzers, every=every) if clause else {}

    def scores(
        self, clause: Clause, analyzers: dict[str, Analyze], *, every: bool
    ) -> dict[str, float]:
        """Keys and scores of the documents that match a clause."""
        if isinstance(clause, Not):
            found = self.scores(clause.part, analyzers, every=every)
            return {key: 1.0 for key in self.by_key if key not in found}
        if isinstance(clause, Group):
            parts = [self.scores(part, analyzers, every=every) for part in clause.parts]
            return add_scores(parts, every=clause.operator == AND)
        wanted = dict.fromkeys(w for analyze in analyzers.values() for w in analyze(clause.text))
        fields = [self.words[field] for field in analyzers]
        if clause.prefix:
            begun = clause.text.lower()
            wanted = dict.fromkeys(w for f in fields for w in f.places if w.startswith(begun))
        words = [add_scores([dict(f.scores(word)) for f in fields], every=False) for word in wanted]
        found = add_scores(words, every=clause.phrase or (every and not clause.prefix))
        if not clause.phrase:
            return found
        return {
            key: score
            for key, score in found.items()
            if any(
                self.words[f].has_phrase(self.by_key[key].get(f), clause.text) for f in analyzers
            )
        }


def add_scores(parts: Sequence[dict[str, float]], *, every: bool) -> dict[str, float]:
    """Add the scores of documents in any, or every, part."""
    sums: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        for key, score in part.items():
            sums[key] += score
    return {k: s for k, s in sums.items() if not every or all(k in part for part in parts)}


class Words:
    """Inverted index of one field: the documents of each word."""

    def __init__(self, texts: dict[str, Any], analyze: Analyze) -> None:
        self.analyze = analyze
        self.counts: dict[str, Counter[str]] = {}  # by document
        self.places: dict[str, dict[str, int]] = {}  # by word, then document
        self.lengths: dict[str, int] = {}  # in words
        self.total = 0
        for key, text in texts.items():
            self.put(key, text)

    def put(self, key: str, text: Any) -> None:
        """Replace what a document says; None is nothing."""
        old = self.counts.pop(key, None)
        if old:
            self.total -= self.lengths.pop(key)
            for word in old:
                del self.places[word][key]
        if text:
            said = text if isinstance(text, str) else " ".join(text)
            new = self.counts[key] = Counter(self.analyze(said))
            self.lengths[key] = new.total()
            self.total += self.lengths[key]
            for word, count in new.items():
                self.places.setdefault(word, {})[key] = count

    def has_phrase(self, text: Any, phrase: str) -> bool:
        """Return whether a text has the words of a phrase in a row."""
        said = self.analyze(text if isinstance(text, str) else " ".join(text or ()))
        wanted = self.analyze(phrase)
        return any(
            said[place : place + len(wanted)] == wanted
            for place in range(len(said) - len(wanted) + 1)
        )

    def scores(self, word: str) -> Iterator[tuple[str, float]]:
        """Keys of the documents with the word, and what it adds to their scores."""
        found = self.places.get(word, {})
        rarity = math.log(1 + (len(self.counts) - len(found) + 0.5) / (len(found) + 0.5))
        usual = self.total / max(1, len(self.counts))
        for key, count in found.items():
            length = self.lengths[key] / usual
            damped = count + SATURATION * (1 - LENGTH + LENGTH * length)
            yield key, rarity * count * (SATURATION + 1) / damped


class View:
    """Documents that show a change only some time after it was made."""

    def __init__(self) -> None:
        self.documents = Documents()
        self.coming: deque[tuple[float, str, Json | None]] = deque()

    def put(self, key: str, document: Json | None, now: float, delay: float) -> None:
        """Show the change later; never before one that was made earlier."""
        if delay <= 0 and not self.coming:
            self.documents.put(key, document)
            return
        due = max(now + delay, self.coming[-1][0] if self.coming else now)
        self.coming.append((due, key, document))

    def at(self, now: float) -> Documents:
        """Documents that are visible."""
        while self.coming and self.coming[0][0] <= now:
            _, key, document = self.coming.popleft()
            self.documents.put(key, document)
        return self.documents
