"""What an index made of questions: every answer it gave, and the measures over them. Pure.

A question whose answer is not in the index counts as missed in every measure: an index that has
lost a document must not score like one that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ingest.commands.eval.metrics import (
    Coverage,
    count_within_budget,
    coverage,
    hit_at,
    ndcg,
    reciprocal_rank,
)
from ingest.commands.eval.questions import Question
from ingest.models import Mode

HIT_RANKS = (1, 3, 5, 10)  # the ranks down to which hits are counted
METRIC_DEPTH = 10  # of MRR and nDCG
COVERAGE_CHUNKS = (
    5  # chunks that the token measures look at: what an application hands to its model
)
TOKEN_BUDGET = 2000  # tokens of the model: the same room for every size of chunk


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """One chunk that came, at its rank."""

    id: str
    source: str
    page_start: int
    page_end: int
    text: str
    answers: bool
    tokens: int  # as measures.tokens counts
    size: int  # as the models of OpenAI count
    run: range  # of the passage's tokens, the part that stands in it


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """What came for one question."""

    question: Question
    missing_reason: str  # why the index cannot answer it at all; "" where it could
    answers: int  # chunks of the index that answer it
    passage: tuple[str, ...]  # its tokens
    hits: tuple[FoundChunk, ...]  # best first

    @property
    def ranks(self) -> list[int]:
        """Where the answers came, from 1."""
        return [rank for rank, found in enumerate(self.hits, 1) if found.answers]

    def hit(self, k: int) -> float:
        return hit_at(self.ranks, k)

    def reciprocal_rank(self) -> float:
        return reciprocal_rank(self.ranks, METRIC_DEPTH)

    def ndcg(self) -> float:
        return ndcg(self.ranks, self.answers, METRIC_DEPTH)

    def coverage(self) -> Coverage:
        """How much of the passage the first chunks hold."""
        return coverage(
            self.passage, [(found.tokens, found.run) for found in self.hits[:COVERAGE_CHUNKS]]
        )

    def recall_in_budget(self) -> float:
        """How much of the passage the chunks hold that fit into a budget of tokens."""
        some = count_within_budget([found.size for found in self.hits], TOKEN_BUDGET)
        return coverage(self.passage, [(f.tokens, f.run) for f in self.hits[:some]]).recall


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All questions, asked in every mode; the answers stand in the order of the questions."""

    answers_by_mode: Mapping[Mode, Sequence[AnsweredQuestion]]

    @property
    def unanswerable(self) -> list[AnsweredQuestion]:
        """The questions that the index cannot answer."""
        return [one for one in next(iter(self.answers_by_mode.values()), ()) if one.missing_reason]

    @property
    def hit_rate(self) -> dict[Mode, dict[int, float]]:
        """The share of questions that one of the first k chunks answers, by mode and k."""
        return {
            mode: {k: fmean(one.hit(k) for one in answered) for k in HIT_RANKS}
            for mode, answered in self.answers_by_mode.items()
        }

    @property
    def mrr(self) -> dict[Mode, float]:
        """Mean reciprocal rank of the first answer among the first ten, by mode."""
        return self.mean_by_mode(AnsweredQuestion.reciprocal_rank)

    @property
    def ndcg(self) -> dict[Mode, float]:
        """Normalised discounted cumulative gain of the first ten, by mode."""
        return self.mean_by_mode(AnsweredQuestion.ndcg)

    @property
    def recall(self) -> dict[Mode, float]:
        """The share of the passage's tokens in the first five, by mode."""
        return self.mean_by_mode(lambda one: one.coverage().recall, self.passage_positions)

    @property
    def precision(self) -> dict[Mode, float]:
        """The share of the tokens of the first five that are the passage's, by mode."""
        return self.mean_by_mode(lambda one: one.coverage().precision, self.passage_positions)

    @property
    def iou(self) -> dict[Mode, float]:
        """Intersection over union of the same, by mode."""
        return self.mean_by_mode(lambda one: one.coverage().iou, self.passage_positions)

    @property
    def recall_in_budget(self) -> dict[Mode, float]:
        """The share of the passage's tokens in as many chunks as fit into BUDGET, by mode."""
        return self.mean_by_mode(AnsweredQuestion.recall_in_budget, self.passage_positions)

    @property
    def passage_positions(self) -> list[int]:
        """The places of the questions whose passage is known."""
        first = next(iter(self.answers_by_mode.values()))
        return [place for place, one in enumerate(first) if one.passage]

    def mean_by_mode(
        self, measure: Callable[[AnsweredQuestion], float], among: Sequence[int] | None = None
    ) -> dict[Mode, float]:
        """A measure over all questions or some, by mode; 0 over none."""
        return {
            mode: fmean(scores) if scores else 0.0
            for mode, answered in self.answers_by_mode.items()
            for scores in [
                [
                    measure(one)
                    for place, one in enumerate(answered)
                    if among is None or place in among
                ]
            ]
        }

    def missed_questions(self, mode: Mode, k: int) -> list[AnsweredQuestion]:
        """The questions that the index could answer and none of the first k chunks does."""
        return [
            one for one in self.answers_by_mode[mode] if not one.missing_reason and not one.hit(k)
        ]
