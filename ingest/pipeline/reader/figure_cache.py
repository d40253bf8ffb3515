"""Cache of the outcomes of figures, in the index, where the pages that OCR has read are."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from ingest.extract.figures.describe import check_description
from ingest.extract.ocr.page_cache import OcrCache, own_page
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

    key: str
    root: str
    source: str
    words: str  # to send with it
    figure: Figure
    draw: Callable[[], bytes]  # its picture; raises DocumentError


@dataclass(frozen=True, slots=True)
class FigureCache:
    """Outcomes by the key of the figure. Thread-safe, as the index is."""

    cache: OcrCache
    keeps: bool  # False: only look, as a plan does

    def load(self, task: FigureTask) -> tuple[Described | None, int]:
        """Return what the cache has of a figure, or else how often it was tried in vain.

        It is deleted with its source, so it is given to this one, which may outlive the other.
        """
        cached = self.cache.cached_page(task.key)
        if cached is None:
            return None, 0
        if self.keeps and (cached.root, cached.source) != (task.root, task.source):
            cached = own_page(cached, task.root, task.source)
            self.cache.cache_page(cached)
        if cached.recognised is None:
            return None, int(cached.operation) if cached.operation.isdecimal() else 0
        try:
            return described_from_json(cached.recognised.text), 0
        except (ValueError, TypeError, KeyError):
            return None, 0  # of another version

    def save(self, task: FigureTask, made: Described) -> None:
        """Save an outcome in the cache."""
        text = json.dumps(asdict(made), ensure_ascii=False, separators=(",", ":"))
        before = self.cache.cached_page(task.key)
        others = before.others if before else ()
        page = CachedPage(task.key, task.root, task.source, "", OcrResult(text, 1.0), others)
        self.cache.cache_page(page)

    def note_failure(self, task: FigureTask, reason: str, attempts: int) -> Described:
        """Note that a figure could not be described; after some runs, it is given up."""
        log.info("%s: page %d: a figure: %s", task.source, task.figure.page, reason)
        if attempts >= MAX_ATTEMPTS:
            given_up = Described(FigureOutcome.REFUSED, f"{reason}, in {attempts} runs")
            self.save(task, given_up)
            return given_up
        self.cache.cache_page(CachedPage(task.key, task.root, task.source, str(attempts)))
        return Described(FigureOutcome.FAILED, reason)


def described_from_json(text: str) -> Described:
    """Deserialize an outcome. Raises ValueError, TypeError or KeyError."""
    stored = json.loads(text)
    made = Described(**(stored | {"outcome": FigureOutcome(stored["outcome"])}))
    if made.outcome is FigureOutcome.DESCRIBED:
        check_description(made.description, str(made.description["model"]))
    return made
