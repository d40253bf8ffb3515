"""Tell drawings (charts, diagrams, maps) from tables, frames, rules and lettering."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ingest.extract.figures.clusters import group
from ingest.extract.figures.shapes import (
    MIN_PATHS,
    Box,
    Look,
    Shape,
    area_of,
    enclose,
    grow,
    has_middle,
    height_of,
    intersect,
    touches,
    width_of,
)

MAX_TEXT_SHARE = 0.3  # of a drawing that text covers
MIN_MARK_POINTS = 3.0  # a slanted or curved path that is smaller is a dot
MIN_MARKS_SPAN = (
    0.2  # of a drawing's width or height, which its slanted and curved paths extend over
)
MIN_MARKS = 12  # or as many of these
LETTER_POINTS = 20.0  # paths that are all smaller are letters, or a pattern
JOINT_POINTS = 0.3  # between lines that hang together
MESH_SHARE = 0.6  # of a drawing, that such lines extend over
MIN_LARGE_SHARE = 0.25  # of a drawing's width or height that its largest path has

MIN_RULED_LINES = 4  # of text in a table
MIN_RULED_SHARE = 0.6  # of the bands between a table's rules that have text
MIN_BAND_POINTS = 6.0  # the height of a row
MAX_CELL_SHARE = 0.6  # of a table that one cell takes
MAX_CURVED_SHARE = 0.1  # of a table that icons cover
MAX_TICK_POINTS = 9.0
MIN_TICKS = 4  # of the same length in a row
MIN_FILL_POINTS = 2.6
MIN_FILLS = 3  # without text, of two sizes: the bars of a chart
MIN_FILLS_SHARE = 0.03  # of a chart's area
MIN_NODES = 2  # boxes with text, apart from each other
NODE_REACH = 6.0  # points from a connector's end to its node
MIN_CONNECTOR_POINTS = 6.0
SAME_EDGE_POINTS = 2.5
MAX_NODES = 80


@dataclass(frozen=True, slots=True)
class PathCluster:
    """Paths that are close to each other, and the lines of text among them."""

    box: Box
    paths: Sequence[Shape]
    lines: Sequence[Box]

    def text_share(self) -> float:
        """Return the share of the cluster that text covers."""
        area = sum(area_of(intersect(line, self.box)) for line in self.lines)
        return area / max(1.0, area_of(self.box))

    def having(self, look: Look) -> list[Shape]:
        """Return the paths with a certain look."""
        return [path for path in self.paths if path.look is look]


def is_drawing(cluster: PathCluster) -> bool:
    """Return whether paths that are close to each other are a drawing."""
    if len(cluster.paths) < MIN_PATHS or is_lettering(cluster):
        return False
    if has_nodes(cluster):
        return True
    if is_ruled_table(cluster):
        return False
    if cluster.text_share() > MAX_TEXT_SHARE:
        return False
    return has_marks(cluster) or has_ticks(cluster) or has_bars(cluster)


def may_be_drawing(shapes: Sequence[Shape]) -> bool:
    """Return whether some of the shapes may be a drawing, by what each is: see `is_drawing`."""
    boxes = fills = ticks = 0
    has_connector = False
    for shape in shapes:
        size = max(width_of(shape.box), height_of(shape.box))
        if shape.look is Look.SHAPE:
            if size >= MIN_MARK_POINTS:
                return True
            boxes += 1
        elif shape.look is Look.PLAIN_BOX:
            boxes += 1
            fills += shape.filled
        elif shape.look is Look.RULE:
            ticks += size <= MAX_TICK_POINTS
            has_connector |= size >= MIN_CONNECTOR_POINTS
    return fills >= MIN_FILLS or ticks >= MIN_TICKS or (has_connector and boxes >= MIN_NODES)


def is_lettering(cluster: PathCluster) -> bool:
    """Return whether all paths are as small as letters, and apart from each other as these are."""
    boxes = [path.box for path in cluster.paths]
    width, height = width_of(cluster.box), height_of(cluster.box)
    largest = max(max(width_of(box), height_of(box)) for box in boxes)
    if largest >= max(LETTER_POINTS, MIN_LARGE_SHARE * min(width, height)):
        return False
    # The lines of a wireframe or a mesh are small as well, but hang together.
    for members in group(boxes, JOINT_POINTS):
        whole = enclose(boxes[n] for n in members)
        if width_of(whole) >= MESH_SHARE * width and height_of(whole) >= MESH_SHARE * height:
            return max(width_of(whole), height_of(whole)) < 3 * LETTER_POINTS
    return True


def has_marks(cluster: PathCluster) -> bool:
    """Return whether slanted or curved paths are a part of the whole."""
    marks = [
        path.box
        for path in cluster.having(Look.SHAPE)
        if max(width_of(path.box), height_of(path.box)) >= MIN_MARK_POINTS
    ]
    if not marks:
        return False
    if len(marks) >= MIN_MARKS:
        return True
    across = max(box[2] for box in marks) - min(box[0] for box in marks)
    along = max(box[3] for box in marks) - min(box[1] for box in marks)
    return across >= MIN_MARKS_SPAN * width_of(cluster.box) or along >= MIN_MARKS_SPAN * height_of(
        cluster.box
    )


def is_ruled_table(cluster: PathCluster) -> bool:
    """Return whether level rules, or rows of boxes, have text between them across their width."""
    level = [path.box for path in cluster.paths if is_rule_or_cell(path, cluster)]
    if len(level) < MIN_PATHS:
        return False
    left, right = min(box[0] for box in level), max(box[2] for box in level)
    lines = [line for line in cluster.lines if left <= (line[0] + line[2]) / 2 <= right]
    if len(lines) < MIN_RULED_LINES:
        return False
    edges = sorted({round(edge) for box in level for edge in (box[1], box[3])}, reverse=True)
    bands = [(high, low) for high, low in pairwise(edges) if high - low >= MIN_BAND_POINTS]
    middles = [(line[1] + line[3]) / 2 for line in lines]
    full = sum(any(low - 2 <= middle <= high + 2 for middle in middles) for high, low in bands)
    curved = sum(area_of(path.box) for path in cluster.having(Look.SHAPE))
    return full >= MIN_RULED_SHARE * max(1, len(bands)) and (
        curved < MAX_CURVED_SHARE * area_of(cluster.box)
    )


def is_rule_or_cell(path: Shape, cluster: PathCluster) -> bool:
    """Return whether a path is a level rule, or a box with text that is one cell or row."""
    if path.look is Look.RULE:
        return width_of(path.box) > max(MAX_TICK_POINTS, height_of(path.box))
    return (
        path.look is Look.PLAIN_BOX
        and area_of(path.box) < MAX_CELL_SHARE * area_of(cluster.box)
        and any(has_middle(path.box, line) for line in cluster.lines)
    )


def has_ticks(cluster: PathCluster) -> bool:
    """Return whether short rules of the same length stand in a row: the ticks of an axis."""
    rows: dict[tuple[bool, int, int], set[int]] = {}
    for path in cluster.having(Look.RULE):
        left, bottom, right, top = path.box
        upright = top - bottom > right - left
        length = top - bottom if upright else right - left
        if 1 < length <= MAX_TICK_POINTS:
            place, along = (bottom, left) if upright else (left, bottom)
            row = rows.setdefault((upright, round(length * 2), round(place)), set())
            row.add(round(along))
    return any(len(row) >= MIN_TICKS for row in rows.values())


def has_bars(cluster: PathCluster) -> bool:
    """Return whether filled boxes without text differ in size: the bars of a chart."""
    fills = [
        path.box
        for path in cluster.having(Look.PLAIN_BOX)
        if path.filled
        and min(width_of(path.box), height_of(path.box)) >= MIN_FILL_POINTS
        and area_of(path.box) < 0.7 * area_of(cluster.box)
    ]
    empty = [box for box in fills if not any(has_middle(box, line) for line in cluster.lines)]
    if len(empty) < MIN_FILLS or len(empty) < len(fills) / 2:
        return False
    sizes = {(round(width_of(box)), round(height_of(box))) for box in empty}
    widths, heights = {w for w, _ in sizes}, {h for _, h in sizes}
    shares = sum(map(area_of, empty)) / max(1.0, area_of(cluster.box))
    return min(len(widths), len(heights)) < max(len(widths), len(heights)) and (
        shares >= MIN_FILLS_SHARE
    )


def is_same_box(one: Box, other: Box) -> bool:
    """Return whether two boxes are the area and the outline of one shape."""
    return all(abs(a - b) <= SAME_EDGE_POINTS for a, b in zip(one, other, strict=True))


def has_nodes(cluster: PathCluster) -> bool:
    """Return whether boxes with text are apart from each other, with lines between them."""
    nodes = [
        path.box
        for path in cluster.paths
        if path.look in {Look.PLAIN_BOX, Look.SHAPE}
        and any(has_middle(path.box, line) for line in cluster.lines)
        and area_of(path.box) < 0.5 * area_of(cluster.box)
    ][:MAX_NODES]
    apart = [
        box
        for box in nodes
        for grown in [grow(box, 1.5)]
        if not any(touches(grown, other) and not is_same_box(box, other) for other in nodes)
    ]
    distinct = [
        box
        for n, box in enumerate(apart)
        if not any(is_same_box(box, other) for other in apart[:n])
    ]
    if len(distinct) < MIN_NODES:
        return False
    connectors = [
        path.box
        for path in cluster.paths
        if path.look in {Look.RULE, Look.SHAPE}
        and max(width_of(path.box), height_of(path.box)) >= MIN_CONNECTOR_POINTS
    ]
    return any(
        any(
            touches(reach, box)
            and not (
                line[0] >= box[0] - 1
                and line[2] <= box[2] + 1
                and line[1] >= box[1] - 1
                and line[3] <= box[3] + 1
            )
            for box in apart
        )
        for line in connectors
        for reach in [grow(line, NODE_REACH)]
    )
