"""Cache of the outcomes of figures, in the index, where the pages that OCR has read are."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from ingest.errors import DocumentError
from ingest.extract.figures.describe import check_description
from ingest.extract.ocr.page_cache import OcrCache, find_entry
from ingest.models import CachedPage, Figure, FigureOutcome, OcrResult

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3  # of a figure that cannot be drawn or described, in as many runs


@dataclass(frozen=True, slots=True)
class Described:
    """The outcome of one figure, as it is kept in the index."""

    outcome: FigureOutcome
    reason: str = ""
    description: dict[str, object] = field(default_factory=dict)
    image: str = ""  # name of its stored image


@dataclass(frozen=True, slots=True)
class FigureTask:
    """One figure to describe."""

    new: CachedPage  # what is cached of it, unless something is
    words: str  # to send with it
    figure: Figure
    draw: Callable[[], bytes]  # its picture; raises DocumentError


@dataclass(frozen=True, slots=True)
class FigureCache:
    """Outcomes by the key of the figure. Thread-safe, as the index is."""

    cache: OcrCache
    keeps: bool  # False: only look, as a plan does

    def load(
        self, task: FigureTask, draw: Callable[[], bytes]
    ) -> tuple[CachedPage, Described | None, int]:
        """Return the entry of a figure, and the outcome in it, or else how often it failed.

        It is deleted with its source, so it is given to this one, which may outlive the other.
        """
        new = task.new
        entry = find_entry(self.cache, new, partial(draw_if_possible, draw))
        seen = replace(entry, root=new.root, source=new.source, file=new.file)
        if self.keeps and seen != entry:
            self.cache.cache_page(seen)
        if seen.recognised is None:
            return seen, None, int(seen.operation) if seen.operation.isdecimal() else 0
        try:
            return seen, described_from_json(seen.recognised.text), 0
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return seen, None, 0  # of another version, or of somebody else's index

    def save(self, entry: CachedPage, made: Described) -> None:
        """Save an outcome in the cache."""
        text = json.dumps(asdict(made), ensure_ascii=False, separators=(",", ":"))
        self.cache.cache_page(replace(entry, operation="", recognised=OcrResult(text, 1.0)))

    def note_failure(
        self, entry: CachedPage, task: FigureTask, reason: str, attempts: int
    ) -> Described:
        """Note that a figure could not be described; after some runs, it is given up."""
        log.info("%s: page %d: a figure: %s", entry.source, task.figure.page, reason)
        if attempts >= MAX_ATTEMPTS:
            given_up = Described(FigureOutcome.REFUSED, f"{reason}, in {attempts} runs")
            self.save(entry, given_up)
            return given_up
        self.cache.cache_page(replace(entry, operation=str(attempts), recognised=None))
        return Described(FigureOutcome.FAILED, reason)


def draw_if_possible(draw: Callable[[], bytes]) -> bytes:
    """Draw a picture; return nothing if that fails."""
    try:
        return draw()
    except DocumentError:
        return b""


def described_from_json(text: str) -> Described:
    """Deserialize an outcome. Raises ValueError, TypeError or KeyError."""
    stored = json.loads(text)
    made = Described(**(stored | {"outcome": FigureOutcome(stored["outcome"])}))
    if made.outcome is FigureOutcome.DESCRIBED:
        check_description(made.description, str(made.description["model"]))
    return made
