"""Turn the brackets of lines from right to left as they are read."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from ingest.extract.bidi import MIRRORED, PAIRED, count_pairs, mirror
from ingest.extract.engines.pdfium_clusters import ReadCluster


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
    chosen = [
        after if gain > 0 or (gain == 0 and usual) else before
        for before, after, gain in zip(rows, mirrored, gains, strict=True)
    ]
    return list(map(mirror_kinds, chosen))


def mirror_kinds(row: list[ReadCluster]) -> list[ReadCluster]:
    """Return a line with those kinds of its brackets mirrored that only then pair up.

    A font says of each glyph what its first use on a page stood for.
    """
    for pair in map("".join, PAIRED.items()):
        after = mirror_row(row, pair)
        if after is not row and count_pairs(filter(pair.__contains__, texts_of(after))) > (
            count_pairs(filter(pair.__contains__, texts_of(row)))
        ):
            row = after
    return row


def texts_of(row: Sequence[ReadCluster]) -> Iterator[str]:
    """Yield the texts of a line in the order of reading."""
    return (read.text for read in row)


def mirror_row(row: list[ReadCluster], kinds: Container[str] = MIRRORED) -> list[ReadCluster]:
    """Return the clusters of a line with the leftward brackets mirrored; itself if it has none."""
    found = {
        place: read._replace(text=mirror(read.text))
        for place, read in enumerate(row)
        if read.text in MIRRORED
        and read.text in kinds
        and read.leftward
        and not read.cluster.is_exact
    }
    return [found.get(place, read) for place, read in enumerate(row)] if found else row
