"""Splitting a document into chunks at the best boundaries. Pure.

The text is cut into atoms, spans that are never divided, and a chunk is a run of atoms. Where a
chunk ends depends on the text around the cut and not on how far from the start it is: among the
best boundaries in reach, the one whose text hashes lowest. So after an edit the cuts fall back into
step within a few chunks, and what was embedded before is not embedded again.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate, pairwise

import regex

from ingest.chunk.limits import FEWEST_TOKENS, MOST_OVERLAP
from ingest.chunk.tokens import count

CHARACTER = regex.compile(r"\X")


class Boundary(IntEnum):
    """What a chunk can end at, the better the higher."""

    INSIDE = 0  # of a word that is too long
    WORD = 1
    LINE = 2
    SENTENCE = 3
    PARAGRAPH = 4
    HEADING = 5


# A chunk may end this early, as a share of the limit, for a boundary of this kind; the best first.
EARLIEST = {
    Boundary.HEADING: 0.25,
    Boundary.PARAGRAPH: 0.5,
    Boundary.SENTENCE: 0.6,
    Boundary.LINE: 0.6,
    Boundary.WORD: 0.6,
    Boundary.INSIDE: 0.6,
}

WIDEST_PART = 64  # characters

# The white space before a line or a sentence belongs to it: so do cl100k's tokens.
LINE = re.compile(r"\n(?:\s*\n)?")
SENTENCE = re.compile(
    r"""[.!?…。！？｡]["'”’»)\]）」』]*(?: (?=\ +[^a-z\s]) | (?<=[。！？｡）」』]) )""", re.VERBOSE
)
ENDS = frozenset(".!?:…。！？｡")
CLOSES = frozenset("\"'”’»)]）」』")
# A line that ends a sentence this far before the others end, ends a paragraph.
SHORT_LINE = 0.75
ORDINARY_LINE = 0.8  # the length that this share of the lines stays below


@dataclass(frozen=True, slots=True)
class Piece:
    """Where one chunk stands in the text, in characters, and how many tokens it is."""

    start: int
    end: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Atoms:
    """A text as spans that are not divided: span i runs from starts[i] to starts[i + 1]."""

    starts: list[int]  # one more than there are spans: the last is the end of the text
    kinds: list[Boundary]  # what the text breaks at there
    before: list[int]  # tokens before it, counted span by span


