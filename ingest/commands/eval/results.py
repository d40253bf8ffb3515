"""Results of an evaluation: the hits of every question, and metrics over all of them. Pure.

A question whose answer is not in the index counts as missed in every metric: an index that has lost
a document must not score like one that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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

HIT_RANKS = (1, 3, 5, 10)  # k of the hit rates
METRIC_DEPTH = 10  # of MRR and nDCG
COVERAGE_CHUNKS = 5  # hits that the coverage metrics use: what an application gives its model
TOKEN_BUDGET = 2000  # tokens of the model; makes chunk sizes comparable


@dataclass(frozen=True, slots=True)
class FoundChunk:
    """One hit."""

    id: str
    source: str
    page_start: int
    page_end: int
    text: str
    answers: bool
    tokens: int  # by metrics.tokenize_words
    size: int  # tokens of OpenAI's models
    run: range  # the passage's tokens that it contains
    cites: bool = False  # a page of the answer
    shows: bool = False  # the passage in its excerpt


@dataclass(frozen=True, slots=True)
class AnsweredQuestion:
    """The hits of one question."""

    question: Question
    missing_reason: str  # why the index cannot answer it; "" if it can
    answers: int  # chunks of the index that answer it
    passage: tuple[str, ...]  # its tokens
    hits: tuple[FoundChunk, ...]  # best first

    @property
    def ranks(self) -> list[int]:
        """Ranks of the hits that answer, from 1."""
        return [rank for rank, found in enumerate(self.hits, 1) if found.answers]

    def hit(self, k: int) -> float:
        return hit_at(self.ranks, k)

    def cited_page(self) -> float:
        """1 if a hit of the first COVERAGE_CHUNKS answers and cites the right page, else 0."""
        return float(any(hit.answers and hit.cites for hit in self.hits[:COVERAGE_CHUNKS]))

    def answer_visible(self) -> float:
        """1 if a hit of the first COVERAGE_CHUNKS answers and shows the passage, else 0."""
        return float(any(hit.answers and hit.shows for hit in self.hits[:COVERAGE_CHUNKS]))

    def reciprocal_rank(self) -> float:
        return reciprocal_rank(self.ranks, METRIC_DEPTH)

    def ndcg(self) -> float:
        return ndcg(self.ranks, self.answers, METRIC_DEPTH)

    def coverage(self) -> Coverage:
        """Coverage of the passage by the first COVERAGE_CHUNKS hits."""
        return coverage(
            self.passage, [(found.tokens, found.run) for found in self.hits[:COVERAGE_CHUNKS]]
        )

    def recall_in_budget(self) -> float:
        """Recall of the passage by the leading hits that fit into TOKEN_BUDGET."""
        count = count_within_budget([found.size for found in self.hits], TOKEN_BUDGET)
        return coverage(self.passage, [(f.tokens, f.run) for f in self.hits[:count]]).recall


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Hits of all questions in every search mode, in the order of the questions."""

    answers_by_mode: Mapping[Mode, Sequence[AnsweredQuestion]]
    # ranks of the answers to each question in hybrid searches, by the weight of vectors
    ranks_by_weight: Mapping[float, Sequence[Sequence[int]]] = field(default_factory=dict)

    @property
    def unanswerable(self) -> list[AnsweredQuestion]:
        """Questions that the index cannot answer."""
        return [one for one in next(iter(self.answers_by_mode.values()), ()) if one.missing_reason]

    @property
    def cited_page(self) -> dict[Mode, float]:
        """Share of questions whose answer's page the first five hits cite, by mode."""
        return self.mean_by_mode(AnsweredQuestion.cited_page)

    @property
    def answer_visible(self) -> dict[Mode, float]:
        """Share of questions with a passage that the first five excerpts show, by mode."""
        return self.mean_by_mode(AnsweredQuestion.answer_visible, self.passage_positions)

    @property
    def hit_rate(self) -> dict[Mode, dict[int, float]]:
        """Share of questions that one of the first k hits answers, by mode and k."""
        return {
            mode: {k: fmean(one.hit(k) for one in answered) for k in HIT_RANKS}
            for mode, answered in self.answers_by_mode.items()
        }

    @property
    def mrr(self) -> dict[Mode, float]:
        """Mean reciprocal rank at METRIC_DEPTH, by mode."""
        return self.mean_by_mode(AnsweredQuestion.reciprocal_rank)

    @property
    def ndcg(self) -> dict[Mode, float]:
        """Mean nDCG at METRIC_DEPTH, by mode."""
        return self.mean_by_mode(AnsweredQuestion.ndcg)

    @property
    def recall(self) -> dict[Mode, float]:
        """Share of the passage's tokens that the first five hits contain, by mode."""
        return self.mean_by_mode(lambda one: one.coverage().recall, self.passage_positions)

    @property
    def precision(self) -> dict[Mode, float]:
        """Share of the first five hits' tokens that are the passage's, by mode."""
        return self.mean_by_mode(lambda one: one.coverage().precision, self.passage_positions)

    @property
    def iou(self) -> dict[Mode, float]:
        """Intersection over union of passage and first five hits, in tokens, by mode."""
        return self.mean_by_mode(lambda one: one.coverage().iou, self.passage_positions)

    @property
    def recall_in_budget(self) -> dict[Mode, float]:
        """Share of the passage's tokens in the hits that fit into TOKEN_BUDGET, by mode."""
        return self.mean_by_mode(AnsweredQuestion.recall_in_budget, self.passage_positions)

    @property
    def passage_positions(self) -> list[int]:
        """Positions of the questions with a known passage."""
        first = next(iter(self.answers_by_mode.values()))
        return [position for position, one in enumerate(first) if one.passage]

    def mean_by_mode(
        self, measure: Callable[[AnsweredQuestion], float], among: Sequence[int] | None = None
    ) -> dict[Mode, float]:
        """Average a metric over all questions, or those at some positions; 0 over none."""
        return {
            mode: fmean(scores) if scores else 0.0
            for mode, answered in self.answers_by_mode.items()
            for scores in [
                [
                    measure(one)
                    for position, one in enumerate(answered)
                    if among is None or position in among
                ]
            ]
        }

    def missed_questions(self, mode: Mode, k: int) -> list[AnsweredQuestion]:
        """Questions that the index can answer, but none of the first k hits does."""
        return [
            one for one in self.answers_by_mode[mode] if not one.missing_reason and not one.hit(k)
        ]
