"""The measures, held against their definitions."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.commands.eval.metrics import (
    count_within_budget,
    coverage,
    hit_at,
    longest_shared_run,
    mean_difference,
    ndcg,
    reciprocal_rank,
    tokenize_words,
)

RANKS = st.lists(st.integers(1, 20), unique=True).map(sorted)


def test_the_measures_of_a_ranking_worked_out_by_hand() -> None:
    """Three answers exist, of which two are found, at ranks 2 and 5."""
    assert [hit_at([2, 5], k) for k in (1, 2, 3)] == [0, 1, 1]
    assert reciprocal_rank([2, 5], 10) == 0.5
    assert reciprocal_rank([12], 10) == 0
    best = 1 + 1 / math.log2(3) + 1 / 2
    assert math.isclose(ndcg([2, 5], 3, 10), (1 / math.log2(3) + 1 / math.log2(6)) / best)


@given(RANKS, st.integers(1, 20))
def test_measures_lie_between_nothing_and_perfect(ranks: list[int], k: int) -> None:
    """0 exactly where nothing came, 1 where all that there is came first."""
    found = [rank for rank in ranks if rank <= k]
    for score in (hit_at(ranks, k), reciprocal_rank(ranks, k), ndcg(ranks, max(1, len(ranks)), k)):
        assert 0 <= score <= 1 + 1e-12
        assert bool(score) == bool(found)
    assert math.isclose(ndcg(range(1, k + 1), k, k), 1)


@given(RANKS, st.integers(1, 19))
def test_an_answer_that_comes_sooner_never_counts_less(ranks: list[int], k: int) -> None:
    """Moved up by one, where that place is free."""
    for place, rank in enumerate(ranks):
        if rank > 1 and rank - 1 not in ranks:
            sooner = [*ranks[:place], rank - 1, *ranks[place + 1 :]]
            assert hit_at(sooner, k) >= hit_at(ranks, k)
            assert reciprocal_rank(sooner, k) >= reciprocal_rank(ranks, k)
            assert ndcg(sooner, len(ranks), k) >= ndcg(ranks, len(ranks), k)


def test_tokens_do_not_see_case_accents_or_tables() -> None:
    """A row is the same words in a table and out of it; Japanese counts by characters."""
    assert tokenize_words("| Été | 2 € |") == tokenize_words("ete 2") == ("ete", "2")
    assert tokenize_words("水位計") == ("水", "位", "計")
    assert tokenize_words("يُقرأ العدّاد") == tokenize_words("يقرأ العداد")


def test_a_passage_is_found_in_the_chunk_that_has_part_of_it() -> None:
    """A chunk that ends within it has its beginning; a word in common is chance."""
    passage = tokenize_words("one two three four five six seven eight")
    assert longest_shared_run(passage, tokenize_words("zero one two three four five")) == range(5)
    assert longest_shared_run(passage, tokenize_words("four five six seven eight nine")) == range(
        3, 8
    )
    assert not longest_shared_run(passage, tokenize_words("there are four five"))
    assert longest_shared_run(tokenize_words("yes"), tokenize_words("he said yes")) == range(1)


def test_the_coverage_of_a_passage_worked_out_by_hand() -> None:
    """Two chunks of ten tokens have six of eight, two of them twice; a third has none."""
    passage = tuple("abcdefgh")
    found = coverage(passage, [(10, range(4)), (10, range(2, 6)), (4, range(0))])
    assert (found.recall, found.precision, found.iou) == (6 / 8, 6 / 24, 6 / 26)
    assert coverage(passage, []).recall == coverage((), [(3, range(0))]).precision == 0


def test_a_budget_holds_as_many_chunks_as_fit_and_at_least_one() -> None:
    """A chunk larger than the budget is still handed to the model."""
    assert [count_within_budget([5, 5, 5], budget) for budget in (3, 5, 9, 10, 99)] == [
        1,
        1,
        1,
        2,
        3,
    ]
    assert count_within_budget([], 5) == 0


def test_a_difference_is_sure_where_it_is_and_not_where_it_is_chance() -> None:
    """Better at each of thirty questions; better and worse by turns; the same."""
    better, p = mean_difference([1.0] * 30, [0.0] * 30)
    assert (better, p < 0.001) == (1, True)
    turns = [float(n % 2) for n in range(30)]
    _, p = mean_difference(turns, turns[1:] + turns[:1])
    assert p > 0.9
    assert mean_difference(turns, turns) == (0, 1)


def test_p_is_as_often_small_as_it_says() -> None:
    """For pure noise, one test in five has a p-value below 0.2."""
    noise = np.random.default_rng(7)
    small = sum(
        mean_difference(noise.random(20).tolist(), noise.random(20).tolist())[1] < 0.2
        for _ in range(100)
    )
    assert 8 <= small <= 33
