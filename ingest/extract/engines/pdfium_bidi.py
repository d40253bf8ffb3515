"""Put the characters of a page's lines into the order of reading, by the places of its clusters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise, repeat
from typing import NamedTuple

from ingest.extract.ascii_parts import non_ascii
from ingest.extract.bidi import (
    MIRRORED,
    RIGHT_TO_LEFT,
    count_pairs,
    find_early_hyphen,
    is_read_from_right,
    mirror,
    read_order,
    unmirror,
)
from ingest.extract.engines.pdfium_cluster_lines import group_lines, sort_line, split_line
from ingest.extract.engines.pdfium_clusters import (
    UNKNOWN,
    Cluster,
    hangs_over,
    read_clusters,
)
from ingest.extract.engines.pdfium_footnotes import MAX_MARK_HEIGHTS, part_clusters
from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    ReorderedText,
    TextHandle,
    char_code,
    count_characters,
)
from ingest.extract.engines.pdfium_signs import correct_signs, join_signs
from ingest.extract.engines.pdfium_syllables import (
    FOREIGN_IN_ARABIC,
    GlyphTexts,
    correct_syllables,
    drop_repeated,
    learn_from_fonts,
    list_unmapped,
)
from ingest.extract.engines.placeholders import NOTHING
from ingest.extract.indic import INDIC, MIXED_BYTES, order_vowels, restore_letters
from ingest.extract.thai import correct_am, correct_unmapped
from ingest.extract.word_order import are_words_forwards

# Scripts from right to left, and those of India and South-East Asia, without the sign of the baht.
COMPLEX_SCRIPT = re.compile(
    "[\u0590-\u08ff\u0900-\u0e3e\u0e40-\u0eff\u0f40-\u109f\u1780-\u17ff\u1a20-\u1aaf"
    "\ua980-\ua9df\uaa00-\uaadf"
    "\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U00011000-\U000114ff\U0001e800-\U0001efff]"
)
# Signs that are written after the vowel of a syllable, before it: of each script of India.
SIGN_BEFORE_VOWEL = re.compile(
    "|".join(
        f"[{chr(base + 1)}-{chr(base + 3)}][{chr(base + 0x3E)}-{chr(base + 0x4C)}]"
        for base in range(0x900, 0xD80, 0x80)
    )
)
# Scripts without spaces between words, whose full lines cleaning joins: Thai, Lao, Burmese, Khmer.
UNSPACED_SCRIPT = re.compile("[\u0e01-\u0e3a\u0e40-\u0eff\u1000-\u109f\u1780-\u17ff]")
# A character beyond the first 65,536, whose halves PDFium turns around in a leftward run.
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\udc00-\udfff][\ud800-\udbff]|[\ud800-\udfff]")
LINE_END = "\r\n"
PARAGRAPH_END = f"\u2029{LINE_END}"  # of a script whose lines cleaning joins

MIN_MIXED_LETTERS = 2  # of a glyph, to mix up their bytes
MAX_REORDERED_CHARS = 50_000  # the text of a page with more stays as it is

# In heights of the type.
ASCENT = 0.75  # of the type
MIN_PARAGRAPH_DROP = 1.3  # from a paragraph to the next, in the usual drop from line to line


class ReadCluster(NamedTuple):
    """A cluster in the order of reading, and its text there."""

    cluster: Cluster
    text: str
    leftward: bool  # whether it is part of a run that is read from the right


def needs_reordering(drawn: str) -> bool:
    """Return whether a page has letters of a script that may be drawn in another order."""
    return COMPLEX_SCRIPT.search(non_ascii(drawn)) is not None


def reorder_page(
    page: PageHandle, handle: TextHandle, drawn: str, texts: GlyphTexts
) -> tuple[TextHandle, str]:
    """Return the text of a page with the characters of each line in the order of reading.

    The handle that is returned with it gives the boxes of its characters.
    """
    count = count_characters(handle)
    if count > MAX_REORDERED_CHARS:
        return handle, drawn
    if len(drawn) != count:  # PDFium leaves control characters out, but counts them
        codes = map(char_code, repeat(handle), range(count))
        drawn = PAIR.sub(join_pair, "".join(map(chr, codes)))
    raw = LINE_END.join(map(unmirror, drawn.split(LINE_END)))
    raw = correct_unmapped(raw, partial(hangs_over, handle))
    clusters = read_clusters(page, handle, raw)
    is_distilled = MIXED_BYTES.search(raw) is not None
    if is_distilled:
        clusters = [
            cluster
            if len(cluster.text) < MIN_MIXED_LETTERS
            else replace(cluster, text=restore_letters(cluster.text))
            for cluster in clusters
        ]
    if is_distilled or INDIC.search(raw) or FOREIGN_IN_ARABIC.search(raw):
        unmapped = list_unmapped(handle, raw, clusters)
        if any(unmapped):
            learn_from_fonts(handle, clusters, unmapped, texts)
            clusters = correct_signs(handle, clusters)
        clusters = correct_syllables(clusters, unmapped, texts, is_distilled=is_distilled)
    if not clusters:
        return handle, drawn
    rows = [split_line(sort_line(line)) for line in group_lines(drop_repeated(clusters))]
    seen = ["".join(cluster.text for cluster in piece) for row in rows for piece in row]
    usual = is_read_from_right("\n".join(seen), usual=False)
    if any(map(RIGHT_TO_LEFT.search, seen)) and are_words_forwards(seen):
        return build_text(handle, [read_as_drawn(row) for row in rows])
    read = [part_clusters(handle, read_row(row, usual=usual)) for row in rows]
    for row, below in pairwise(read):
        if (early := find_early_hyphen(list(texts_of(row)), list(texts_of(below[:1])))) > 0:
            row.append(row.pop(early))
    return build_text(handle, mirror_brackets(read))


def join_pair(match: re.Match[str]) -> str:
    """Return the character of two halves, and another in place of the second."""
    pair = "".join(sorted(match.group()))
    if len(pair) == 1:
        return UNKNOWN
    return pair.encode("utf-16-le", "surrogatepass").decode("utf-16-le") + NOTHING


def read_row(row: Sequence[Sequence[Cluster]], *, usual: bool) -> list[ReadCluster]:
    """Return the clusters of a line in the order of reading."""
    found: list[ReadCluster] = []
    for piece in reversed(row) if usual else row:
        texts = [cluster.text for cluster in piece]
        from_right = is_read_from_right("".join(texts), usual=usual)
        if found:
            found.append(ReadCluster(found[-1].cluster, " ", leftward=False))
        found += [
            ReadCluster(piece[index], texts[index], leftward)
            for index, leftward in read_order(part_numbers(piece), right_to_left=from_right)
        ]
    return found


def part_numbers(piece: Sequence[Cluster]) -> list[str]:
    """Return the texts of clusters, with a neutral one between a footnote and a larger number.

    From right to left the full stop of "1994.1" would make them one number.
    """
    texts = [cluster.text for cluster in piece]
    for place in range(1, len(piece) - 1):
        mark, number = piece[place - 1], piece[place + 1]
        if (
            texts[place] in (".", ",")
            and mark.text.isdecimal()
            and number.text.isdecimal()
            and mark.size <= MAX_MARK_HEIGHTS * number.size
        ):
            texts[place] = "|"
    return texts


def read_as_drawn(row: Sequence[Sequence[Cluster]]) -> list[ReadCluster]:
    """Return the clusters of a line in the order they are drawn in: item by item."""
    found: list[ReadCluster] = []
    items: dict[int, list[Cluster]] = {}
    for cluster in (cluster for piece in row for cluster in piece):
        items.setdefault(cluster.item, []).append(cluster)
    for _, item in sorted(items.items()):
        if found and not found[-1].text.isspace():
            found.append(ReadCluster(found[-1].cluster, " ", leftward=False))
        found += [ReadCluster(cluster, cluster.text, leftward=False) for cluster in item]
    return found


def mirror_brackets(rows: Sequence[list[ReadCluster]]) -> list[list[ReadCluster]]:
    """Return lines with their leftward brackets mirrored, if only then they pair up.

    Some documents say what a bracket stands for, others what it looks like. Each line decides for
    itself, or else as all lines do.
    """
    mirrored = [mirror_row(row) for row in rows]
    gains = [
        0 if after is before else count_pairs(texts_of(after)) - count_pairs(texts_of(before))
        for before, after in zip(rows, mirrored, strict=True)
    ]
    usual = sum(gains) > 0
    return [
        after if gain > 0 or (gain == 0 and usual) else before
        for before, after, gain in zip(rows, mirrored, gains, strict=True)
    ]


def texts_of(row: Sequence[ReadCluster]) -> Iterator[str]:
    """Yield the texts of a line in the order of reading."""
    return (read.text for read in row)


def mirror_row(row: list[ReadCluster]) -> list[ReadCluster]:
    """Return the clusters of a line with the leftward brackets mirrored; itself if it has none."""
    found = {
        place: read._replace(text=mirror(read.text))
        for place, read in enumerate(row)
        if read.text in MIRRORED and read.leftward and not read.cluster.is_exact
    }
    return [found.get(place, read) for place, read in enumerate(row)] if found else row


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
