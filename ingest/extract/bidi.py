"""Turn text from the order it is seen in into the order it is read in (Unicode Annex 9). Pure.

A page shows a line from left to right; mixed lines of Hebrew or Arabic are stored otherwise. The
algorithm of the annex goes from stored to shown. This goes back: each run that the algorithm would
have turned around is turned around again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby

# Letters written from right to left, and all others whose text is not in the order of its glyphs.
RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u05f4\u0620-\u064a\u066e-\u06d5\u06fa-\u08ff\ufb1d-\ufdff\ufe70-\ufefc"
    "\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">", "«": "»", "‹": "›", "⟨": "⟩", "≤": "≥"}
MIRRORED = BRACKETS | {right: left for left, right in BRACKETS.items()}
# PDFium turns these around as well.
TURNED_BY_PDFIUM = MIRRORED | {"“": "”", "”": "“", "‘": "’", "’": "‘"}
MAY_BE_TURNED = re.compile("[" + re.escape("".join(TURNED_BY_PDFIUM)) + "]")
PAIRED = {"(": ")", "[": "]", "{": "}"}

# A number after one of them was written before it: "kg 3".
UNITS = re.compile("[kmcnµ]?[gmlsWVAtBbh]|kWh|[kMG]?Hz|[KMGT]i?B|px|pt|dpi")
MAX_UNIT_CHARS = 3
MAX_FOREIGN_WORDS = 4  # for each word of a line on a page where that is usual
END_MARKS = frozenset(".,:;!?…+%")

# One letter for each class of character that matters; all others are neutral.
CLASSES = {"L": "L", "R": "R", "AL": "R", "EN": "1", "AN": "2", "ES": "-", "CS": ",", "ET": "%"}
NEUTRAL = " "
# Numbers, as the annex keeps them together: after a Hebrew letter, and after an Arabic one.
NUMBER = re.compile("%*1+(?:[-,]1+)*%*|2+(?:,2+)*")
NUMBER_AFTER_ARABIC = re.compile("[12]+(?:,[12]+)*")
GROUPED_NUMBER = re.compile(r"(?:[ \u00a0-]\d+)*")  # what follows the first group
LATIN_START = re.compile("1*L")
RIGHT_TO_LEFT_RUN = re.compile("[R2](?:.*[R2])?")


def read_order(texts: Sequence[str], *, right_to_left: bool) -> Iterator[tuple[int, bool]]:
    """Yield the indexes of texts in the order they are read in, and whether each runs leftwards.

    Args:
        texts: Characters or clusters of them, in the order they are seen from left to right.
        right_to_left: Whether the line as a whole is read from the right.
    """
    shown = "".join(map(class_of_text, texts))
    if right_to_left:
        yield from read_from_right(texts, shown, 0, len(texts))
        return
    place = 0
    for start, end in find_leftward_runs(texts, shown):
        yield from ((index, False) for index in range(place, start))
        yield from read_from_right(texts, shown, start, end)
        place = end
    yield from ((index, False) for index in range(place, len(texts)))


def read_from_right(
    texts: Sequence[str], shown: str, start: int, end: int
) -> Iterator[tuple[int, bool]]:
    """Yield the indexes from the right, but those of numbers and of Latin words from the left."""
    place = end
    for first, last in reversed(list(find_rightward_runs(texts, shown, start, end))):
        yield from ((index, True) for index in range(place - 1, last - 1, -1))
        yield from ((index, False) for index in range(first, last))
        place = first
    yield from ((index, True) for index in range(place - 1, start - 1, -1))


def find_rightward_runs(
    texts: Sequence[str], shown: str, start: int, end: int
) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each run of a leftward text that is read from the left."""
    while start < end:
        stop = shown.find("R", start, end)
        stop = end if stop < 0 else stop
        arabic = stop < end and is_arabic(texts[stop])
        number = NUMBER_AFTER_ARABIC if arabic else NUMBER
        while start < stop:
            latin = LATIN_START.search(shown, start, stop)
            first = latin.start() if latin else stop
            yield from find_numbers(texts, shown, number, (start, first))
            start = stop
            if latin:
                start = end_of_latin(texts, shown, first, stop)
                yield first, start
        start = stop + 1


