"""Figures that an OCR service has found on scanned pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ingest.extract.figures.context import end_of, start_of
from ingest.extract.figures.insert import find_line
from ingest.extract.figures.shapes import is_large
from ingest.extract.ocr import RENDER_DPI
from ingest.models import Figure, OcrFigure, OcrResult, PageShares

POINTS_PER_PIXEL = 72 / RENDER_DPI
MAX_FIGURES = 50  # of a page


def list_scan_figures(page: int, result: OcrResult, page_hash: str) -> Iterator[Figure]:
    """Yield the figures of a scanned page from the top; small ones only if they have a caption.

    Args:
        page: Number of the page, from 1.
        result: Result of the service.
        page_hash: Hash of the page's content, by which a description is found again.
    """
    found = sorted(result.figures, key=lambda figure: (figure.box[1], figure.box[0]))
    for one in found[:MAX_FIGURES]:
        if one.caption or is_large(*size_of(one), share_of(one.box), has_caption=False):
            place = " ".join(f"{edge:.3f}" for edge in one.box)
            before, after = split_at_caption(result.text, one.caption)
            yield Figure(
                page=page,
                box=one.box,
                caption=one.caption,
                words="",
                above=first_line(reversed(before.split("\n"))),
                below=first_line(after.split("\n")),
                content=f"scan {page_hash} {place}",
                size=size_of(one),
                before=end_of(before),
                after=start_of(after),
            )


def size_of(figure: OcrFigure) -> tuple[float, float]:
    """Return the width and height of a figure in points."""
    width, height = figure.pixels
    return width * POINTS_PER_PIXEL, height * POINTS_PER_PIXEL


def share_of(box: PageShares) -> float:
    """Return the share of a page that a box takes."""
    left, top, right, bottom = box
    return (right - left) * (bottom - top)


def split_at_caption(text: str, caption: str) -> tuple[str, str]:
    """Return the text of a page before and after a caption; "" for both without it."""
    start = find_line(text, caption)
    if start is None:
        return "", ""
    return text[:start], "\n".join(text[start + len(caption) :].split("\n")[1:])


def first_line(lines: Iterable[str]) -> str:
    """Return the first line that is not blank; "" if all are."""
    return next(filter(str.strip, lines), "")