def split(text: str, headings: Sequence[int], limit: int, overlap: float) -> list[Piece]:
    """The chunks of a text in reading order.

    No piece is longer than `limit` tokens; each begins with about the share `overlap` of the one
    before; together they hold all of the text but white space. `headings` are the offsets, in
    ascending order, at which headings begin. Raises ValueError for a limit or an overlap that
    cannot work.
    """
    if limit < FEWEST_TOKENS or not 0 <= overlap <= MOST_OVERLAP:
        raise ValueError(f"cannot split into {limit} tokens with an overlap of {overlap}")
    atoms = atomised(text, headings, limit)
    spans = list(runs(text, atoms, limit, overlap))
    pieces: list[Piece] = []
    while spans:
        edges = [trimmed(text, atoms.starts[first], atoms.starts[last]) for first, last in spans]
        tokens = count([text[start:end] for start, end in edges])
        pieces += [Piece(*edge, n) for edge, n in zip(edges, tokens, strict=True) if 0 < n <= limit]
        # Joined spans can be more tokens than the sum of theirs, where a word had to be cut.
        spans = [
            half
            for (first, last), n in zip(spans, tokens, strict=True)
            if n > limit
            for half in ((first, (first + last) // 2), ((first + last) // 2, last))
        ]
    return list(advancing(pieces))


def advancing(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """The pieces in order, without one that only repeats: white space may follow an overlap."""
    end = 0
    for piece in sorted(pieces, key=lambda piece: (piece.start, piece.end)):
        if piece.end > end:
            end = piece.end
            yield piece


def runs(text: str, atoms: Atoms, limit: int, overlap: float) -> Iterator[tuple[int, int]]:
    """The chunks as runs of atoms, from the first to before the last."""
    first, cut, last = 0, 0, len(atoms.kinds) - 1
    while atoms.before[last] - atoms.before[first] > limit:
        cut = best_cut(text, atoms, first, cut, limit)
        yield first, cut
        first = repeated_from(atoms, cut, overlap * limit)
    if cut < last:
        yield first, last


def best_cut(text: str, atoms: Atoms, first: int, after: int, limit: int) -> int:
    """Where a chunk from `first` ends: beyond `after`, and within the limit."""
    base = atoms.before[first]
    furthest = bisect_right(atoms.before, base + limit) - 1

    def content(place: int) -> tuple[int, int]:
        return zlib.crc32(text[atoms.starts[place - 1] : atoms.starts[place]].encode()), place

    for kind, share in EARLIEST.items():
        nearest = max(after + 1, bisect_left(atoms.before, base + share * limit))
        places = [p for p in range(nearest, furthest + 1) if atoms.kinds[p] is kind]
        if places:
            return max(places, key=content)
    return furthest


def repeated_from(atoms: Atoms, cut: int, room: float) -> int:
    """Where the chunk after `cut` begins: with a whole sentence if `room` tokens hold one.

    It depends on the cut alone, so that chunks which end alike are followed by chunks alike.
    """
    if atoms.kinds[cut] is Boundary.HEADING:
        return cut
    first = bisect_left(atoms.before, atoms.before[cut] - room)
    sentences = (place for place in range(first, cut) if atoms.kinds[place] >= Boundary.SENTENCE)
    return next(sentences, first)


def atomised(text: str, headings: Sequence[int], limit: int) -> Atoms:
    """The text cut at every boundary, and where there is none, often enough for the limit."""
    breaks = boundaries(text)
    breaks |= dict.fromkeys(headings, Boundary.HEADING)
    breaks |= {0: Boundary.PARAGRAPH, len(text): Boundary.PARAGRAPH}
    starts = sorted(breaks)
    tokens = count([text[start:end] for start, end in pairwise(starts)])
    # A character is four tokens at most, so no part is more than half the limit, and a part and
    # the largest overlap still fit.
    width = min(WIDEST_PART, limit // 8)
    finer = {
        place: kind
        for (start, end), n in zip(pairwise(starts), tokens, strict=True)
        if n > limit // 8
        for place, kind in parts(text, start, end, width)
    }
    if finer:
        breaks |= finer
        starts = sorted(breaks)
        tokens = count([text[start:end] for start, end in pairwise(starts)])
    return Atoms(starts, [breaks[start] for start in starts], list(accumulate(tokens, initial=0)))


def boundaries(text: str) -> dict[int, Boundary]:
    """Where lines, sentences and paragraphs break."""
    lengths = sorted(map(len, text.split("\n")))
    short = SHORT_LINE * lengths[int(ORDINARY_LINE * (len(lengths) - 1))]
    found = {match.end(): Boundary.SENTENCE for match in SENTENCE.finditer(text)}
    line = 0
    for match in LINE.finditer(text):
        start, end = match.span()
        last = text[start - 1 : start]
        if end - start > 1:
            found[start] = Boundary.PARAGRAPH
        elif last in ENDS or (last in CLOSES and text[start - 2 : start - 1] in ENDS):
            found[start] = Boundary.PARAGRAPH if start - line < short else Boundary.SENTENCE
        else:
            found[start] = Boundary.LINE
        line = end
    return found


def parts(text: str, start: int, end: int, width: int) -> Iterator[tuple[int, Boundary]]:
    """Where to cut a long span so that no part is wider than `width` characters."""
    while end - start > width:
        space = text.rfind(" ", start + 1, start + width + 1)
        if space > 0:
            start = space
            yield start, Boundary.WORD
        else:
            # What a person sees as one character may be many code points, even more than fit.
            whole = (m.end() for m in CHARACTER.finditer(text, start, start + 2 * width))
            start = max((e for e in whole if e <= start + width), default=start + width)
            yield start, Boundary.INSIDE


def trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    """The span without white space at its ends."""
    inside = text[start:end]
    return start + len(inside) - len(inside.lstrip()), start + len(inside.rstrip())
