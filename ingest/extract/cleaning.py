"""Text as a person would have typed it, from text as PDFs hold it. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import regex

from ingest.models import Heading, RunningLines

# Presentation forms: Latin and Armenian ligatures, Hebrew and Arabic letters by position.
PRESENTATION_FORMS = re.compile("[\ufb00-\ufdff\ufe70-\ufefc]+")
CONTROL_CHARS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
# Soft hyphens, byte order marks, bidi marks, word joiners; and lone surrogates, which no
# index can store. Joiners stay: Persian words and emoji are spelt with them.
INVISIBLE_CHARS = re.compile(
    "[\xad\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\uffff\ud800-\udfff]"
)
SPECIAL_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
# PDFium writes U+FFFE, older versions U+0002, for the hyphen of a word it takes for broken.
BROKEN_WORD = re.compile("(?:[\x02\ufffe]|\xad\n)\n?")
# Begins with the hyphen and not with a look behind it, which would be taken at every character.
LINE_END_HYPHEN = re.compile(r"[-\u2010]\n(?=[^\W\d_])")


# Chinese and Japanese: no spaces between words, so a line may end anywhere.
CJK_CHARS = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WRAPPED_CJK = re.compile(f"[{CJK_CHARS}、，]\n(?=[{CJK_CHARS}])")
# The same, but sought by the end of a line, which takes a fifth of the time where there is none.
CJK_LINE_END = re.compile(f"\n(?<=[{CJK_CHARS}、，]\n)(?=[{CJK_CHARS}])")
FULL_LINE_SHARE = 0.8  # of the longest line: a shorter one ends of its own


# Putting marks in order takes the square of how many there are, so a run is broken as Unicode
# Standard Annex 15 says (stream-safe text). No page of fewer characters is worth a look.
COMBINING_MARK_RUN = regex.compile(r"\P{ccc=0}{30}(?=\P{ccc=0})")
GRAPHEME_JOINER = "\u034f"
LONG_PAGE_CHARS = 10_000


def clean(text: str) -> str:
    """One page's text without control characters, ligatures, broken words and stray space."""
    if text.isascii() and text.isprintable():
        return text.strip()  # a line of its own: most titles and names
    text = dehyphenate(text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n"))
    before = text
    if not text.replace("\n", " ").isprintable():
        text = SPECIAL_SPACES.sub(" ", INVISIBLE_CHARS.sub("", CONTROL_CHARS.sub("", text)))
    # What is normal in the stricter form is normal in all of this; most pages are.
    if not text.isascii() and (
        len(text) > LONG_PAGE_CHARS or not unicodedata.is_normalized("NFKC", text)
    ):
        text = PRESENTATION_FORMS.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
        if len(text) > LONG_PAGE_CHARS:
            text = COMBINING_MARK_RUN.sub(lambda m: m.group() + GRAPHEME_JOINER, text)
        text = unicodedata.normalize("NFC", text)
    if " \n" in text or ("\t" in text and "\t\n" in text):
        # No pattern: one for white space at the end of a line takes for ever over one without end.
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    # Once more, now that what stood between a hyphen and the end of its line is gone.
    return (text if text is before else dehyphenate(text)).strip()


def unwrap_cjk_lines(text: str) -> str:
    """A page's clean text without the line ends inside its Chinese and Japanese words."""
    if text.isascii() or not CJK_LINE_END.search(text):
        return text
    longest = max(
        match.start() - text.rfind("\n", 0, match.start()) for match in WRAPPED_CJK.finditer(text)
    )

    def join_full_line(match: re.Match[str]) -> str:
        length = match.start() - text.rfind("\n", 0, match.start())
        return match.group()[0] if length >= FULL_LINE_SHARE * longest else match.group()

    return WRAPPED_CJK.sub(join_full_line, text)


def dehyphenate(text: str) -> str:
    """A text without the hyphens, and the line ends behind them, of words broken over two lines."""
    if "\ufffe" in text or "\x02" in text or "\xad" in text:
        text = BROKEN_WORD.sub("", text)
    if "-\n" in text or "\u2010\n" in text:
        text = LINE_END_HYPHEN.sub(join_hyphenated, text)
    return text


def join_hyphenated(match: re.Match[str]) -> str:
    """Nothing where a word was broken; the hyphen where a capital says it is a compound."""
    before, after = (
        match.string[max(0, match.start() - 1) : match.start()],
        match.string[match.end()],
    )
    if not before.isalpha():
        return match.group()
    return "" if after.islower() else match.group()[0]


# A line is running if it stands on this share of the pages, among this many lines from the
# edge. Left and right pages may differ, so half the pages is not asked for.
MIN_RUNNING_LINE_SHARE = 0.4
EDGE_LINES = 3
# Below this many pages, a repeated line is more likely content.
MIN_RUNNING_LINE_PAGES = 4

MIN_CONSTANT_SHARE = 0.8

DIGITS = re.compile(r"\d{1,9}")
NUMBER_PLACEHOLDER, TITLE_PLACEHOLDER = (
    "\0",
    "\1",
)  # stand for them in a pattern; cleaned text has neither


def remove_running_lines(pages: Sequence[str], headings: Sequence[Heading] = ()) -> tuple[str, ...]:
    """The pages without the headers and footers that repeat on most of them.

    Each stays where it stands first, so that what it says can still be found. Numbers in such a
    line must be the same on every page or count with the pages, so that the first row of a table is
    never taken for a header. The headings that a page stands under may differ from page to page.
    """
    return separate_running_lines(pages, headings)[0]


def separate_running_lines(
    pages: Sequence[str], headings: Sequence[Heading] = ()
) -> tuple[tuple[str, ...], tuple[RunningLines, ...]]:
    """The same, and the lines that each page is without; () where all have all of theirs."""
    if len(pages) < MIN_RUNNING_LINE_PAGES:
        return tuple(pages), ()
    above = collect_page_titles(headings, len(pages))
    parts = [split_edges(page) for page in pages]
    shapes = [
        {line: mask_line(line, titles) for line in (*head, *tail)}
        for (head, _, tail), titles in zip(parts, above, strict=True)
    ]
    running = set(find_running_lines(shapes))
    if not running:
        return tuple(pages), ()
    seen: set[str] = set()
    texts, dropped = [], []
    for (head, body, tail), shape in zip(parts, shapes, strict=True):
        over, first = split_repeated_lines(head, shape, running, seen)
        under, last = split_repeated_lines(tail, shape, running, seen)
        texts.append("\n".join([*first, *([body] if body else []), *last]).strip())
        dropped.append(RunningLines(over, under))
    return tuple(texts), tuple(dropped)


def find_running_lines(shapes: Sequence[dict[str, str]]) -> Iterator[str]:
    """The patterns of the running lines, from the edge lines of each page with their patterns."""
    places: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, page in enumerate(shapes):
        for shape, line in {shape: line for line, shape in page.items()}.items():
            places[shape].append((number, line))
    least = max(
        MIN_RUNNING_LINE_PAGES - 1, MIN_RUNNING_LINE_SHARE * sum(any(page) for page in shapes)
    )
    for shape, found in places.items():
        if (
            len(found) >= least
            and shape not in ("", TITLE_PLACEHOLDER)
            and numbers_follow_pages(shape, found)
        ):
            yield shape


def split_repeated_lines(
    lines: Sequence[str], shapes: dict[str, str], running_shapes: set[str], seen_shapes: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """The running lines that were seen before, and the other lines; `seen` grows."""
    dropped: list[str] = []
    kept: list[str] = []
    for line in lines:
        shape = shapes[line]
        (dropped if shape in running_shapes and shape in seen_shapes else kept).append(line)
        seen_shapes.add(shape)
    return tuple(dropped), kept


def numbers_follow_pages(shape: str, found: Sequence[tuple[int, str]]) -> bool:
    """Whether every number in these lines, given with their pages, is constant or counts along."""
    width = shape.count(NUMBER_PLACEHOLDER)
    columns = zip(
        *(map(int, DIGITS.findall(line)[-width:]) for _, line in found if width), strict=True
    )
    pages = [page for page, _ in found]
    return all(
        is_mostly_constant(column)
        or is_mostly_constant([n - p for n, p in zip(column, pages, strict=True)])
        for column in columns
    )


def is_mostly_constant(numbers: Sequence[int]) -> bool:
    """Whether four in five are the same: front matter and inserts count for themselves."""
    return Counter(numbers).most_common(1)[0][1] >= MIN_CONSTANT_SHARE * len(numbers)


def collect_page_titles(headings: Sequence[Heading], count: int) -> list[tuple[str, ...]]:
    """For each page the titles it stands under and those that begin on it, the longest first."""
    starting: dict[int, list[Heading]] = defaultdict(list)
    for heading in headings:
        starting[heading.page].append(heading)
    path: dict[int, str] = {}
    titles = []
    for page in range(1, count + 1):
        here = [*path.values()]
        for heading in starting[page]:
            path = {level: title for level, title in path.items() if level < heading.level}
            path[heading.level] = heading.title
            here.append(heading.title)
        titles.append(tuple(sorted({t.strip() for t in here} - {""}, key=len, reverse=True)))
    return titles


def split_edges(page: str) -> tuple[list[str], str, list[str]]:
    """The lines at the top, what is between, and the lines at the bottom."""
    top = page.split("\n", EDGE_LINES)
    if len(top) <= EDGE_LINES:
        return top, "", []
    bottom = top[EDGE_LINES].rsplit("\n", EDGE_LINES)
    if len(bottom) <= EDGE_LINES:
        return top[:EDGE_LINES], "", bottom
    return top[:EDGE_LINES], bottom[0], bottom[1:]


def mask_line(line: str, titles: Sequence[str] = ()) -> str:
    """A line with its numbers masked, and one of the titles if it holds one."""
    line = line.strip()
    for title in titles:
        if title in line:
            line = line.replace(title, TITLE_PLACEHOLDER, 1)
            break
    return DIGITS.sub(NUMBER_PLACEHOLDER, line)
