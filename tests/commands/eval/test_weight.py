"""The weight of vectors, fitted to questions."""

from __future__ import annotations

import numpy as np

from ingest.commands.eval.weight import MIN_QUESTIONS, fit_weight

QUESTIONS = 100


def test_a_weight_that_answers_more_questions_is_found() -> None:
    """I am told the weight, what it gains, and how sure that is."""
    better = [[1]] * QUESTIONS
    current = [[1] if number % 5 else [9] for number in range(QUESTIONS)]
    fit = fit_weight({0.5: [[]] * QUESTIONS, 1.0: current, 2.0: better}, 1.0)

    assert fit
    assert (fit.best, fit.current, fit.is_better) == (2.0, 1.0, True)
    assert 0.1 < fit.hit.low < fit.hit.mean < fit.hit.high < 0.3
    assert fit.hit.mean == 0.2
    assert fit.hit.p < 0.001


def test_chance_is_not_called_a_gain() -> None:
    """With ten weights that are all alike, none is recommended."""
    random = np.random.default_rng(7)
    ranks = {float(w): [[int(r)] for r in random.integers(1, 12, QUESTIONS)] for w in range(10)}
    fit = fit_weight(ranks, 1.0)

    assert fit
    assert not fit.is_better


def test_of_equal_weights_the_one_in_use_stays() -> None:
    """No change is proposed that changes nothing."""
    fit = fit_weight({weight: [[2]] * QUESTIONS for weight in (0.5, 1.0, 1.5)}, 1.0)

    assert fit
    assert fit.best == 1.0
    assert fit.hit.mean == fit.mrr.mean == 0


def test_a_few_questions_are_too_few() -> None:
    """No weight is fitted to a handful of questions."""
    assert fit_weight({1.0: [[1]] * (MIN_QUESTIONS - 1)}, 1.0) is None
