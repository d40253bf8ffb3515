"""Find the captions of figures by their form and place, in any language."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from ingest.extract.figures.shapes import Box, height_of, width_of

# No hiragana: it inflects the words of a sentence, and a label is a noun.
LETTER = r"[^\s\d.,:;()\[\]{}/\\|*•·\-–—+=<>_&%$€£#@!?\"'“”„«»‘’、。，．；（）「」！？ぁ-ゖ]"
NUMBER = r"(?:\d{1,3}[a-z]?|[A-Z]\.?\d{1,3})(?:[.\-–‑]\d{1,3}){0,3}[a-z]?"
# "Figure 3.", "Abb. 3", "Fig. n.º 2-1:", "図3", "รูปที่ 3"; or "3. ábra", "2 pav.". No
# lower-case word follows a number without a mark: "Figure 3 shows", "May 3 was" are sentences.
LABEL = rf"(?![a-zß-ÿα-ωа-я])(?:{LETTER}{{3,15}}\.?|{LETTER}{{1,15}}\.|[^\x00-\x7f]{LETTER}?)"
ABBREVIATED = rf"(?:{LETTER}{{1,3}}[.º]{{1,2}}[ \u00a0]?)?"  # "Fig. no. 3", "Gráfico N.º 3"
AFTER = (
    r"(?:[.:：|)](?=\s|[^\x00-\x7f])|(?=\s*[\r\n])"
    r"|(?![\da-zA-Z.,:)%])(?!\s[a-zß-ÿα-ωа-я\d]))"
)
NUMBER_FIRST = rf"\d{{1,3}}\.?[ \u00a0](?=[^\W\dA-Z]){LETTER}{{2,12}}[.:](?=\s)"
EARLY_DIGIT = r"(?=[^\n\d]{0,24}+\d)"  # quicker: most lines have none
CAPTION = re.compile(
    rf"\n{EARLY_DIGIT}[ \t]*(?:{LABEL}[ \u00a0]?{ABBREVIATED}{NUMBER}{AFTER}|{NUMBER_FIRST})"
)
PUNCTUATED = re.compile(rf"{LABEL}[ \u00a0]?{ABBREVIATED}{NUMBER}[.:：|)]\s")
LABEL_START = re.compile(rf"{LABEL}[ \u00a0]?{ABBREVIATED}{NUMBER}|{NUMBER_FIRST}")
DIGITS = re.compile(r"[0-9]{1,9}")
MAX_CAPTIONS = 8  # of a page; if more lines have their form, they are entries of a list
REACH_HEIGHTS = 2.5  # of a caption's line, from it to its figure
MIN_REACH_POINTS = 20.0
MIN_ACROSS_SHARE = 0.4  # of the narrower of both, that they have in common
SIDE_REACH_POINTS = 40.0  # to a caption at the side of a figure
MAX_SIDE_SHARE = 0.6  # of a figure's width, that a caption at its side has at most
MAX_INSIDE_POINTS = 4.0  # that a caption may reach into its figure
MIN_RUNNING_PAGES = 2  # before a page, with the same line at the same height
MAX_KEY_CHARS = 80  # of such a line
MARGIN_SHARE = 0.1  # of a page's height, where a line of one word and a number may be a header


class Caption(NamedTuple):
    """A line that may be a caption, by its form."""

    start: int  # offset of the line in the page's text
    text: str
    box: Box


def find_caption_lines(text: str) -> list[tuple[int, int]]:
    """Return the start and end offsets of the lines that have the form of a caption, if few do."""
    found = []
    # As if the first line followed another; U+FFFE ends a line with a hyphen.
    text = f"\n{text}\n".replace("\ufffe", "\n")
    for match in CAPTION.finditer(text):
        start = match.start() + len(match.group()) - len(match.group().lstrip())
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        found.append((start - 1, start - 1 + len(text[start:end].rstrip())))
        if len(found) > MAX_CAPTIONS:
            return []
    return found


class NumberedLines:
    """Lines in the form of a caption that count the pages: "User's Guide 12", "Page 12"."""

    def __init__(self) -> None:
        # By the line without its numbers, its height, and its number less that of the page.
        self.pages: dict[tuple[str, int, int], set[int]] = defaultdict(set)

    def drop(self, lines: Sequence[Caption], page: int, height: float) -> list[Caption]:
        """Return the lines of a page, without headers and footers that earlier pages have."""
        return [line for line in lines if not self.is_running(line, page, height)]

    def is_running(self, line: Caption, page: int, height: float) -> bool:
        """Return whether two earlier pages have a line at its place, numbered as they are."""
        numbers = list(map(int, DIGITS.findall(line.text)))
        if not numbers:
            return False
        bottom = line.box[1]
        pages = self.pages[
            DIGITS.sub("", line.text)[:MAX_KEY_CHARS], round(bottom), numbers[-1] - page
        ]
        is_marginal = not MARGIN_SHARE * height < bottom < (1 - MARGIN_SHARE) * height
        is_running = len(pages - {page}) >= MIN_RUNNING_PAGES
        pages.add(page)
        # A plate on each page may have such a caption, but not in the margin.
        is_sentence = len(line.text.split()) > 2 and not PUNCTUATED.match(line.text)  # noqa: PLR2004
        return is_running and (is_marginal or is_sentence)


def find_label(caption: str) -> str:
    """Return the label at the beginning of a caption, such as "Figure 3"; "" if it has none."""
    found = LABEL_START.match(" ".join(caption.split()))
    return found.group().rstrip(".:") if found else ""


def is_beside(caption: Box, figure: Box) -> bool:
    """Return whether a line is right above or below a figure."""
    across = min(caption[2], figure[2]) - max(caption[0], figure[0])
    if across < MIN_ACROSS_SHARE * min(width_of(caption), width_of(figure)):
        return False
    reach = max(MIN_REACH_POINTS, REACH_HEIGHTS * height_of(caption))
    return any(-MAX_INSIDE_POINTS <= gap <= reach for gap in gaps(caption, figure))


def gaps(caption: Box, figure: Box) -> tuple[float, float]:
    """Return how far a line is below and above a figure; negative on the other side."""
    return figure[1] - caption[3], caption[1] - figure[3]


def distance(caption: Box, figure: Box) -> float:
    """Return how far a line is from a figure, less below it than above; infinite if too far.

    At its side, it counts as further than any line above or below.
    """
    if is_beside(caption, figure):
        below, above = gaps(caption, figure)
        return min(
            below if below >= -MAX_INSIDE_POINTS else 1e6, 1.5 * above if above >= 0 else 1e6
        )
    gap = max(caption[0] - figure[2], figure[0] - caption[2])
    level = min(caption[3], figure[3]) - max(caption[1], figure[1])
    is_level = level >= MIN_ACROSS_SHARE * min(height_of(caption), height_of(figure))
    # In the margin it is narrow, and so it is if it is turned, as its figure is.
    is_narrow = width_of(caption) <= MAX_SIDE_SHARE * width_of(figure)
    is_near = -MAX_INSIDE_POINTS <= gap <= SIDE_REACH_POINTS
    return 1e7 + gap if is_level and is_narrow and is_near else inf


def assign_captions(captions: Sequence[Caption], figures: Sequence[Box]) -> dict[int, Caption]:
    """Return the caption of each figure that has one, by its index: the nearest, below first."""
    pairs = sorted(
        (apart, n, m)
        for n, figure in enumerate(figures)
        for m, caption in enumerate(captions)
        if (apart := distance(caption.box, figure)) < inf
    )
    assigned: dict[int, Caption] = {}
    taken: set[int] = set()
    for _, n, m in pairs:
        if n not in assigned and m not in taken:
            assigned[n] = captions[m]
            taken.add(m)
    return assigned
