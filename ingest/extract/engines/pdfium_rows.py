"""Lines of a page whose clusters are in the order of reading: their ends and text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from ingest.extract.engines.pdfium_clusters import ReadCluster
from ingest.extract.engines.pdfium_raw import ReorderedText, TextHandle
from ingest.extract.engines.pdfium_signs import join_signs
from ingest.extract.indic import order_vowels
from ingest.extract.thai import correct_am

# Signs that are written after the vowel of a syllable, before it: of each script of India.
SIGN_BEFORE_VOWEL = re.compile(
    "|".join(
        f"[{chr(base + 1)}-{chr(base + 3)}][{chr(base + 0x3E)}-{chr(base + 0x4C)}]"
        for base in range(0x900, 0xD80, 0x80)
    )
)
# Scripts without spaces between words, whose full lines cleaning joins: Thai, Lao, Burmese, Khmer.
UNSPACED_SCRIPT = re.compile("[\u0e01-\u0e3a\u0e40-\u0eff\u1000-\u109f\u1780-\u17ff]")
LINE_END = "\r\n"
PARAGRAPH_END = f"\u2029{LINE_END}"  # of a script whose lines cleaning joins

# In heights of the type.
ASCENT = 0.75  # of the type
MIN_PARAGRAPH_DROP = 1.3  # from a paragraph to the next, in the usual drop from line to line


def find_paragraph_ends(rows: Sequence[Sequence[ReadCluster]]) -> set[int]:
    """Return the indexes of the lines that begin a paragraph, in scripts whose lines are joined.

    They are further down than lines usually are on the page.
    """
    rows_of_script = [
        bool(row) and all(UNSPACED_SCRIPT.match(end.text) for end in (row[0], row[-1]))
        for row in rows
    ]
    if not any(rows_of_script):
        return set()
    bases = [row[0].cluster.base if row else 0.0 for row in rows]
    drops = [above - below for above, below in pairwise(bases)]
    usual = sorted(drop for drop in drops if drop > 0)
    least = MIN_PARAGRAPH_DROP * usual[len(usual) // 2] if usual else 0.0
    return {
        number
        for number, drop in enumerate(drops, 1)
        if drop > least and rows_of_script[number - 1] and rows_of_script[number]
    }


def build_text(handle: TextHandle, rows: Sequence[Sequence[ReadCluster]]) -> tuple[TextHandle, str]:
    """Return the text of lines, and the handle that gives the boxes of its characters."""
    parts: list[str] = []
    places: list[int] = []
    edges: list[float] = []
    box = (0.0, 0.0, 0.0, 0.0)
    place = 0
    ends = find_paragraph_ends(rows)
    for number, row in enumerate(rows):
        if parts:
            end = PARAGRAPH_END if number in ends else LINE_END
            parts.append(end)
            places += [place] * len(end)
            edges += box * len(end)
        for cluster, text, _ in row:
            low = cluster.base - (1 - ASCENT) * cluster.size
            box = (cluster.left, low + cluster.size, cluster.right, low)
            place = cluster.place if cluster.place >= 0 else place
            parts.append(text)
            places += [place] * len(text)
            edges += box * len(text)
    arranged = ReorderedText(handle)
    arranged.places, arranged.edges = places, edges
    text = SIGN_BEFORE_VOWEL.sub(lambda m: m.group()[::-1], "".join(parts))
    return arranged, join_signs(order_vowels(correct_am(text)))
