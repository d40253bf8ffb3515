"""Put the large initial of a paragraph, a drop cap, back on its word."""

from __future__ import annotations

import re
from typing import NamedTuple

from ingest.extract.engines.pdfium_raw import BOX_FIELDS, TextHandle, list_char_edges
from ingest.extract.engines.placeholders import NOTHING, Placeholders

LINE_END = "\r\n"  # as PDFium writes it
LONE_CAPITAL = re.compile(r"\r\n([\"'“”„«»‘’¿¡(]{0,2}([^\W\d_])[ \"'’”»]?)(?=\r\n|\Z)")
FIRST_WORD = re.compile(r"['’]?[^\W\d_]+")
WORDS = re.compile(r"[^\W\d_]+")
WORD_LETTERS = frozenset("AIOYÀÉEÓUVKSZВИКОСУЯА")  # that are words in some language

NEXT_CHARS = 3  # looked at after a word of one letter
MIN_INITIAL_HEIGHTS = 1.6  # in heights of the type of its paragraph
MAX_GAP_HEIGHTS = 1.2  # from an initial to its word
MAX_INITIALS = 20  # of a page; with more, they are something else


class Initial(NamedTuple):
    """A line of one capital letter."""

    shown: str  # with quotation marks
    letter: str
    start: int  # offset in the page


def attach_initials(handle: TextHandle, text: str, placeholders: Placeholders) -> str:
    """Join each large initial to the first word of the lines beside it.

    The line of the initial becomes part of the line before, as placeholders for nothing.
    """
    # In the pattern a line begins with the end of the one before.
    found = LONE_CAPITAL.finditer(LINE_END + text)
    initials = [Initial(m[1], m[2], m.start()) for m in found if m[2].isupper()]
    if not 0 < len(initials) <= MAX_INITIALS:
        return text
    starts = [0, *(m.end() for m in re.finditer(LINE_END, text))]
    starts = [start for start in starts if start < len(text)]
    boxes = list_char_edges(handle, starts)
    lines = [
        (start, boxes[BOX_FIELDS * number : BOX_FIELDS * (number + 1)])
        for number, start in enumerate(starts)
    ]
    chars = list(text)
    attached = False
    for initial in initials:
        box = list_char_edges(handle, (initial.start + initial.shown.index(initial.letter),))
        others = [line for line in lines if line[0] != initial.start]
        start = find_first_line(box, others, text)
        if start is None or chars[start] != text[start]:
            continue
        attached = True
        gap = " " if is_separate_word(initial.letter, text, start) else ""
        chars[start] = placeholders.standing_for(initial.shown.strip() + gap + text[start])
        # The line before ends after the placeholders; the first line begins after them.
        first = max(0, initial.start - len(LINE_END))
        end = initial.start + len(initial.shown) + (0 if initial.start else len(LINE_END))
        chars[first:end] = NOTHING * (end - first)
    return "".join(chars) if attached else text


def find_first_line(
    initial: list[float], lines: list[tuple[int, list[float]]], text: str
) -> int | None:
    """Return the offset of the highest line beside an initial, if its first word lacks a letter."""
    left, top, right, bottom = initial
    beside = [
        (line[1], start)
        for start, line in lines
        if bottom < (line[1] + line[3]) / 2 < top
        and top - bottom >= MIN_INITIAL_HEIGHTS * (line[1] - line[3])
        and (left + right) / 2 < line[0] <= right + MAX_GAP_HEIGHTS * (line[1] - line[3])
    ]
    if not beside:
        return None
    start = max(beside)[1]
    word = FIRST_WORD.match(text, start)
    return start if word and lacks_letter(word[0], text[word.end() :][:NEXT_CHARS]) else None


def lacks_letter(word: str, following: str) -> bool:
    """Return whether a word may lack its first letter: "nce", "NCE", "’une", the T of "AT THE"."""
    if not word.isupper():
        return not word[0].isupper()
    return len(word) > 1 or following.strip().isupper()


def is_separate_word(initial: str, text: str, start: int) -> bool:
    """Return whether an initial is a word, by the other words of the page."""
    if initial not in WORD_LETTERS:
        return False
    word = FIRST_WORD.match(text, start)
    assert word is not None
    words = WORDS.findall(text.casefold())
    rest = word[0].casefold()
    return (initial.casefold() + rest) not in words and words.count(rest) > 1
