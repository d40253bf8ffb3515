"""Nearest neighbours by exact cosine, and reciprocal rank fusion. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ingest.models import Hit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.models import Vectors

Key = TypeVar("Key")

RRF_K = 60  # of reciprocal rank fusion: Cormack et al., SIGIR 2009
FUSION_CANDIDATES = 50  # from each ranking
SPARE_HITS = 10  # read beyond twice those wanted, as copies of a text are merged
# Weight of the vector ranking, where the keyword ranking has 1: questions seldom use the words of
# their answer. docs/eval.md has the measurements.
VECTOR_WEIGHT = 2.5


@dataclass(frozen=True, slots=True)
class Matrix:
    """Vectors of an index at one version of its data."""

    version: tuple[int, int]
    numbers: NDArray[np.int64]  # of the chunks, one per row
    rows: NDArray[np.float32]  # unit vectors, shape (chunks, dimensions)

    def nearest(self, vector: Vectors, top: int) -> list[tuple[int, float]]:
        """Find the chunks with the highest cosine, best first; exact."""
        unit = np.asarray(vector, np.float32) / (np.linalg.norm(vector) or 1)
        scores = self.rows @ unit
        best = np.argpartition(-scores, top)[:top] if top < len(scores) else np.arange(len(scores))
        best = best[np.argsort(-scores[best], kind="stable")]
        return [(int(self.numbers[i]), float(scores[i])) for i in best]


def reciprocal_rank_fusion(
    by_vector: Sequence[tuple[Key, float]], by_text: Sequence[tuple[Key, float]]
) -> list[tuple[Key, float]]:
    """Fuse a vector and a keyword ranking by weighted reciprocal rank."""
    scores: dict[Key, float] = defaultdict(float)
    for weight, ranking in ((VECTOR_WEIGHT, by_vector), (1, by_text)):
        for rank, (key, _) in enumerate(ranking):
            scores[key] += weight / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: -item[1])


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


def search_distinct(search: Callable[[int], list[Hit]], top: int, most: int) -> list[Hit]:
    """Run a search at a depth where `top` hits have different texts, or at `most`.

    `search` takes the number of hits; fewer than that mean that there are no more.
    """
    depth = min(2 * top + SPARE_HITS, most)
    while True:
        found = search(depth)
        merged = merge_copies(found)
        if len(merged) >= top or len(found) < depth or depth == most:
            return merged[:top]
        depth = min(4 * depth, most)
