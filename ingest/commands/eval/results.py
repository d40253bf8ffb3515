"""What an index made of questions: every answer it gave, and the measures over them. Pure.

A question whose answer is not in the index counts as missed in every measure: an index that has
lost a document must not score like one that has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from ingest.commands.eval.metrics import Coverage, coverage, hit, ndcg, reciprocal, within
from ingest.commands.eval.questions import Question
from ingest.models import Mode

CUTS = (1, 3, 5, 10)  # the ranks down to which hits are counted
DEPTH = 10  # of MRR and nDCG
COVERED = 5  # chunks that the token measures look at: what an application hands to its model
BUDGET = 2000  # tokens of the model: the same room for every size of chunk


@dataclass(frozen=True, slots=True)
class Found:
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
class Answered:
    """What came for one question."""

    question: Question
    lacking: str  # why the index cannot answer it at all; "" where it could
    answers: int  # chunks of the index that answer it
    passage: tuple[str, ...]  # its tokens
    hits: tuple[Found, ...]  # best first

    @property
    def ranks(self) -> list[int]:
        """Where the answers came, from 1."""
        return [rank for rank, found in enumerate(self.hits, 1) if found.answers]

    def hit(self, k: int) -> float:
        return hit(self.ranks, k)

    def reciprocal(self) -> float:
        return reciprocal(self.ranks, DEPTH)

    def ndcg(self) -> float:
        return ndcg(self.ranks, self.answers, DEPTH)

    def coverage(self) -> Coverage:
        """How much of the passage the first chunks hold."""
        return coverage(self.passage, [(found.tokens, found.run) for found in self.hits[:COVERED]])

    def affordable(self) -> float:
        """How much of the passage the chunks hold that fit into a budget of tokens."""
        some = within([found.size for found in self.hits], BUDGET)
        return coverage(self.passage, [(f.tokens, f.run) for f in self.hits[:some]]).recall


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All questions, asked in every mode; the answers stand in the order of the questions."""

    answered: Mapping[Mode, Sequence[Answered]]

    @property
    def lacking(self) -> list[Answered]:
        """The questions that the index cannot answer."""
        return [one for one in next(iter(self.answered.values()), ()) if one.lacking]

    @property
    def hit_rate(self) -> dict[Mode, dict[int, float]]:
        """The share of questions that one of the first k chunks answers, by mode and k."""
        return {
            mode: {k: fmean(one.hit(k) for one in answered) for k in CUTS}
            for mode, answered in self.answered.items()
        }

    @property
    def mrr(self) -> dict[Mode, float]:
        """Mean reciprocal rank of the first answer among the first ten, by mode."""
        return self.means(Answered.reciprocal)

    @property
    def ndcg(self) -> dict[Mode, float]:
        """Normalised discounted cumulative gain of the first ten, by mode."""
        return self.means(Answered.ndcg)

    @property
    def recall(self) -> dict[Mode, float]:
        """The share of the passage's tokens in the first five, by mode."""
        return self.means(lambda one: one.coverage().recall, self.passages)

    @property
    def precision(self) -> dict[Mode, float]:
        """The share of the tokens of the first five that are the passage's, by mode."""
        return self.means(lambda one: one.coverage().precision, self.passages)

    @property
    def iou(self) -> dict[Mode, float]:
        """Intersection over union of the same, by mode."""
        return self.means(lambda one: one.coverage().iou, self.passages)

    @property
    def affordable(self) -> dict[Mode, float]:
        """The share of the passage's tokens in as many chunks as fit into BUDGET, by mode."""
        return self.means(Answered.affordable, self.passages)

    @property
    def passages(self) -> list[int]:
        """The places of the questions whose passage is known."""
        first = next(iter(self.answered.values()))
        return [place for place, one in enumerate(first) if one.passage]

    def means(
        self, measure: Callable[[Answered], float], among: Sequence[int] | None = None
    ) -> dict[Mode, float]:
        """A measure over all questions or some, by mode; 0 over none."""
        return {
            mode: fmean(scores) if scores else 0.0
            for mode, answered in self.answered.items()
            for scores in [
                [
                    measure(one)
                    for place, one in enumerate(answered)
                    if among is None or place in among
                ]
            ]
        }

    def missed(self, mode: Mode, k: int) -> list[Answered]:
        """The questions that the index could answer and none of the first k chunks does."""
        return [one for one in self.answered[mode] if not one.lacking and not one.hit(k)]
