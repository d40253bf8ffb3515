"""Cache of the outcomes of figures, in the index, where the pages that OCR has read are."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cache, partial

from ingest.errors import DocumentError
from ingest.extract.figures.describe import check_description
from ingest.extract.ocr.page_cache import OcrCache, find_cached_page, hash_bytes, own_page
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

    entry: CachedPage  # of it in the cache; a new one until `FigureCache.find`
    words: str  # to send with it
    figure: Figure
    draw: Callable[[], bytes]  # its picture; raises DocumentError

    @property
    def root(self) -> str:
        """Root of its document."""
        return self.entry.root

    @property
    def source(self) -> str:
        """Name of its document."""
        return self.entry.source


@dataclass(frozen=True, slots=True)
class FigureCache:
    """Outcomes by the key of the figure. Thread-safe, as the index is."""

    cache: OcrCache
    keeps: bool  # False: only look, as a plan does

    def find(self, task: FigureTask) -> FigureTask:
        """Return a task with its entry in the cache, whose picture is drawn once at most.

        It is deleted with its source, so it is given to this one, which may outlive the other.
        """
        new, draw = task.entry, cache(task.draw)
        found = find_cached_page(self.cache, new, partial(draw_if_possible, draw))
        seen = replace(own_page(found, new.root, new.source), file=new.file)
        if self.keeps and seen != found:
            self.cache.cache_page(seen)
        return replace(task, entry=seen, draw=draw)

    def load(self, task: FigureTask) -> tuple[Described | None, int]:
        """Return the description in the entry, or None and the number of failed attempts."""
        entry = task.entry
        if entry.recognised is None:
            return None, int(entry.operation) if entry.operation.isdecimal() else 0
        try:
            return described_from_json(entry.recognised.text), 0
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None, 0  # written by another version or another program

    def save(self, task: FigureTask, made: Described, picture: bytes | None = None) -> FigureTask:
        """Save an outcome, and the picture that it is of; return the task with the new entry."""
        text = json.dumps(asdict(made), ensure_ascii=False, separators=(",", ":"))
        entry = replace(task.entry, operation="", recognised=OcrResult(text, 1.0))
        if picture is not None:
            entry = replace(entry, picture=hash_bytes(picture), others=())
        self.cache.cache_page(entry)
        return replace(task, entry=entry)

    def note_failure(self, task: FigureTask, reason: str, attempts: int) -> Described:
        """Note that a figure could not be described; after some runs, it is given up."""
        log.info("%s: page %d: a figure: %s", task.source, task.figure.page, reason)
        if attempts >= MAX_ATTEMPTS:
            given_up = Described(FigureOutcome.REFUSED, f"{reason}, in {attempts} runs")
            self.save(task, given_up)
            return given_up
        self.cache.cache_page(replace(task.entry, operation=str(attempts), recognised=None))
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
