"""Group boxes that are close to each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingest.extract.figures.shapes import Box


def group(boxes: Sequence[Box], gap: float) -> list[list[int]]:
    """Return the indexes of the boxes by group: at most `gap` apart from another of the group."""
    if not boxes:
        return []
    lefts, bottoms, rights, tops = np.array(boxes, np.float32).T
    near = lefts[:, None] <= rights + gap
    near &= bottoms[:, None] <= tops + gap
    near = near & near.T  # none is beyond the other
    left = np.ones(len(boxes), np.bool_)  # in no group yet
    groups = []
    for first in range(len(boxes)):
        if not left[first]:
            continue
        left[first] = False
        members = [first]
        edge = np.flatnonzero(near[first] & left)
        while len(edge):
            left[edge] = False
            members += edge.tolist()
            edge = np.flatnonzero(near[edge].any(axis=0) & left)
        groups.append(sorted(members))
    return groups