def find_numbers(
    texts: Sequence[str], shown: str, number: re.Pattern[str], span: tuple[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each number; the groups of figures after a plus are one number.

    The annex would reverse the groups of a telephone number, so no program follows it there.
    """
    end = span[0]
    for match in number.finditer(shown, *span):
        if match.start() < end:
            continue
        start, end = match.span()
        if start > span[0] and texts[start - 1] == "+" and not texts[max(0, start - 2)].isalnum():
            start -= 1
            phone = GROUPED_NUMBER.match("".join(texts[end : span[1]]))
            end += phone.end() if phone and is_single(texts[end : span[1]]) else 0
        yield start, end


def is_single(texts: Sequence[str]) -> bool:
    """Return whether each text is one character."""
    return all(len(text) == 1 for text in texts)


def end_of_latin(texts: Sequence[str], shown: str, start: int, stop: int) -> int:
    """Return where a run of Latin words and numbers ends: after no bracket without its other.

    A number after a word may have been written before it, and is taken so after a unit: "kg 3".
    """
    depth = 0
    end = closed = start + 1
    for place in range(start, stop):
        depth += (texts[place] in PAIRED) - (texts[place] in PAIRED.values())
        if depth < 0:
            break
        if shown[place] == "1" and place > end and is_apart(texts, start, end, place):
            break
        percent = shown[place] == "%" and place == end
        if shown[place] in "L1" or percent or (not depth and texts[place] in PAIRED.values()):
            end = place + 1
            closed = closed if depth else end
    # Older programs do not keep a pair together: its other bracket is left of the run, mirrored.
    is_parted = depth > 0 and start > 0 and texts[start - 1] in PAIRED
    return end if is_parted else closed


def is_apart(texts: Sequence[str], start: int, end: int, place: int) -> bool:
    """Return whether a number after the end of a Latin run is apart from it."""
    between = "".join(texts[end:place])
    if between.isspace() and end - start <= MAX_UNIT_CHARS:
        return UNITS.fullmatch("".join(texts[start:end])) is not None
    return '"' in between and texts[start:place].count('"') % 2 == 1


def find_early_hyphen(texts: Sequence[str], below: Sequence[str]) -> int:
    """Return the index of a hyphen before the last word of a line that belongs behind it; else -1.

    A Latin word that goes on in the next line keeps its hyphen on its right in most programs, as if
    the line did not end there. In the order of the annex, such a hyphen is before the word.
    """
    start = len(texts) - 1
    while start > 0 and texts[start].isascii() and texts[start].isalnum():
        start -= 1
    is_hyphen = 0 < start < len(texts) - 1 and texts[start] in ("-", "\u2010")
    goes_on = bool(below) and below[0].isascii() and below[0].isalnum()
    return start if is_hyphen and texts[start - 1].isspace() and goes_on else -1


def find_leftward_runs(texts: Sequence[str], shown: str) -> Iterator[tuple[int, int]]:
    """Yield the start and end of each run of a rightward text that is read from the right."""
    for part in re.finditer("[^L]+", shown):
        if match := RIGHT_TO_LEFT_RUN.search(part.group()):
            start, end = part.start() + match.start(), part.start() + match.end()
            if "R" in match.group():
                yield include_brackets(texts, start, end, part.start(), part.end())


def include_brackets(
    texts: Sequence[str], start: int, end: int, lowest: int, highest: int
) -> tuple[int, int]:
    """Extend a run by a bracket beside it, if the other one of the pair is inside."""
    inside = texts[start:end]
    for left, right in PAIRED.items():
        excess = inside.count(left) - inside.count(right)
        if excess > 0 and end < highest and texts[end] == right:
            return start, end + 1
        if excess < 0 and start > lowest and texts[start - 1] == left:
            return start - 1, end
    return start, end


@lru_cache(maxsize=10_000)
def class_of_text(text: str) -> str:
    """Return the class of a cluster: that of its first letter, or else of its first character."""
    found = [CLASSES.get(unicodedata.bidirectional(char), NEUTRAL) for char in text]
    return next((kind for kind in found if kind in "LR"), found[0] if found else NEUTRAL)


def is_arabic(text: str) -> bool:
    """Return whether the first letter of a cluster is Arabic: digits after it behave otherwise."""
    return any(unicodedata.bidirectional(char) == "AL" for char in text)


def mirror(text: str) -> str:
    """Return the other bracket of a pair; any other text as it is."""
    return MIRRORED.get(text, text)


def count_pairs(text: Iterable[str]) -> int:
    """Return the number of brackets in the right order, less that of those in the wrong one."""
    depth = balance = 0
    for char in text:
        if char in PAIRED:
            depth += 1
        elif char in PAIRED.values():
            balance += 1 if depth > 0 else -1
            depth = max(0, depth - 1)
    return balance - depth


def is_read_from_right(text: str, *, usual: bool) -> bool:
    """Return whether a line is read from the right, on a page where that is usual or not."""
    words = text.split()
    leftwards = sum(RIGHT_TO_LEFT.search(word) is not None for word in words)
    rightwards = sum(any(map(str.isalpha, word)) for word in words) - leftwards
    if not leftwards:
        ends_left = text[:1] in END_MARKS and text[-1:].isalnum()
        return usual and (ends_left or not rightwards)
    return leftwards * (MAX_FOREIGN_WORDS if usual else 1) >= rightwards


def unmirror(line: str) -> str:
    """Return a line of PDFium's with its brackets as drawn: it mirrors those of leftward runs."""
    if not MAY_BE_TURNED.search(line):
        return line
    kinds = [class_of_text(char) for char in line]
    runs = [kind for kind, _ in groupby(kinds)]  # words, as a rule
    leftward = 0 < runs.count("R") >= runs.count("L")
    found = []
    for char, kind in zip(line, kinds, strict=True):
        if kind in "LR":
            leftward = kind == "R"
        is_turned = leftward and kind == NEUTRAL
        found.append(TURNED_BY_PDFIUM.get(char, char) if is_turned else char)
    return "".join(found)
