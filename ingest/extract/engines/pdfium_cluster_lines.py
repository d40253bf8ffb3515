"""Group the clusters of a page into lines, and these into pieces with a space in each gap."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ingest.extract.bidi import RIGHT_TO_LEFT
from ingest.extract.engines.pdfium_clusters import (
    Cluster,
    drop_covered_spaces,
    is_mark,
    order_lam_alef,
)

# Of Thai and Lao; they are written after the vowel that is below them.
TONE_MARKS = frozenset("\u0e48\u0e49\u0e4a\u0e4b\u0e4c\u0ec8\u0ec9\u0eca\u0ecb\u0ecc")
BULLETS = frozenset("•‣▪●○◦∙")  # drawn right of their item
NEAR_LETTERS = 4  # on either side of a mark; it is drawn on one of them

# In heights of the type.
MAX_LINE_SHIFT = 0.45  # from the base line of a line to that of a part of it
MAX_SLOPE_STEP = 0.6  # from a letter of a word in Nastaliq, which goes down a slope, to the next
MIN_SPACE = 0.17  # between two words of a line without drawn spaces
MIN_EXTRA_SPACE = 0.2  # between two words of a line with drawn spaces
MIN_PIECE_GAP = 0.75  # between two pieces of a line that are read apart: cells, columns
MAX_PIECE_GAP = 1.5  # within a piece
MIN_PIECE_GAP_SPACES = 1.8  # between two pieces, in spaces of the line, which may be justified


def group_lines(clusters: Sequence[Cluster]) -> list[list[Cluster]]:
    """Group clusters into lines, in drawing order."""
    lines: list[list[Cluster]] = []
    base = size = last = 0.0
    for cluster in clusters:
        shift, smaller = abs(cluster.base - base), min(size, cluster.size)
        is_on_slope = (
            shift <= smaller
            and abs(cluster.base - last) <= MAX_SLOPE_STEP * smaller
            and RIGHT_TO_LEFT.match(cluster.text)
        )
        last = cluster.base
        if lines and (shift <= MAX_LINE_SHIFT * max(size, cluster.size) or is_on_slope):
            lines[-1].append(cluster)
            if cluster.size > size:
                base, size = cluster.base, cluster.size
        else:
            lines.append([cluster])
            base, size = cluster.base, cluster.size
    return lines


def sort_line(line: Sequence[Cluster]) -> list[Cluster]:
    """Return the clusters of a line from left to right, with marks joined to their letters."""
    bases = sorted(
        (cluster for cluster in line if not is_mark(cluster.text)), key=lambda cluster: cluster.key
    )
    bases = order_lam_alef(drop_covered_spaces(bases))
    letters = sorted((b for b in bases if not b.text.isspace()), key=lambda base: base.left)
    if not letters:
        return sorted(line, key=lambda cluster: cluster.key)
    lefts = [base.left for base in letters]
    marks = (cluster for cluster in line if is_mark(cluster.text))
    for mark in sorted(marks, key=lambda mark: mark.text in TONE_MARKS):
        middle = (mark.left + mark.right) / 2
        place = bisect_right(lefts, middle)
        near = letters[max(0, place - NEAR_LETTERS) : place + NEAR_LETTERS]
        apart = [max(base.left - middle, middle - base.right, 0.0) for base in near]
        if mark.text < "\u0700":  # of Hebrew and Arabic, whose letters overlap
            off = [abs(base.left + base.right - 2 * middle) for base in near]
            near[min(range(len(near)), key=lambda n: (apart[n], off[n]))].text += mark.text
        else:
            near[apart.index(min(apart))].text += mark.text
    return bases


def split_line(line: list[Cluster]) -> list[list[Cluster]]:
    """Split a line at wide gaps into pieces, from left to right."""
    inked = [cluster for cluster in line if not cluster.text.isspace()]
    gaps = [right.left - left.right for left, right in pairwise(inked)]
    usual = min((gap for gap in gaps if gap > MIN_SPACE * inked[0].size), default=0.0)
    pieces: list[list[Cluster]] = [[]]
    edge = line[0].left if line else 0.0
    for cluster in line:
        if not cluster.text.isspace():
            limit = max(MIN_PIECE_GAP * cluster.size, MIN_PIECE_GAP_SPACES * usual)
            if cluster.left - edge > min(limit, MAX_PIECE_GAP * cluster.size):
                pieces.append([])
            edge = max(edge, cluster.right)
        pieces[-1].append(cluster)
    return [add_spaces(piece) for piece in map(strip_spaces, pieces) if piece]


def strip_spaces(piece: Sequence[Cluster]) -> list[Cluster]:
    """Return a piece of a line without the spaces at its ends, and without repeated ones."""
    kept: list[Cluster] = []
    for cluster in piece:
        if not cluster.text.isspace() or (kept and not kept[-1].text.isspace()):
            kept.append(cluster)
    return kept[:-1] if kept and kept[-1].text.isspace() else kept


def add_spaces(piece: Sequence[Cluster]) -> list[Cluster]:
    """Return a piece of a line, from left to right, with a space in each gap."""
    has_spaces = any(cluster.text.isspace() for cluster in piece)
    least = MIN_EXTRA_SPACE if has_spaces else MIN_SPACE
    found = list(piece[:1])
    edge = piece[0].right  # a letter may reach over those that follow it
    for left, right in pairwise(piece):
        blank = left.text.isspace() or right.text.isspace()
        is_run = left.run and left.run == right.run  # draws its spaces
        is_gap = right.left - edge > least * max(left.size, right.size)
        is_bullet = right.text in BULLETS and left.text.isalnum()
        if not blank and ((is_gap and not is_run) or is_bullet):
            found.append(replace(left, text=" ", left=edge, right=right.left))
        found.append(right)
        edge = max(edge, right.right)
    return found
