"""Join the texts of a page to lines, and tell the lines of paragraphs from labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import compress

import numpy as np

from ingest.extract.figures.shapes import Box, height_of, width_of

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
        left, bottom, right, top = text
        height = top - bottom
        bands = range(int(bottom // BAND_POINTS), int(top // BAND_POINTS) + 1)
        found = -1  # the first line that the text continues; without functions, as it is hot
        for band in bands:
            for n in last[band][-MAX_BAND_LINES:]:
                if n == found:
                    continue
                _, low, end, high = lines[n]
                other = high - low
                least, most = (height, other) if height < other else (other, height)
                if left - end > MAX_WORD_GAP * most:
                    continue
                level = min(top, high) - max(bottom, low)
                if level >= MIN_LEVEL_SHARE * least and (found < 0 or n < found):
                    found = n
        if found < 0:
            found = len(lines)
            lines.append(text)
        else:  # it begins further left, as the texts are sorted
            start, low, end, high = lines[found]
            lines[found] = start, min(low, bottom), max(end, right), max(high, top)
        for band in bands:
            numbers = last[band]
            if found in numbers:
                numbers.remove(found)
            numbers.append(found)
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
