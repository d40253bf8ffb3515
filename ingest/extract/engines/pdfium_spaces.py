"""Correct the spaces between glyphs where PDFium misses or adds one that the page does not show."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.extract.ascii_parts import non_ascii
from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, is_generated, list_char_edges
from ingest.extract.engines.placeholders import NOTHING, Placeholders
from ingest.extract.layout.word_boxes import MIN_SEGMENT_GAP_HEIGHTS

# Where a space is missing if there is a gap. Most pages have none of them, and a search for one
# character takes hardly any time.
UNSPACED_SIGNS = (
    re.compile(r",(?<=[^\W\d_],)(?=[^\W\d_])"),
    re.compile(r"\.(?<=[a-z]\.)(?=[A-Z])"),
    re.compile("-(?=-)"),
)
HYPHEN_MARK = "\ufffe"  # PDFium's for a hyphen at the end of a line
MAX_SIGNS = 20  # of a page, that are measured

# In heights of the type.
MIN_SPACE_HEIGHTS = 0.15
MAX_SPACED_LETTERS = 2  # in a row; more are a word with space between its letters

# Chinese, Japanese and Korean text, which is set with a little space next to other letters.
FULL_WIDTH = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
SPACE_BESIDE_FULL_WIDTH = re.compile(
    f"[0-9A-Za-z](?<=[{FULL_WIDTH}] .)|[{FULL_WIDTH}](?<=[0-9A-Za-z] .)"
)
HAS_FULL_WIDTH = re.compile(f"[{FULL_WIDTH}]")
MAX_BROKEN_CHARS = 5  # of a line on average, its end included; longer ones are lines
LINE = re.compile(r"\S(?:[^\r\n]*\S)?")
LINE_END = re.compile(r"(?<=\S)\r\n(?=\S)")
FULL_WIDTH_LINE_END = re.compile(
    f"\r\n(?:(?<=[{FULL_WIDTH}]..)(?=.)|(?<=...)(?=[{FULL_WIDTH}]))", re.DOTALL
)
MAX_SET_SPACE_HEIGHTS = 0.26  # as programs set it: a quarter of the type at most


def correct_spaces(handle: TextHandle, text: str, placeholders: Placeholders) -> str:
    """Return the characters of a page with the spaces that it shows; as many as before."""
    has_full_width = HAS_FULL_WIDTH.search(non_ascii(text))
    is_broken = text.count("\r\n") * MAX_BROKEN_CHARS > len(text)
    if has_full_width or is_broken:
        text = join_lines(handle, text, LINE_END if is_broken else FULL_WIDTH_LINE_END)
    # A document that lacks spaces on a page lacks them on the next ones, with a sign of it or not.
    if placeholders.misses_spaces or any(is_gap(handle, place) for place in list_signs(text)):
        placeholders.misses_spaces = True
        text = add_missing_spaces(handle, text, placeholders)
    if has_full_width:
        text = drop_set_spaces(handle, text)
    return text


def join_lines(handle: TextHandle, text: str, line_end: re.Pattern[str]) -> str:
    """Return the characters of a page without those line ends that are within a line.

    PDFium takes a page of columns with wide gaps for vertical text, and ends a line after each
    letter that is drawn by itself, as Chromium does where a font has widths in whole pixels.
    """
    ends = [match.start() for match in line_end.finditer(text)]
    edges = list_char_edges(handle, [place for end in ends for place in (end - 1, end + 2)])
    chars = list(text)
    for number, end in enumerate(ends):
        first = 2 * BOX_FIELDS * number
        _, top, right, bottom = edges[first : first + BOX_FIELDS]
        left, next_top, _, next_bottom = edges[first + BOX_FIELDS : first + 2 * BOX_FIELDS]
        height, gap = max(top - bottom, next_top - next_bottom), left - right
        near = MIN_SPACE_HEIGHTS * height
        if abs(top + bottom - next_top - next_bottom) > 2 * near:
            continue
        if abs(gap) <= near:
            chars[end : end + 2] = NOTHING * 2
        elif 0 < gap <= MIN_SEGMENT_GAP_HEIGHTS * height and not HAS_FULL_WIDTH.search(
            text, end - 1, end + 3
        ):
            chars[end : end + 2] = " ", NOTHING
    return "".join(chars)


def list_signs(text: str) -> list[int]:
    """List the places where a space may be missing."""
    return [m.start() for sign in UNSPACED_SIGNS for m in sign.finditer(text)][:MAX_SIGNS]


def is_gap(handle: TextHandle, place: int) -> bool:
    """Return whether there is room for a space after a character."""
    edges = list_char_edges(handle, [place, place + 1])
    return find_gaps(edges) == [0]


def find_gaps(edges: list[float]) -> list[int]:
    """Return the numbers of the characters after which there is room for a space."""
    lefts, tops, rights, bottoms = (edges[field::BOX_FIELDS] for field in range(BOX_FIELDS))
    return [
        number
        for number, (right, top, bottom, left, next_top, next_bottom) in enumerate(
            zip(rights, tops, bottoms, lefts[1:], tops[1:], bottoms[1:], strict=False)
        )
        if left > right  # saves time: most are next to each other
        and left - right > MIN_SPACE_HEIGHTS * max(top - bottom, next_top - next_bottom)
        and bottom < next_top
        and next_bottom < top
    ]


def add_missing_spaces(handle: TextHandle, text: str, placeholders: Placeholders) -> str:
    """Put a space where there is a gap between two characters.

    PDFium counts the space between letters that a page asks for as part of them, also where a
    program makes the space between two words of it. A word with space between all its letters
    stays.
    """
    chars = list(text)
    blank = {NOTHING, *filter(str.isspace, set(chars))}
    inked = [n for n, char in enumerate(chars) if char not in blank]
    gaps = find_gaps(list_char_edges(handle, inked))
    places = [inked[n + 1] for n in gaps if inked[n + 1] == inked[n] + 1]
    for start, end in group_runs(places):
        if end - start <= MAX_SPACED_LETTERS:
            for place in range(start, end):
                if chars[place] == HYPHEN_MARK:
                    continue  # it ends the line, and find_words() parts it
                chars[place] = placeholders.standing_for(f" {chars[place]}")
    return "".join(chars)


def part_backward_cells(handle: TextHandle, text: str, placeholders: Placeholders) -> str:
    """Put a space where a line that was drawn as one goes back to the left of its beginning.

    Ghostscript does so where a cell over several rows is drawn after those right of it.
    """
    lines = [match.span() for match in LINE.finditer(text)]
    edges = list_char_edges(handle, [place for start, end in lines for place in (start, end - 1)])
    lefts = edges[::BOX_FIELDS]
    chars = list(text)
    for (start, end), first, last in zip(lines, lefts[::2], lefts[1::2], strict=True):
        if last < first:
            inked = [place for place in range(start, end) if not text[place].isspace()]
            found = list_char_edges(handle, inked)[::BOX_FIELDS]
            for place, before, after in zip(inked[1:], found, found[1:], strict=False):
                if after < first <= before and text[place : place + 2].isalnum():
                    chars[place] = placeholders.standing_for(f" {chars[place]}")
    return "".join(chars)


def group_runs(places: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each run of places that follow each other."""
    start = previous = -2
    for place in places:
        if place != previous + 1:
            if start >= 0:
                yield start, previous + 1
            start = place
        previous = place
    if start >= 0:
        yield start, previous + 1


def drop_set_spaces(handle: TextHandle, text: str) -> str:
    """Drop the spaces that stand for the little space between full-width and other letters."""
    places = [match.start() - 1 for match in SPACE_BESIDE_FULL_WIDTH.finditer(text)]
    chars = list(text)
    for place in places:
        if is_generated(handle, place) != 1:
            continue
        edges = list_char_edges(handle, [place - 1, place + 1])
        _, top, right, bottom, left, next_top, _, next_bottom = edges
        height = max(top - bottom, next_top - next_bottom)
        if left - right < MAX_SET_SPACE_HEIGHTS * height:
            chars[place] = NOTHING
    return "".join(chars)
