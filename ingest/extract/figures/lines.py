"""Join the texts of a page to lines, and tell the lines of paragraphs from labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import compress

import numpy as np

from ingest.extract.figures.shapes import Box, enclose, height_of, width_of

BAND_POINTS = 6.0
MAX_BAND_LINES = 6  # at a height: the last of each column
MAX_WORD_GAP = 0.8  # heights of a line between two texts of it; between cells there is more
MIN_LEVEL_SHARE = 0.5  # of the lower text's height that both have in common
USUAL_QUANTILE = 0.9  # of the lines' widths: the width of a column
BODY_SHARE = 0.55  # of that width, which lines of paragraphs have at least
BODY_HEIGHTS = 12  # of a line, which they are wide at least
MAX_LEADING = 1.3  # heights of a line between it and the next
SAME_EDGE_POINTS = 2.0


def join_lines(texts: Sequence[Box]) -> list[Box]:
    """Join texts that are side by side, at the distance of words or less."""
    lines: list[Box] = []
    last: dict[int, list[int]] = defaultdict(list)  # the lines at each height, in bands
    for text in sorted(texts):
        bands = range(int(text[1] // BAND_POINTS), int(text[3] // BAND_POINTS) + 1)
        candidates = {n for band in bands for n in last[band][-MAX_BAND_LINES:]}
        for n in candidates:
            line = lines[n]
            height, other = line[3] - line[1], text[3] - text[1]
            level = min(line[3], text[3]) - max(line[1], text[1])
            if level >= MIN_LEVEL_SHARE * min(height, other) and (
                text[0] - line[2] <= MAX_WORD_GAP * max(height, other)
            ):
                lines[n] = enclose([line, text])
                break
        else:
            n = len(lines)
            lines.append(text)
        for band in bands:
            if n in last[band]:
                last[band].remove(n)
            last[band].append(n)
    return lines


def find_body(lines: Sequence[Box]) -> frozenset[int]:
    """Return the indexes of the lines of paragraphs: wide ones, and short ones that end them."""
    if not lines:
        return frozenset()
    widths = sorted(map(width_of, lines))
    least = BODY_SHARE * widths[int(USUAL_QUANTILE * (len(widths) - 1))]
    wide = {
        n
        for n, line in enumerate(lines)
        if width_of(line) >= max(least, BODY_HEIGHTS * height_of(line))
    }
    others = [n for n in range(len(lines)) if n not in wide]
    above = np.array([lines[n] for n in wide], np.float32).reshape(-1, 4)
    below = np.array([lines[n] for n in others], np.float32).reshape(-1, 1, 4)
    heights = below[..., 3] - below[..., 1]
    follows = np.any(
        (abs(above[:, 0] - below[..., 0]) <= SAME_EDGE_POINTS)
        & (above[:, 1] >= below[..., 1])
        & (above[:, 1] - below[..., 3] <= MAX_LEADING * heights),
        axis=1,
    )
    return frozenset(wide.union(compress(others, follows.tolist())))
