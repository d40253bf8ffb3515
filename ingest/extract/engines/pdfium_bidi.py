"""Put the characters of a page's lines into the order of reading, by the places of its clusters."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise, repeat

from ingest.extract.ascii_parts import non_ascii
from ingest.extract.bidi import (
    RIGHT_TO_LEFT,
    find_early_hyphen,
    is_read_from_right,
    read_order,
    unmirror,
)
from ingest.extract.engines.pdfium_brackets import mirror_brackets, texts_of
from ingest.extract.engines.pdfium_clusters import (
    UNKNOWN,
    Cluster,
    ReadCluster,
    drop_covered_spaces,
    hangs_over,
    is_mark,
    order_lam_alef,
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
    list_unmapped,
)
from ingest.extract.engines.placeholders import NOTHING
from ingest.extract.indic import LEFT_VOWELS, MIXED_BYTES, order_vowels, restore_letters
from ingest.extract.thai import correct_am, correct_unmapped
from ingest.extract.word_order import are_words_forwards

# Scripts from right to left, and those of India and South-East Asia, without the sign of the baht.
COMPLEX_SCRIPT = re.compile(
    "[\u0590-\u08ff\u0900-\u0e3e\u0e40-\u0eff\u0f40-\u109f\u1780-\u17ff\u1a20-\u1aaf"
    "\ua980-\ua9df\uaa00-\uaadf"
    "\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U00011000-\U000114ff\U0001e800-\U0001efff]"
)
# Of Thai and Lao; they are written after the vowel that is below them.
TONE_MARKS = frozenset("\u0e48\u0e49\u0e4a\u0e4b\u0e4c\u0ec8\u0ec9\u0eca\u0ecb\u0ecc")
# Signs that are written after the vowel of a syllable, before it: of each script of India.
SIGN_BEFORE_VOWEL = re.compile(
    "|".join(
        f"[{chr(base + 1)}-{chr(base + 3)}][{chr(base + 0x3E)}-{chr(base + 0x4C)}]"
        for base in range(0x900, 0xD80, 0x80)
    )
)
BULLETS = frozenset("•‣▪●○◦∙")  # drawn right of their item
NEAR_LETTERS = 4  # on either side of a mark; it is drawn on one of them
# Scripts without spaces between words, whose full lines cleaning joins: Thai, Lao, Burmese, Khmer.
UNSPACED_SCRIPT = re.compile("[\u0e01-\u0e3a\u0e40-\u0eff\u1000-\u109f\u1780-\u17ff]")
# A character beyond the first 65,536, whose halves PDFium turns around in a leftward run.
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\udc00-\udfff][\ud800-\udbff]|[\ud800-\udfff]")
LINE_END = "\r\n"
PARAGRAPH_END = f"\u2029{LINE_END}"  # of a script whose lines cleaning joins

MIN_MIXED_LETTERS = 2  # of a glyph, to mix up their bytes
MAX_REORDERED_CHARS = 50_000  # the text of a page with more stays as it is

# In heights of the type.
MAX_LINE_SHIFT = 0.45  # from the base line of a line to that of a part of it
MIN_SPACE = 0.17  # between two words of a line without drawn spaces
MIN_EXTRA_SPACE = 0.2  # between two words of a line with drawn spaces
MIN_PIECE_GAP = 0.75  # between two pieces of a line that are read apart: cells, columns
MAX_PIECE_GAP = 1.5  # within a piece
MIN_PIECE_GAP_SPACES = 1.8  # between two pieces, in spaces of the line, which may be justified
ASCENT = 0.75  # of the type
MIN_PARAGRAPH_DROP = 1.3  # from a paragraph to the next, in the usual drop from line to line


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
    if is_distilled or LEFT_VOWELS.search(raw) or FOREIGN_IN_ARABIC.search(raw):
        unmapped = list_unmapped(handle, raw, clusters)
        if any(unmapped):
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


def group_lines(clusters: Sequence[Cluster]) -> list[list[Cluster]]:
    """Group clusters into lines, in drawing order."""
    lines: list[list[Cluster]] = []
    base = size = 0.0
    for cluster in clusters:
        shift = abs(cluster.base - base)
        if lines and shift <= MAX_LINE_SHIFT * max(size, cluster.size):
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
