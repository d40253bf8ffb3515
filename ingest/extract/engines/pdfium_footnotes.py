"""Part the numbers of footnotes from the words they stand at."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Sequence
from itertools import pairwise

from ingest.extract.engines.pdfium_clusters import ReadCluster
from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    TextHandle,
    drawn_box,
    list_char_edges,
    origin_of,
)
from ingest.extract.engines.placeholders import NOTHING, Placeholders

# A number that follows a word or the end of a sentence; in smaller type and raised, it is the mark
# of a footnote. After a figure and a full stop, where it may be a decimal, PDFium must end the line
# at it, as it does at a raised number. After four figures it may be that of a year.
NUMBER_AFTER_WORD = re.compile(
    r"[0-9](?:(?<=[^\s\d][0-9])"  # saves time: most digits follow a digit or a space
    r"(?:(?<=[^\W\d_]{3}[0-9])|(?<=[^\W\d_][.,:;!?][0-9])|(?<=[)\]”’»\"][0-9])"
    r"|(?<=[0-9][.,:;!?][0-9])(?=[0-9]{0,2}\r\n ))"
    r"[0-9]{0,2}|(?<=[\s(][0-9]{5})[0-9]?)(?![^\W_])"  # or of a year
)
# An ordinal or a number in smaller type, which PDFium puts on a line of its own: "the 20\r\nth of".
# A single letter with an index is a formula's, and laid out with it.
RAISED_PART = re.compile(
    r"\r\n(?:(?<=[0-9IVXLCMnN]\r\n)(?=(?:st|nd|rd|th|er?|re|ère|ème|os?|as?|mes?|lles?)(?![^\W_]))"
    r"|(?:(?<=[^\W\d_]{2}\r\n)|(?<=[0-9]{4}\r\n)|(?<=[.,;!?%”’»]\r\n))(?=[0-9]{1,2}(?![^\W_]))"
    r"|(?<=[^\W\d_][0-9]\r\n)(?=[.,;:!?)]))"  # after the index of "CO2,"
)
MAX_RAISED_GAP_HEIGHTS = 0.25
MIN_NOTED_LETTERS = 3  # of a word with a footnote: a power follows a unit of one or two
MAX_MARK_HEIGHTS = 0.85  # of the type of the word
MIN_MARK_HEIGHTS = 0.45  # what is smaller stands at an initial
MIN_RAISED_HEIGHTS = 0.15
MIN_FULL_RAISED_HEIGHTS = 0.3  # of a mark in type as large as its word's


def join_raised_parts(handle: TextHandle, text: str, places: Sequence[int]) -> str:
    """Drop the line ends, at those places, between a word and what is raised at it.

    The number of a footnote is parted from its word by a space.
    """
    edges = list_char_edges(handle, [n for place in places for n in (place - 1, place + 2)])
    chars = list(text)
    for number, place in enumerate(places):
        both = edges[2 * BOX_FIELDS * number : 2 * BOX_FIELDS * (number + 1)]
        _, top, right, bottom, left, part_top, _, part_bottom = both
        small, height = sorted((top - bottom, part_top - part_bottom))
        is_small_part = part_top - part_bottom == small
        if (
            abs(left - right) <= MAX_RAISED_GAP_HEIGHTS * height
            and bottom < part_top
            and part_bottom < top
            and MIN_MARK_HEIGHTS * height < small <= MAX_MARK_HEIGHTS * height
            and is_small_part == text[place + 2].isalnum()
        ):
            word = text[place - MIN_NOTED_LETTERS : place]  # "" in the first letters of a page
            is_note = text[place + 2].isdecimal() and (
                word.isalpha() or not text[place - 1].isalpha()
            )
            chars[place : place + 2] = " " if is_note else NOTHING, NOTHING
    return "".join(chars)


def part_footnote_marks(
    handle: TextHandle, text: str, places: Sequence[int], placeholders: Placeholders
) -> str:
    """Put a space between a word and the number of its footnote, if it is one of those places."""
    before = list_char_edges(handle, [place - 1 for place in places])
    marks = list_char_edges(handle, places)
    raised = []
    for number, place in enumerate(places):
        _, top, _, bottom = before[BOX_FIELDS * number : BOX_FIELDS * (number + 1)]
        _, mark_top, _, mark_bottom = marks[BOX_FIELDS * number : BOX_FIELDS * (number + 1)]
        height = top - bottom
        is_small = mark_top - mark_bottom <= MAX_MARK_HEIGHTS * height
        least = MIN_RAISED_HEIGHTS if is_small else MIN_FULL_RAISED_HEIGHTS
        if mark_bottom - bottom >= least * height or is_superior(
            handle, place, place - 1, MIN_RAISED_HEIGHTS * height
        ):
            raised.append(place)
    if not raised:
        return text
    chars = list(text)
    for place in raised:
        chars[place] = placeholders.standing_for(f" {text[place]}")
    return "".join(chars)


def part_clusters(handle: TextHandle, row: Sequence[ReadCluster]) -> list[ReadCluster]:
    """Put a space at the number of each footnote in a line, and of the note that a line begins."""
    found = list(row[:1])
    for place, (before, read) in enumerate(pairwise(row), 1):
        word = row[max(0, place - MIN_NOTED_LETTERS) : place]
        may_have_note = not before.text[:1].isalnum() or (
            len(word) == MIN_NOTED_LETTERS and all(part.text[:1].isalpha() for part in word)
        )
        if (may_have_note and is_raised(handle, read, before)) or (
            place == 1 and is_raised(handle, before, read)
        ):
            found.append(before._replace(text=" ", leftward=False))
        found.append(read)
    return found


def is_raised(handle: TextHandle, mark: ReadCluster, word: ReadCluster) -> bool:
    """Return whether a figure is smaller than what it stands beside, and higher."""
    if not mark.text.isdecimal() or word.text.isdecimal() or word.text.isspace():
        return False
    raised, beside = mark.cluster, word.cluster
    least = MIN_RAISED_HEIGHTS * beside.size
    if raised.size <= MAX_MARK_HEIGHTS * beside.size and raised.base - beside.base >= least:
        return True
    return min(raised.place, beside.place) >= 0 and is_superior(
        handle, raised.place, beside.place, least
    )


def is_superior(handle: TextHandle, place: int, beside: int, least: float) -> bool:
    """Return whether the glyph of a character is above its base line, by at least so many points.

    Some programs take superior figures from the font, in the size of the text.
    """
    x, base, left, right, bottom, top, level = (ctypes.c_double() for _ in range(7))
    return (
        origin_of(handle, place, *map(ctypes.addressof, (x, base)))
        and origin_of(handle, beside, *map(ctypes.addressof, (x, level)))
        and drawn_box(handle, place, *map(ctypes.addressof, (left, right, bottom, top)))
        and abs(base.value - level.value) < least
        and bottom.value - base.value >= least
    )
