"""Figures of a document, and their descriptions by a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

# Edges of a figure as shares of the page that viewers show: left, top, right, bottom.
PageShares: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture or a drawing on a page, and the words that the document has for it."""

    page: int  # from 1, as in a viewer
    box: PageShares
    caption: str = ""  # its first line, as drawn
    words: str = ""  # its alternative text, and the text drawn inside of it
    above: str = ""  # the next line of the page above it and its caption; "" if there is none
    below: str = ""  # the next line below them
    identity: str = ""  # equal where the same thing is shown, whatever the page
    is_picture: bool = True  # False: drawn by paths
    has_text: bool = False  # the page has text where it is
    content: str = ""  # hash of the objects that draw it, by no renderer; "" if unknown
    size: tuple[float, float] = (0.0, 0.0)  # width and height in points
    heading: str = ""  # above it in the text, as the document's outline has it
    before: str = ""  # the paragraph above it and its caption
    after: str = ""  # the paragraph below them


class FigureKind(StrEnum):
    """Kind of a figure, as a model that describes it sees it."""

    CHART = "chart"
    DIAGRAM = "diagram"
    MAP = "map"
    PHOTOGRAPH = "photograph"
    SCREENSHOT = "screenshot"
    TABLE = "table"
    DECORATION = "decoration"


class FigureOutcome(StrEnum):
    """Outcome of the description of one figure."""

    DESCRIBED = "described"
    DECORATION = "decoration"  # remembered, and not indexed
    REFUSED = "refused"  # by a content filter
    CUT_OFF = "cut-off"  # the answer was too long, twice
    FAILED = "failed"  # the next run tries it again


@dataclass(frozen=True, slots=True)
class FigureDescription:
    """Description of a figure by a model. Its texts are foreign, like those of the document."""

    kind: FigureKind
    title: str  # one line
    summary: str  # 150 words at most
    words: str  # the text in it
    axes: tuple[str, ...]  # of a chart, each with its unit
    rows: tuple[tuple[str, ...], ...]  # the values that can be read, with a header first
    model: str  # that wrote it


@dataclass(frozen=True, slots=True)
class DescribedFigure:
    """A figure, and the outcome of its description."""

    figure: Figure
    number: int  # among the figures of its document, from 0
    outcome: FigureOutcome
    description: FigureDescription | None = None  # None unless the outcome is DESCRIBED
    reason: str = ""  # for people; "" where there is nothing to report
    image: str = ""  # name of its stored image; "" if images are not kept


@dataclass(frozen=True, slots=True)
class ChunkFigure:
    """The figure that a chunk describes; the chunk's text is generated."""

    kind: FigureKind
    box: PageShares
    model: str
    image: str = ""  # name of its stored image; "" if images are not kept
    label: str = ""  # that its caption gives it: "Figure 3"; "" without one
