"""Totals of a run, for its summary, JSON and exit code."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ingest.models import (
    DeletionsWithheld,
    LeftOut,
    Outcome,
    RunEvent,
    RunProgress,
    SourceResult,
    Summary,
)
from ingest.pipeline.exit_codes import is_known
from ingest.runtime.bottleneck import Capacity, find_bottleneck, stage_seconds
from ingest.runtime.timing import Stopwatch

MAX_EXTENSIONS = 100  # that a summary names
OTHER_EXTENSIONS = "others"  # key for all further ones

# Of sources that have a record in the index.
INDEXED_OUTCOMES = (Outcome.NEW, Outcome.CHANGED, Outcome.UNCHANGED, Outcome.EMPTY)


@dataclass(slots=True)
class RunTotals:
    """Totals so far."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    pages: int = 0  # read
    empty_pages: int = 0  # of the documents read
    scanned: int = 0  # pages that are images without text, and not recognised
    missing: int = 0  # pages that could not be read
    undecoded: int = 0  # pages with text that no engine decodes
    doubtful: int = 0  # pages whose text probably differs from their image
    languages: Counter[str] = field(default_factory=Counter)  # documents read
    hidden: int = 0  # pages with hidden text
    figures: Counter[str] = field(default_factory=Counter)  # by outcome
    written: int = 0  # chunks, also of documents that are not settled
    written_tokens: int = 0  # tokens embedded for the written chunks
    embedded: int = 0  # chunks of settled documents
    embedded_tokens: int = 0  # tokens of the embedded chunks
    reused: int = 0  # chunks uploaded with vectors of an earlier index
    deleted: int = 0  # chunks
    known_chunks: int = 0  # of settled sources, in the index after the run
    problems: list[SourceResult] = field(default_factory=list)  # for the owners to solve
    kept: list[DeletionsWithheld] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)  # roots that could not be listed, and why

    def add(self, event: RunEvent) -> None:
        if isinstance(event, RunProgress):
            self.pages += event.pages
            self.written += event.chunks
            self.written_tokens += event.tokens
        elif isinstance(event, DeletionsWithheld):
            self.kept.append(event)
        elif isinstance(event, LeftOut):
            self.left_out.append(event)
        else:
            self.outcomes[event.outcome] += 1
            self.embedded += event.embedded
            self.embedded_tokens += event.tokens
            self.reused += event.reused
            self.deleted += event.deleted
            self.known_chunks += event.chunks
            if event.outcome is not Outcome.UNCHANGED:
                self.empty_pages += event.empty_pages
                self.scanned += event.details.count_unread_scans()
                self.missing += len(event.details.missing)
                self.undecoded += len(event.details.undecoded)
                self.hidden += len(event.details.hidden)
                self.doubtful += len(event.details.doubtful)
                self.figures.update(event.details.figure_outcomes)
                self.languages[event.details.language] += 1
            if not event.harmless:
                self.problems.append(event)

    @property
    def chunks(self) -> int:
        """Number of chunks that were embedded and uploaded; in a plan, of settled documents."""
        return max(self.embedded, self.written - self.reused)

    @property
    def tokens(self) -> int:
        """Tokens of those chunks."""
        return max(self.embedded_tokens, self.written_tokens)

    def summary(
        self, run: str, seconds: float, code: int, times: Stopwatch, capacity: Capacity
    ) -> Summary:
        """Return the summary of a run that is over."""
        known = self.count_known(run)
        return Summary(
            run=run,
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            exit=code,
            outcomes={outcome.value: self.outcomes[outcome] for outcome in Outcome},
            pages=self.pages,
            chunks_embedded=self.chunks,
            chunks_deleted=self.deleted,
            tokens_embedded=self.tokens,
            stages=stage_seconds(times, seconds),
            bottleneck=find_bottleneck(times, seconds, capacity),
            chunks_reused=self.reused,
            other_kinds=self.other_kinds,
            excluded=sum(left.excluded for left in self.left_out),
            excluded_kept=sum(left.kept for left in self.left_out),
            new_problems=len(self.problems) - known,
            known_problems=known,
            figures=dict(self.figures),
        )

    def count_known(self, run: str) -> int:
        """Count the problems that were known before this run."""
        return sum(is_known(problem, run) for problem in self.problems)

    @property
    def known_sources(self) -> int:
        """Number of sources in the index after the run, as far as it has read and written them."""
        return sum(self.outcomes[outcome] for outcome in INDEXED_OUTCOMES)

    @property
    def other_kinds(self) -> dict[str, int]:
        """Files of other types that were not read, by extension, the most frequent first."""
        counts: Counter[str] = Counter()
        for left in self.left_out:
            counts.update(left.kinds)
        first = dict(counts.most_common(MAX_EXTENSIONS))
        rest = counts.total() - sum(first.values())
        return first | ({OTHER_EXTENSIONS: rest} if rest else {})

    @property
    def sources(self) -> int:
        return self.outcomes.total()

    @property
    def exit_code(self) -> int:
        """2 if deletions were withheld or a root failed, 3 if a document failed, else 0."""
        if self.unlisted or not all(kept.harmless for kept in self.kept):
            return 2
        return 3 if self.problems else 0
