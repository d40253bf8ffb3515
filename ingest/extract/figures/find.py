"""Find the pictures and drawings of a page."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from ingest.extract.figures.captions import is_beside
from ingest.extract.figures.clusters import group
from ingest.extract.figures.drawings import LETTER_POINTS, PathCluster, is_drawing, may_be_drawing
from ingest.extract.figures.lines import find_body
from ingest.extract.figures.shapes import (
    MIN_PATHS,
    Box,
    DrawnPage,
    Look,
    Shape,
    area_of,
    enclose,
    grow,
    has_middle,
    height_of,
    intersect,
    is_large,
    touches,
    width_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKGROUND_SHARE = 0.8  # of a page; a picture that covers more is a background, or a scan
FRAME_SHARE = 0.4  # of a page; a box round more is a frame of its text
TILE_GAP = 2.0  # points between the strips of a picture
PATH_GAP = 6.0  # points between the paths of a drawing
LABEL_GAP = 11.0  # points from a drawing to its labels
MAX_LABEL_ROUNDS = 3  # labels may have labels further out
MAX_LABEL_CHARS_WIDE = 0.8  # of a drawing's width; a label is no wider
MAX_COMPARED_PATHS = 500  # with all paragraphs, at once
MIN_BOX_LINES = 3  # of paragraphs in a box round a text
MIN_MERGED_SHARE = 0.3  # of a picture or drawing that another covers: they are one


@dataclass(frozen=True, slots=True)
class FoundFigure:
    """A picture or a drawing of a page, and where it is."""

    box: Box
    is_picture: bool
    identity: str = ""  # equal where the same thing is shown


def find_figures(page: DrawnPage, captions: Sequence[Box] = ()) -> list[FoundFigure]:
    """Return the figures of a page from the top.

    Args:
        page: The objects that the page draws.
        captions: The lines that may be captions: never a part of a figure, and a figure beside one
            may be small.
    """
    body = find_body(page.lines)
    labels = [
        line
        for n, line in enumerate(page.lines)
        if n not in body and not any(has_middle(caption, line) for caption in captions)
    ]
    paragraphs = [page.lines[n] for n in sorted(body)] + list(captions)
    shapes = [shape for shape in page.shapes if not is_background(shape, page)]
    pictures = find_pictures(shapes)
    paths = drop_text_boxes([s for s in shapes if s.look is not Look.PICTURE], paragraphs)
    drawings, outlined = find_drawings(paths, labels, paragraphs)
    merged = merge(pictures + drawings)
    labelled = [add_labels(one, merged, [*labels, *outlined], paragraphs) for one in merged]
    return sorted(
        (figure for figure in labelled if is_figure(figure, page, captions)),
        key=lambda figure: (-figure.box[3], figure.box[0]),
    )


def is_background(shape: Shape, page: DrawnPage) -> bool:
    """Return whether a shape is behind the whole page, or frames it."""
    share = area_of(shape.box) / max(1.0, page.width * page.height)
    if shape.look is Look.PICTURE:
        return share >= BACKGROUND_SHARE
    return share >= (BACKGROUND_SHARE if shape.look is Look.SHAPE else FRAME_SHARE)


def find_pictures(shapes: Sequence[Shape]) -> list[FoundFigure]:
    """Return the images of a page; strips and tiles of one, and layers, are put together."""
    images = [shape for shape in shapes if shape.look is Look.PICTURE]
    found = []
    for numbers in group([s.box for s in images], TILE_GAP):
        parts = [images[n] for n in numbers]
        box = enclose(part.box for part in parts)
        names = sorted(part.identity for part in parts)
        identity = "+".join(names) if all(names) else ""
        found.append(FoundFigure(box, is_picture=True, identity=identity))
    return found


def drop_text_boxes(paths: Sequence[Shape], paragraphs: Sequence[Box]) -> list[Shape]:
    """Leave out boxes round paragraphs, and lines under text."""
    if not paragraphs:
        return list(paths)
    kept: list[Shape] = []
    for n in range(0, len(paths), MAX_COMPARED_PATHS):
        some = paths[n : n + MAX_COMPARED_PATHS]
        kept += compress(some, (~is_text_box(some, paragraphs)).tolist())
    return kept


def is_text_box(paths: Sequence[Shape], paragraphs: Sequence[Box]) -> NDArray[np.bool_]:
    """Return whether each path is a box round paragraphs, or a line under text."""
    lefts, bottoms, rights, tops = np.array(paragraphs, np.float32).T
    across, along = (lefts + rights) / 2, (bottoms + tops) / 2
    edges = np.array([path.box for path in paths], np.float32).T.reshape(4, -1, 1)
    left, bottom, right, top = edges
    inside = (left <= across) & (across <= right) & (bottom <= along) & (along <= top)
    under = (left >= lefts - 2) & (right <= rights + 2) & (bottoms - 3 <= top) & (bottom <= tops)
    is_box = np.array([path.look is Look.PLAIN_BOX for path in paths])
    is_level = np.array(
        [path.look is Look.RULE and width_of(path.box) > height_of(path.box) for path in paths]
    )
    found: NDArray[np.bool_] = (is_box & (inside.sum(axis=1) >= MIN_BOX_LINES)) | (
        is_level & under.any(axis=1)
    )
    return found


def find_drawings(
    paths: Sequence[Shape], labels: Sequence[Box], paragraphs: Sequence[Box]
) -> tuple[list[FoundFigure], list[Box]]:
    """Return the clusters of paths that are drawings; those that only labels join, too.

    Returns also the boxes of clusters that may be labels in outlines.
    """
    if not may_be_drawing(paths):
        return [], []
    lines = [*labels, *paragraphs]
    found, rest = sort_clusters(clusters_of(paths, []), lines)
    near = [label for label in labels if not any(has_middle(figure.box, label) for figure in found)]
    left = [
        path
        for members in rest
        for path in members
        if not any(has_middle(figure.box, path.box) for figure in found)
    ]
    if not left:
        return found, []
    more, rest = sort_clusters(clusters_of(left, near), lines)
    boxes = [enclose(path.box for path in members) for members in rest]
    return found + more, [box for box in boxes if height_of(box) <= LETTER_POINTS]


def sort_clusters(
    clusters: Sequence[Sequence[Shape]], lines: Sequence[Box]
) -> tuple[list[FoundFigure], list[Sequence[Shape]]]:
    """Return the clusters that are drawings, and the others."""
    found, rest = [], []
    for members in clusters:
        may_be = len(members) >= MIN_PATHS and may_be_drawing(members)
        figure = as_drawing(members, lines) if may_be else None
        if figure:
            found.append(figure)
        else:
            rest.append(members)
    return found, rest


def clusters_of(paths: Sequence[Shape], labels: Sequence[Box]) -> list[list[Shape]]:
    """Return the paths by cluster; labels join clusters that they are close to."""
    boxes = [path.box for path in paths] + list(labels)
    groups = group(boxes, PATH_GAP)
    found = ([paths[n] for n in numbers if n < len(paths)] for numbers in groups)
    return [members for members in found if members]


def as_drawing(paths: Sequence[Shape], lines: Sequence[Box]) -> FoundFigure | None:
    """Return a cluster as a figure; None if it is not a drawing."""
    box = enclose(path.box for path in paths)
    around = grow(box, 1)
    inside = [line for line in lines if has_middle(around, line)]
    if not is_drawing(PathCluster(box, paths, inside)):
        return None
    parts = sorted(
        tuple(round(edge - box[n % 2]) for n, edge in enumerate(path.box)) for path in paths
    )
    identity = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return FoundFigure(box, is_picture=False, identity=identity)


def merge(figures: Sequence[FoundFigure]) -> list[FoundFigure]:
    """Merge figures that cover each other."""
    left = sorted(figures, key=lambda figure: -area_of(figure.box))
    merged: list[FoundFigure] = []
    for figure in left:
        for n, one in enumerate(merged):
            common = area_of(intersect(figure.box, one.box))
            if common > MIN_MERGED_SHARE * max(1.0, area_of(figure.box)):
                box = enclose([figure.box, one.box])
                names = sorted([figure.identity, one.identity])
                identity = "+".join(names) if all(names) else ""
                merged[n] = replace(one, box=box, identity=identity)
                break
        else:
            merged.append(figure)
    return merged


def add_labels(
    figure: FoundFigure,
    figures: Sequence[FoundFigure],
    labels: Sequence[Box],
    paragraphs: Sequence[Box],
) -> FoundFigure:
    """Extend a drawing by the labels beside it, but over no paragraph and no other figure."""
    if figure.is_picture:
        return figure
    box = figure.box
    taken = [f.box for f in figures if f is not figure] + [
        line for line in paragraphs if not has_middle(box, line)
    ]
    for _ in range(MAX_LABEL_ROUNDS):
        reach = grow(figure.box, 3 * LABEL_GAP)
        beside = [
            label
            for label in labels
            if touches(grow(box, LABEL_GAP), label)
            and has_middle(reach, label)
            and width_of(label) <= max(MAX_LABEL_CHARS_WIDE * width_of(figure.box), 40.0)
        ]
        wider = box
        for label in beside:
            tried = enclose([wider, label])
            if not any(touches(tried, other) and not touches(box, other) for other in taken):
                wider = tried
        if wider == box:
            break
        box = wider
    return replace(figure, box=box)


def is_figure(figure: FoundFigure, page: DrawnPage, captions: Sequence[Box]) -> bool:
    """Return whether a picture or drawing is large enough; some of the lines may be its caption."""
    return is_large(
        width_of(figure.box),
        height_of(figure.box),
        area_of(figure.box) / max(1.0, page.width * page.height),
        has_caption=any(is_beside(caption, figure.box) for caption in captions),
    )
