"""Paragraphs of a chunk's text, whose lines end where they do on the page. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import accumulate, pairwise

from ingest.chunk.boundaries import BULLET

# A shorter line ends its paragraph; letters differ in width, so a full one may be this short.
FULL_SHARE = 0.7
# In front of a capital, a digit or a dash, which may begin a heading, a paragraph or an item.
FULL_SHARE_BEFORE_START = 0.95
STARTS = tuple("|•‣▪▫●○■□◦∙")  # of rows and items: no line of prose begins with one
ENDS = tuple(".:;!?")  # of a sentence or an item: a dash or "2." after it begins an item
MIN_WIDTH = 28  # no column of prose is narrower; slides and forms are
WIDTH_SHARE = 0.6  # of the letters are in lines as long as the width of the text, or longer

MAX_SYMBOL_SHARE = 0.15  # of a line of prose; a line of a form, a list or a program has more
SYMBOL = re.compile(r"[\d!-/:-@\[-`{-~\u2010-\u2bff]")
# Of scripts without spaces between words, whose lines are joined when a page is read.
UNSPACED_END = re.compile(
    "[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3001-\u30ff\u3400-\u9fff\uff01-\uff60]\\Z"
)


def join_wrapped_lines(text: str, sections: Collection[int] = ()) -> str:
    """Replace the line breaks inside paragraphs by spaces, which moves no character.

    Headings, items, the lines of a form or a program and rows of tables stay lines of their own.
    `sections` has the offsets of headings, as far as they are known.
    """
    lines = text.split("\n")
    width = measure_width(lines)
    if width < MIN_WIDTH:
        return text
    starts = accumulate(len(line) + 1 for line in lines)  # of the following line
    breaks = (
        " " if start not in sections and is_wrapped(*pair, width) else "\n"
        for start, pair in zip(starts, pairwise(lines), strict=False)
    )
    return "".join(part for pair in zip(lines, (*breaks, ""), strict=True) for part in pair)


def is_wrapped(line: str, following: str, width: int) -> bool:
    """Return whether a line ends because the first word of the following one did not fit."""
    if not is_prose(line) or UNSPACED_END.search(line):
        return False
    if not following.strip() or following.startswith(STARTS):
        return False
    if line.endswith(ENDS) and BULLET.match(f"\n{following}"):
        return False
    is_start = not following[0].isalpha() or following[0].isupper() or not is_prose(following)
    share = FULL_SHARE_BEFORE_START if is_start else FULL_SHARE
    return len(line) + 1 + len(following.split(maxsplit=1)[0]) > share * width


def measure_width(lines: list[str]) -> int:
    """Return the width of a text's lines of prose; a few are longer, joined at a hyphen."""
    lengths = sorted(map(len, filter(is_prose, lines)), reverse=True)
    left = WIDTH_SHARE * sum(lengths)
    for length in lengths:
        left -= length
        if left <= 0:
            return length
    return 0


def is_prose(line: str) -> bool:
    """Return whether a line consists of words, with few digits and symbols."""
    return len(SYMBOL.findall(line)) <= MAX_SYMBOL_SHARE * len(line) and not line.startswith("|")
