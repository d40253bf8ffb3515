"""Tell list markers and values from other text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.extract.layout.segments import TextSegment, merge_segments

MAX_MARKER_CHARS = 7
# The marker of a list item, which is at some distance from it.
BULLETS = "•‣▪●○◦∙·"
DASHES = "-–—−*"
LIST_MARKER = re.compile(
    rf"[{BULLETS}*–—−-]|\(?(?:\d{{1,2}}|[a-zA-Z]|[ivx]{{1,4}})[.)]|\[\d{{1,3}}\]"
)
# A number, an amount, a share, or the dash that stands for none.
VALUE = re.compile(
    r"[(+±<>≤≥~–—−-]{0,2}\s?(?:[^\W\d_]{1,3}\.?|[$€£¥₹₽₩₺])?\s?[+–−-]?\d[\d.,'’:/\s]*"
    r"(?:[%‰°$€£¥₹₽₩₺]|[^\W\d_]{1,3}\.?)?[)*†‡–-]{0,2}|[–—−-]"
)
LABEL_ENDS = (":", "：")
MAX_VALUE_CHARS = 24
MAX_PIECES_AFTER_MARKER = 4
# In heights of the type.
MAX_MARKER_GAP_HEIGHTS = 3.5  # from a marker to its item
MAX_INNER_MARKER_GAP_HEIGHTS = 2.0  # the same, if something else is to the left of the marker


def is_value(text: str) -> bool:
    """Return whether a text is a number, an amount, or a dash for none."""
    return len(text) <= MAX_VALUE_CHARS and VALUE.fullmatch(text) is not None


def join_markers(segments: Sequence[TextSegment]) -> list[TextSegment]:
    """Join each list marker with its item."""
    joined = list(join_next_markers(segments))
    markers = [
        s for s in joined if len(s.text) <= MAX_MARKER_CHARS and LIST_MARKER.fullmatch(s.text)
    ]
    return join_apart_markers(joined, markers) if markers else joined


def join_apart_markers(
    segments: Sequence[TextSegment], markers: Sequence[TextSegment]
) -> list[TextSegment]:
    """Join list markers that are drawn before or after all items with the items beside them."""
    items: dict[int, TextSegment] = {}  # by drawing index of the item
    for marker in markers:
        level = [s for s in segments if marker.v0 < s.middle < marker.v1 and s is not marker]
        item = min(level, key=lambda s: distance(marker, s), default=None)
        if item is None or distance(marker, item) > MAX_MARKER_GAP_HEIGHTS * marker.height:
            continue
        is_apart = abs(item.drawing_index - marker.drawing_index) > 1
        is_near_bullet = marker.text in BULLETS and distance(marker, item) < marker.height
        is_first = is_near_bullet or all(
            distance(marker, s) > distance(marker, item) + item.u1 - item.u0
            and not is_value(s.text)
            for s in level
            if s is not item
        )
        if is_apart and is_first and item not in markers and not is_value(item.text):
            items[item.drawing_index] = marker
    used = {marker.drawing_index for marker in items.values()}
    return [
        merge_marker(items[s.drawing_index], s) if s.drawing_index in items else s
        for s in segments
        if s.drawing_index not in used
    ]


def merge_marker(marker: TextSegment, item: TextSegment) -> TextSegment:
    """Return a list marker and its item as one segment, in the place of the item."""
    merged = merge_segments([marker, item], f"{marker.text} {item.text}")
    return replace(merged, drawing_index=item.drawing_index, line=item.line)


def distance(one: TextSegment, other: TextSegment) -> float:
    """Return the white space between two segments along the line."""
    return max(other.u0 - one.u1, one.u0 - other.u1)


def join_next_markers(segments: Sequence[TextSegment]) -> Iterator[TextSegment]:
    """Join each list marker with its item that is drawn next."""
    skipped = False
    for number, segment in enumerate(segments):
        if skipped:
            skipped = False
            continue
        if is_list_marker(segments, number):
            item = segments[number + 1]
            skipped = True
            yield merge_segments([segment, item], f"{segment.text} {item.text}")
        else:
            yield segment


def is_list_marker(segments: Sequence[TextSegment], number: int) -> bool:
    """Return whether a segment is the marker of the item after it, and no cell of a table."""
    marker = segments[number]
    if len(marker.text) > MAX_MARKER_CHARS or not LIST_MARKER.fullmatch(marker.text):
        return False
    after = segments[number + 1 : number + 1 + MAX_PIECES_AFTER_MARKER]
    if not after or after[0].line != marker.line:
        return False
    if marker.text in BULLETS:
        return True
    item, height = after[0], marker.height
    gap = max(item.u0 - marker.u1, marker.u0 - item.u1)
    above = segments[number - 1] if number else marker
    has_left = above.u1 < marker.u0 and above.v0 < marker.middle < above.v1
    return not (
        gap > MAX_MARKER_GAP_HEIGHTS * height
        or (has_left and gap > MAX_INNER_MARKER_GAP_HEIGHTS * height)
        or (marker.text[0] in f"{DASHES}(" and is_value(item.text) and gap > height / 2)
        or any(
            s.text not in DASHES
            and is_value(s.text)
            and s.u0 > item.u1
            and marker.v0 < s.middle < marker.v1
            for s in after[1:]
        )
    )
