"""Group boxes that are close to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingest.extract.figures.shapes import Box


def group(boxes: Sequence[Box], gap: float) -> list[list[int]]:
    """Return the indexes of the boxes by group: at most `gap` apart from another of the group."""
    if not boxes:
        return []
    edges = np.array(boxes, np.float32)
    lefts, bottoms, rights, tops = edges.T.copy()
    left = np.ones(len(boxes), np.bool_)
    groups = []
    for first in range(len(boxes)):
        if not left[first]:
            continue
        left[first] = False
        members, waiting = [first], [first]
        while waiting:
            one = boxes[waiting.pop()]
            near = (
                left
                & (lefts <= one[2] + gap)
                & (rights >= one[0] - gap)
                & (bottoms <= one[3] + gap)
                & (tops >= one[1] - gap)
            )
            found = np.flatnonzero(near)
            left[found] = False
            members += found.tolist()
            waiting += found.tolist()
        groups.append(sorted(members))
    return groups
