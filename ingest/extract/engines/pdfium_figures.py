"""Keep the text inside of each figure of a page together, at its caption.

Native code: only run it in a sandbox. A page is looked at closely only if it has a line in the form
of a caption beside a drawing, or a tagged figure with an alternative text, unless all figures are
wanted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from ingest.extract.engines.pdfium_alternatives import TaggedFigure, read_tagged_figures
from ingest.extract.engines.pdfium_captions import (
    Turn,
    as_units,
    draws_beside,
    iter_bounds,
    may_have_figure,
    measure_lines,
)
from ingest.extract.engines.pdfium_objects import IMAGE, SHADING, PageObjects, leave_out
from ingest.extract.engines.pdfium_raw import PageHandle, TextHandle, count_characters, load_text
from ingest.extract.figures.captions import Caption, NumberedLines, find_caption_lines
from ingest.extract.figures.shapes import MIN_PATHS
from ingest.models import Figure

if TYPE_CHECKING:
    from ingest.extract.engines.pdfium_shapes import Signature

PICTURE_KINDS = {IMAGE, SHADING}


class LoadedPage(NamedTuple):
    """A page with its text."""

    number: int  # from 1
    handle: PageHandle
    text: TextHandle
    drawn: str  # its characters in drawing order


@dataclass(frozen=True, slots=True)
class PageFigures:
    """A page with figures, and the inputs for finding them."""

    page: LoadedPage
    objects: PageObjects
    turn: Turn
    captions: Sequence[Caption]
    tagged: Sequence[TaggedFigure]  # whose words are on no page so far
    repeated: frozenset[Signature] | None  # drawn on most pages; None if not known


class FigureReader:
    """Reads the figures of a document, page by page."""

    def __init__(self, address: int, count: int, *, has_alternatives: bool) -> None:
        self.address, self.count = address, count  # of the document and its pages
        self.repeated: frozenset[Signature] | None = None  # drawn on most pages
        self.has_alternatives = has_alternatives  # some tagged figure may have one
        self.pages: dict[int, list[Figure]] = {}  # by number, from 1
        self.running_lines = NumberedLines()
        # The page of each alternative text; the one of a logo is on every page, and said once.
        self.said: dict[str, int] = {}

    def read(self, page: LoadedPage, objects: PageObjects, *, wants_all: bool) -> TextHandle:
        """Note the figures of a page; return its text without theirs.

        Returns 0 if no figure has text of its own. With `wants_all`, figures without an
        alternative text are noted too.
        """
        count = sum(len(one.kinds) for one in objects.lists)
        if count < MIN_PATHS and all(PICTURE_KINDS.isdisjoint(one.kinds) for one in objects.lists):
            return 0
        drawn = as_units(page.drawn, count_characters(page.text))
        tagged = read_tagged_figures(page.handle) if self.has_alternatives else []
        spans = find_caption_lines(drawn)
        if not (tagged or spans or wants_all):
            return 0
        turn = Turn(page.handle, objects.window)
        lines = measure_lines(page.text, drawn, spans, turn)
        captions = self.running_lines.drop(lines, page.number, turn.height)
        if not (tagged or captions or wants_all):
            return 0
        bounds = list(iter_bounds(objects))
        if not (tagged or may_have_figure(bounds)):
            return 0
        if not (tagged or wants_all or draws_beside(captions, bounds, turn)):
            return 0
        # It needs numpy, which documents of plain pages never load.
        from ingest.extract.engines.pdfium_figure_words import read_figures
        from ingest.extract.engines.pdfium_shapes import find_repeated

        if wants_all and self.repeated is None:
            self.repeated = find_repeated(self.address, self.count)
        found = PageFigures(
            page._replace(drawn=drawn),
            objects,
            turn,
            captions,
            self.unsaid(tagged, page.number, drawn),
            self.repeated,
        )
        self.pages[page.number], taken = read_figures(found)
        if not taken:
            return 0
        leave_out(taken)
        return load_text(page.handle) or 0

    def unsaid(self, tagged: Sequence[TaggedFigure], page: int, drawn: str) -> list[TaggedFigure]:
        """Return the figures whose words are neither in this page's text nor on an earlier page."""
        shown = " ".join(drawn.split()) if tagged else ""
        return [
            one
            for one in tagged
            if one.words not in shown and self.said.setdefault(one.words, page) == page
        ]
