"""The measures of retrieval, of one question each. Pure.

Ranks count from 1. Words, and the characters of scripts without spaces, are the tokens that
coverage counts: the same for every model, and blind to how a table is written.
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

from ingest.index.sqlite.tokenize import TERM_PATTERN, UNSPACED_CHARACTER, fold_case

MIN_SHARED_TOKENS = 5  # tokens in a row: less in common is chance
RANDOMISATION_DRAWS = 10_000  # of the randomisation test: p is good to a hundredth


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of a passage is in what was retrieved, as Chroma's evaluation of chunking has it."""

    recall: float  # of the passage
    precision: float  # of what was retrieved
    iou: float  # intersection over union


def hit_at(ranks: Sequence[int], k: int) -> float:
    """Whether any of the first k answers: 1 or 0."""
    return float(any(rank <= k for rank in ranks))


def reciprocal_rank(ranks: Sequence[int], k: int) -> float:
    """One over the rank of the first answer; 0 if none is among the first k."""
    return max((1 / rank for rank in ranks if rank <= k), default=0.0)


def ndcg(ranks: Sequence[int], answers: int, k: int) -> float:
    """The discounted gain of the first k over the best possible, with so many answers to find."""
    ideal = discounted_gain(range(1, min(answers, k) + 1))
    return discounted_gain(rank for rank in ranks if rank <= k) / ideal if ideal else 0.0


def discounted_gain(ranks: Iterable[int]) -> float:
    """What answers are worth at their ranks: Järvelin and Kekäläinen, TOIS 2002."""
    return sum(1 / math.log2(rank + 1) for rank in ranks)


@lru_cache(maxsize=1000)  # one chunk comes for many questions
def tokenize_words(text: str) -> tuple[str, ...]:
    """The words of a text without case and accents; each character where there are no spaces."""
    return tuple(
        token
        for run in TERM_PATTERN.findall(text)
        for token in (run if UNSPACED_CHARACTER.match(run) else [fold_case(run)])
    )


def longest_shared_run(passage: Sequence[str], text: Sequence[str]) -> range:
    """The longest run of a passage's tokens that stands in a text; empty if that says nothing."""
    matcher: SequenceMatcher[Any] = SequenceMatcher(None, text, passage, autojunk=False)
    found = matcher.find_longest_match()
    enough = min(MIN_SHARED_TOKENS, len(passage))
    return range(found.b, found.b + found.size) if found.size >= enough else range(0)


def coverage(passage: Sequence[str], retrieved: Sequence[tuple[int, range]]) -> Coverage:
    """Of texts with so many tokens each, and the runs of the passage that they have."""
    covered = len({place for _, run in retrieved for place in run})
    length = sum(tokens for tokens, _ in retrieved)
    union = length + len(passage) - covered
    return Coverage(
        recall=covered / len(passage) if passage else 0.0,
        precision=covered / length if length else 0.0,
        iou=covered / union if union else 0.0,
    )


def count_within_budget(sizes: Sequence[int], budget: int) -> int:
    """How many of the first fit into a budget together; one at least, if there is one."""
    together = list(accumulate(sizes))
    return max(min(1, len(sizes)), bisect_right(together, budget))


def mean_difference(some: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """How much better some scores are on average than others of the same questions, and p.

    Fisher's randomisation test, paired and two-sided: the share of random swaps that differ as much
    (Smucker, Allan and Carterette, CIKM 2007). The same scores always give the same p.
    """
    apart = np.asarray(some) - np.asarray(others)
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (RANDOMISATION_DRAWS, len(apart)))
    means = np.abs(signs @ apart) / len(apart)
    as_much = int(np.count_nonzero(means >= abs(apart.mean()) - 1e-12))
    return float(apart.mean()), (1 + as_much) / (1 + RANDOMISATION_DRAWS)
