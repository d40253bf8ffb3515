"""Fit the weight of vectors in hybrid search to questions with known answers. Pure.

The gain is cross-validated: each tenth of the questions is scored with the weight that is best for
the rest, so it contains nothing that fitting to the same questions would add by chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ingest.commands.eval.metrics import hit_at, mean_difference, reciprocal_rank

TRIED_WEIGHTS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
HIT_RANK = 5  # hits down to it count: as many chunks as applications give their model
MRR_RANK = 10
FOLDS = 10
MIN_QUESTIONS = 30  # with fewer, any difference is chance
SAMPLES = 10_000  # of the bootstrap
SIGNIFICANT_P = 0.05


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean difference of a metric over the questions, with its 95% interval and p-value."""

    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class WeightFit:
    """The best weight for some questions, and its gain over the one in use."""

    best: float
    current: float
    hit: Gain  # at HIT_RANK
    mrr: Gain

    @property
    def is_better(self) -> bool:
        """Return True if another weight is better, and not by chance."""
        return any(gain.mean > 0 and gain.p < SIGNIFICANT_P for gain in (self.hit, self.mrr))


def fit_weight(ranks: Mapping[float, Sequence[Sequence[int]]], current: float) -> WeightFit | None:
    """Fit the weight to the ranks of the answers of each question, by weight.

    Returns None for fewer than MIN_QUESTIONS questions.
    """
    weights = sorted(ranks, key=lambda weight: abs(weight - current))  # of equal ones, the nearest
    mrr = np.array([[reciprocal_rank(one, MRR_RANK) for one in ranks[w]] for w in weights])
    hits = np.array([[hit_at(one, HIT_RANK) for one in ranks[w]] for w in weights])
    count = mrr.shape[1]
    if count < MIN_QUESTIONS:
        return None
    fold = np.arange(count) % FOLDS
    chosen = np.array([mrr[:, fold != each].mean(axis=1).argmax() for each in range(FOLDS)])[fold]
    questions = np.arange(count)
    return WeightFit(
        weights[int(mrr.mean(axis=1).argmax())],
        current,
        measure_gain(hits[chosen, questions], hits[0]),
        measure_gain(mrr[chosen, questions], mrr[0]),
    )


def measure_gain(some: Sequence[float], others: Sequence[float]) -> Gain:
    """Compare paired scores. Deterministic: the seed is fixed."""
    mean, p = mean_difference(some, others)
    differences = np.asarray(some) - np.asarray(others)
    drawn = np.random.default_rng(0).integers(0, len(differences), (SAMPLES, len(differences)))
    low, high = np.percentile(differences[drawn].mean(axis=1), (2.5, 97.5))
    return Gain(mean, float(low), float(high), p)
