"""Nearest neighbours by exact cosine, score fusion, and hits of equal texts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ingest.models import Hit, Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray


FUSION_CANDIDATES = 50  # of the vector ranking
SPARE_HITS = 10  # read beyond twice those wanted, as copies of a text are merged


@dataclass(frozen=True, slots=True)
class Matrix:
    """Vectors of an index at one version of its data."""

    version: tuple[int, int]
    numbers: NDArray[np.int64]  # of the chunks, one per row, ascending
    rows: NDArray[np.float32]  # unit vectors, shape (chunks, dimensions)

    def only(self, among: Collection[int] | None) -> Matrix:
        """Return the rows of some chunks; all of them for None."""
        if among is None:
            return self
        kept = np.isin(self.numbers, np.fromiter(among, np.int64, len(among)))
        return Matrix(self.version, self.numbers[kept], self.rows[kept])

    def cosines(self, vector: Vectors) -> NDArray[np.float32]:
        """Return the cosine of every chunk, by row.

        Row by row, which one core does as fast as memory allows: a matrix product would start the
        threads of the linear algebra library, which keep the other cores busy while they wait.
        """
        unit = np.asarray(vector, np.float32) / (np.linalg.norm(vector) or 1)
        found: NDArray[np.float32] = np.vecdot(self.rows, unit)
        return found

    def nearest(self, vector: Vectors, top: int) -> list[tuple[int, float]]:
        """Find the chunks with the highest cosine, best first; exact."""
        scores = self.cosines(vector)
        return [(int(self.numbers[row]), float(scores[row])) for row in highest(scores, top)]

    def fuse(
        self,
        vector: Vectors,
        by_text: Sequence[tuple[int, float]],
        good: float,
        weight: float,
        top: int,
    ) -> list[tuple[int, float]]:
        """Rank chunks by vector and keyword scores, best first; chunks without the words have 0.

        `good` and `weight` are those of `min_max_fusion`.
        """
        words = np.zeros(len(self.numbers), np.float32)
        numbers = np.array([number for number, _ in by_text], np.int64)
        rows = np.searchsorted(self.numbers, numbers)
        known = np.isin(numbers, self.numbers[rows[rows < len(self.numbers)]])  # with a vector
        words[rows[known]] = np.array([score for _, score in by_text])[known]
        scores = min_max_fusion(self.cosines(vector), words, good, weight)
        return [(int(self.numbers[row]), float(scores[row])) for row in highest(scores, top)]


def min_max_fusion(
    cosines: NDArray[np.floating[Any]],
    words: NDArray[np.floating[Any]],
    good: float,
    weight: float,
) -> NDArray[np.floating[Any]]:
    """Fuse the vector and keyword scores of all chunks, in the same order.

    Both are scaled so that the lowest becomes 0 and the highest 1, and averaged with the weights
    `weight` and 1. The lowest keyword score is 0, that of a chunk with none of the words. If even
    the highest is less than `good`, `good` becomes 1: chunks that share only words such as "does"
    and "from" with a question must not count as much as those that share all.
    """
    by_vector = scale(cosines, cosines.min(initial=1.0), cosines.max(initial=-1.0))
    by_words = scale(words, 0.0, max(good, words.max(initial=0.0)))
    return (weight * by_vector + by_words) / (weight + 1)


def scale(
    values: NDArray[np.floating[Any]], lowest: float, highest: float
) -> NDArray[np.floating[Any]]:
    """Scale values so that `lowest` becomes 0 and `highest` 1; all to 0 if they are equal."""
    span = highest - lowest
    return (values - lowest) / span if span > 0 else np.zeros_like(values)


def highest(scores: NDArray[np.floating[Any]], top: int) -> NDArray[np.intp]:
    """Return the positions of the highest scores, best first; of equal ones the first."""
    best = np.argpartition(-scores, top)[:top] if top < len(scores) else np.arange(len(scores))
    ordered: NDArray[np.intp] = best[np.lexsort((best, -scores[best]))]
    return ordered


def merge_copies(hits: Iterable[Hit]) -> list[Hit]:
    """Deduplicate hits by their text: the best of equal ones stays, with the places of the rest."""
    merged: dict[object, Hit] = {}
    for hit in hits:
        text = hit.fields["content"]
        first = merged.setdefault(text, hit)
        if first is not hit:
            merged[text] = replace(first, also_in=(*first.also_in, name_copy(hit, first)))
    return list(merged.values())


def name_copy(copy: Hit, original: Hit) -> str:
    """Return the page of a copy, with its root if that is another one."""
    page, root = str(copy.fields["sourcepage"]), str(copy.fields["root"])
    return page if root == original.fields["root"] else f"{root}/{page}"


def search_distinct(
    search: Callable[[int], list[Hit]],
    top: int,
    most: int,
    is_wanted: Callable[[Hit], bool] = lambda _: True,
) -> list[Hit]:
    """Run a search at a depth where `top` wanted hits have different texts, or at `most`.

    `search` takes the number of hits; fewer than that mean that there are no more.
    """
    depth = min(2 * top + SPARE_HITS, most)
    while True:
        found = search(depth)
        merged = merge_copies(filter(is_wanted, found))
        if len(merged) >= top or len(found) < depth or depth == most:
            return merged[:top]
        depth = min(4 * depth, most)
