"""Put the characters of a page's lines into the order of reading, by the places of its clusters."""

from __future__ import annotations

import re
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
from ingest.extract.engines.pdfium_cluster_lines import group_lines, sort_line, split_line
from ingest.extract.engines.pdfium_clusters import (
    UNKNOWN,
    Cluster,
    ReadCluster,
    hangs_over,
    read_clusters,
)
from ingest.extract.engines.pdfium_footnotes import MAX_MARK_HEIGHTS, part_clusters
from ingest.extract.engines.pdfium_raw import PageHandle, TextHandle, char_code, count_characters
from ingest.extract.engines.pdfium_rows import LINE_END, build_text
from ingest.extract.engines.pdfium_signs import correct_signs
from ingest.extract.engines.pdfium_syllables import (
    FOREIGN_IN_ARABIC,
    GlyphTexts,
    correct_syllables,
    drop_repeated,
    learn_from_fonts,
    list_unmapped,
)
from ingest.extract.engines.placeholders import NOTHING
from ingest.extract.indic import INDIC, MIXED_BYTES, restore_letters
from ingest.extract.thai import correct_unmapped
from ingest.extract.word_order import are_words_forwards

# Scripts from right to left, and those of India and South-East Asia, without the sign of the baht.
COMPLEX_SCRIPT = re.compile(
    "[\u0590-\u08ff\u0900-\u0e3e\u0e40-\u0eff\u0f40-\u109f\u1780-\u17ff\u1a20-\u1aaf"
    "\ua980-\ua9df\uaa00-\uaadf"
    "\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U00011000-\U000114ff\U0001e800-\U0001efff]"
)
# A character beyond the first 65,536, whose halves PDFium turns around in a leftward run.
PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\udc00-\udfff][\ud800-\udbff]|[\ud800-\udfff]")

MIN_MIXED_LETTERS = 2  # of a glyph, to mix up their bytes
MAX_REORDERED_CHARS = 50_000  # the text of a page with more stays as it is


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
