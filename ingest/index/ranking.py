"""Which chunks are nearest, and one order of several. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ingest.models import Vectors

RRF_K = 60  # of reciprocal rank fusion: Cormack et al., SIGIR 2009
FUSION_CANDIDATES = 50  # of each kind of search go into the fusion
# Of the ranking by meaning, where that by words has 1: who asks seldom uses the answer's words, and
# of those that find others most say little. docs/eval.md has what it gives.
VECTOR_WEIGHT = 2.5


@dataclass(frozen=True, slots=True)
class Matrix:
    """The vectors of an index at one moment."""

    version: tuple[int, int]
    numbers: NDArray[np.int64]  # of the chunks, one per row
    rows: NDArray[np.float32]  # unit vectors, shape (chunks, dimensions)

    def nearest(self, vector: Vectors, top: int) -> list[tuple[int, float]]:
        """The chunks with the highest cosine, exactly, best first."""
        unit = np.asarray(vector, np.float32) / (np.linalg.norm(vector) or 1)
        scores = self.rows @ unit
        best = np.argpartition(-scores, top)[:top] if top < len(scores) else np.arange(len(scores))
        best = best[np.argsort(-scores[best], kind="stable")]
        return [(int(self.numbers[i]), float(scores[i])) for i in best]


def reciprocal_rank_fusion(
    by_vector: Sequence[tuple[int, float]], by_text: Sequence[tuple[int, float]]
) -> list[tuple[int, float]]:
    """One ranking of two, by meaning and by words: by weighted reciprocal rank."""
    scores: dict[int, float] = defaultdict(float)
    for weight, ranking in ((VECTOR_WEIGHT, by_vector), (1, by_text)):
        for rank, (number, _) in enumerate(ranking):
            scores[number] += weight / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: -item[1])
