"""Retrieval metrics of single questions. Pure.

Ranks count from 1. Coverage counts words, and characters of scripts without spaces, as tokens. They
do not depend on the model or on the marks of a table.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np

from ingest.index.sqlite.arabic import MARKS
from ingest.index.sqlite.tokenize import TERM_PATTERN, UNSPACED_CHARACTER, fold_case

MIN_SHARED_TOKENS = 5  # in a row; a shorter match is chance
RANDOMISATION_DRAWS = 10_000  # gives p to within 0.01


@dataclass(frozen=True, slots=True)
class Coverage:
    """Token overlap of a passage and the retrieved chunks, as in Chroma's chunking evaluation."""

    recall: float  # of the passage
    precision: float  # of what was retrieved
    iou: float  # intersection over union


def hit_at(ranks: Sequence[int], k: int) -> float:
    """Hit rate at k: 1 if any of the first k answers, else 0."""
    return float(any(rank <= k for rank in ranks))


def reciprocal_rank(ranks: Sequence[int], k: int) -> float:
    """Reciprocal rank of the first answer; 0 if none is among the first k."""
    return max((1 / rank for rank in ranks if rank <= k), default=0.0)


def ndcg(ranks: Sequence[int], answers: int, k: int) -> float:
    """Normalised discounted cumulative gain at k; `answers` is the number of relevant chunks."""
    ideal = discounted_gain(range(1, min(answers, k) + 1))
    return discounted_gain(rank for rank in ranks if rank <= k) / ideal if ideal else 0.0


def discounted_gain(ranks: Iterable[int]) -> float:
    """Discounted cumulative gain of answers at ranks: Järvelin and Kekäläinen, TOIS 2002."""
    return sum(1 / math.log2(rank + 1) for rank in ranks)


@lru_cache(maxsize=1000)  # one chunk is a hit of many questions
def tokenize_words(text: str) -> tuple[str, ...]:
    """Split a text into words without case and accents, or characters if it has no spaces."""
    return tuple(
        token
        for run in TERM_PATTERN.findall(MARKS.sub("", text))  # which part Arabic words
        for token in (run if UNSPACED_CHARACTER.match(run) else [fold_case(run)])
    )


def longest_shared_run(passage: Sequence[str], text: Sequence[str]) -> range:
    """Find the longest run of a passage's tokens in a text; empty if it is too short."""
    matcher: SequenceMatcher[Any] = SequenceMatcher(None, text, passage, autojunk=False)
    found = matcher.find_longest_match()
    enough = min(MIN_SHARED_TOKENS, len(passage))
    return range(found.b, found.b + found.size) if found.size >= enough else range(0)


def coverage(passage: Sequence[str], retrieved: Sequence[tuple[int, range]]) -> Coverage:
    """Compute coverage from (tokens, run of the passage contained) of each retrieved text."""
    covered = len({offset for _, run in retrieved for offset in run})
    length = sum(tokens for tokens, _ in retrieved)
    union = length + len(passage) - covered
    return Coverage(
        recall=covered / len(passage) if passage else 0.0,
        precision=covered / length if length else 0.0,
        iou=covered / union if union else 0.0,
    )


def count_within_budget(sizes: Sequence[int], budget: int) -> int:
    """Count the leading sizes that fit into a budget; at least one, if there is one."""
    sums = list(accumulate(sizes))
    return max(min(1, len(sizes)), bisect_right(sums, budget))


def mean_difference(some: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Mean difference of paired scores, and its p-value.

    Fisher's randomisation test, paired and two-sided: the share of random swaps that differ as much
    (Smucker, Allan and Carterette, CIKM 2007). Deterministic: the seed is fixed.
    """
    differences = np.asarray(some) - np.asarray(others)
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (RANDOMISATION_DRAWS, len(differences)))
    means = np.abs(signs @ differences) / len(differences)
    extreme = int(np.count_nonzero(means >= abs(differences.mean()) - 1e-12))
    return float(differences.mean()), (1 + extreme) / (1 + RANDOMISATION_DRAWS)
