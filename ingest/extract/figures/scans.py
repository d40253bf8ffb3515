"""Figures that an OCR service has found on scanned pages. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ingest.extract.figures.context import MAX_PARAGRAPH_CHARS
from ingest.extract.figures.insert import find_line
from ingest.extract.ocr import RENDER_DPI
from ingest.models import Figure, OcrFigure, OcrResult

POINTS_PER_PIXEL = 72 / RENDER_DPI
MAX_FIGURES = 50  # of a page
MIN_SIDE_POINTS = 28.0
MIN_AREA_POINTS = 57.0 * 57.0  # 2 x 2 cm
MIN_PAGE_SHARE = 0.015


def list_scan_figures(page: int, result: OcrResult, page_hash: str) -> Iterator[Figure]:
    """Yield the figures of a scanned page from the top; small ones only if they have a caption.

    Args:
        page: Number of the page, from 1.
        result: What the service has read.
        page_hash: Hash of what the page is made of, by which a description is known again.
    """
    found = sorted(result.figures, key=lambda figure: (figure.box[1], figure.box[0]))
    for one in found[:MAX_FIGURES]:
        if one.caption or is_large(one):
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
                before=" ".join(before.split())[-MAX_PARAGRAPH_CHARS:],
                after=" ".join(after.split())[:MAX_PARAGRAPH_CHARS],
            )


def size_of(figure: OcrFigure) -> tuple[float, float]:
    """Return the width and height of a figure in points."""
    width, height = figure.pixels
    return width * POINTS_PER_PIXEL, height * POINTS_PER_PIXEL


def is_large(figure: OcrFigure) -> bool:
    """Return whether a figure is large enough to be one."""
    width, height = size_of(figure)
    left, top, right, bottom = figure.box
    share = (right - left) * (bottom - top)
    return (
        min(width, height) >= MIN_SIDE_POINTS
        and width * height >= MIN_AREA_POINTS
        and share >= MIN_PAGE_SHARE
    )


def split_at_caption(text: str, caption: str) -> tuple[str, str]:
    """Return the text of a page before and after a caption; "" for both without it."""
    start = find_line(text, caption)
    if start is None:
        return "", ""
    return text[:start], "\n".join(text[start + len(caption) :].split("\n")[1:])


def first_line(lines: Iterable[str]) -> str:
    """Return the first line that is not blank; "" if all are."""
    return next(filter(str.strip, lines), "")
