"""Clean the text of pages: Unicode, hyphenation, white space, running headers and footers. Pure."""

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
    "[\xad\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff\uffff\ud800-\udfff]"
)
# Between letters of Thai, Lao, Burmese or Khmer, which are written without spaces, it parts words.
UNSPACED_LETTERS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\u1a20-\u1aaf\uaa60-\uaa7f"
STRAY_WORD_MARK = re.compile(f"\u200b(?![{UNSPACED_LETTERS}])|(?<![{UNSPACED_LETTERS}])\u200b")
SPECIAL_SPACES = re.compile("[\xa0\u2000-\u200a\u202f\u205f]")
# PDFium writes U+FFFE, older versions U+0002, for the hyphen of a word it takes for broken.
BROKEN_WORD = re.compile("(?:[\x02\ufffe]|\xad\n)\n?")
# Begins with the hyphen and not with a look-behind, which would be tried at every character.
LINE_END_HYPHEN = re.compile(r"[-\u2010]\n(?=[^\W\d_])")


# Chinese and Japanese have no spaces between words, so a line may end anywhere.
CJK_CHARS = "\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
WRAPPED_CJK = re.compile(f"[{CJK_CHARS}、，]\n(?=[{CJK_CHARS}])")
# Equivalent, but searches for the line end first: five times as fast on a text without a match.
CJK_LINE_END = re.compile(f"\n(?<=[{CJK_CHARS}、，]\n)(?=[{CJK_CHARS}])")
FULL_LINE_SHARE = 0.8  # of the longest line; a shorter one was not wrapped


# Normalization sorts combining marks in quadratic time, so long runs of them are broken up as in
# the Stream-Safe Text Format of Unicode Standard Annex 15. Shorter pages are fast enough without.
COMBINING_MARK_RUN = regex.compile(r"\P{ccc=0}{30}(?=\P{ccc=0})")
GRAPHEME_JOINER = "\u034f"
LONG_PAGE_CHARS = 10_000


def clean(text: str) -> str:
    """Remove control characters, ligatures, hyphenation and stray white space from a text."""
    if text.isascii() and text.isprintable():
        return text.strip()  # a single line, such as most titles and names
    text = dehyphenate(text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n"))
    before = text
    if not text.replace("\n", " ").isprintable():
        text = SPECIAL_SPACES.sub(" ", INVISIBLE_CHARS.sub("", CONTROL_CHARS.sub("", text)))
        text = STRAY_WORD_MARK.sub("", text)
    # NFKC implies NFC and no presentation forms; most pages are in it.
    if not text.isascii() and (
        len(text) > LONG_PAGE_CHARS or not unicodedata.is_normalized("NFKC", text)
    ):
        text = PRESENTATION_FORMS.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
        if len(text) > LONG_PAGE_CHARS:
            text = COMBINING_MARK_RUN.sub(lambda m: m.group() + GRAPHEME_JOINER, text)
        text = unicodedata.normalize("NFC", text)
    if " \n" in text or ("\t" in text and "\t\n" in text):
        # Not a regular expression: it would take quadratic time on a long run of white space.
        text = "\n".join([line.rstrip(" \t") for line in text.split("\n")])
    # Again, now that nothing is left between a hyphen and the end of its line.
    return (text if text is before else dehyphenate(text)).strip()


def unwrap_cjk_lines(text: str) -> str:
    """Remove line ends within Chinese and Japanese text from a clean page."""
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
    """Join words that were hyphenated at the end of a line."""
    if "\ufffe" in text or "\x02" in text or "\xad" in text:
        text = BROKEN_WORD.sub("", text)
    if "-\n" in text or "\u2010\n" in text:
        text = LINE_END_HYPHEN.sub(join_hyphenated, text)
    return text


def join_hyphenated(match: re.Match[str]) -> str:
    """Drop the hyphen of a broken word; keep it if a capital follows, as in a compound name."""
    before, after = (
        match.string[max(0, match.start() - 1) : match.start()],
        match.string[match.end()],
    )
    if not before.isalpha():
        return match.group()
    return "" if after.islower() else match.group()[0]


# A running header or footer is on at least this share of the pages. It is less than half, as left
# and right pages may differ.
MIN_RUNNING_LINE_SHARE = 0.4
EDGE_LINES = 3  # a running line is one of so many at the top or bottom of its page
MIN_RUNNING_LINE_PAGES = 4  # in a shorter document a repeated line is more likely content

# Four in five: front matter and inserted pages have numbers of their own.
MIN_CONSTANT_SHARE = 0.8

DIGITS = re.compile(r"\d{1,9}")
# In the shape of a line they stand for a number and a title; cleaned text has neither.
NUMBER_PLACEHOLDER, TITLE_PLACEHOLDER = "\0", "\1"


def remove_running_lines(pages: Sequence[str], headings: Sequence[Heading] = ()) -> tuple[str, ...]:
    """Remove headers and footers that repeat on many pages.

    The first occurrence of each stays, so that its text can be found. Numbers in such a line must
    be constant or count with the pages, so that the first row of a table is never taken for a
    header. The title of the page's section in it may vary.
    """
    return separate_running_lines(pages, headings)[0]


def separate_running_lines(
    pages: Sequence[str], headings: Sequence[Heading] = ()
) -> tuple[tuple[str, ...], tuple[RunningLines, ...]]:
    """Remove running headers and footers as remove_running_lines() does.

    Returns:
        The pages, and the lines removed from each; () if none were removed from any.
    """
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
        headers, top = split_repeated_lines(head, shape, running, seen)
        footers, bottom = split_repeated_lines(tail, shape, running, seen)
        texts.append("\n".join([*top, *([body] if body else []), *bottom]).strip())
        dropped.append(RunningLines(headers, footers))
    return tuple(texts), tuple(dropped)


def find_running_lines(shapes: Sequence[dict[str, str]]) -> Iterator[str]:
    """Find the shapes of running lines, given the edge lines of each page with their shapes."""
    occurrences: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, page in enumerate(shapes):
        for shape, line in {shape: line for line, shape in page.items()}.items():
            occurrences[shape].append((number, line))
    min_pages = max(
        MIN_RUNNING_LINE_PAGES - 1, MIN_RUNNING_LINE_SHARE * sum(any(page) for page in shapes)
    )
    for shape, found in occurrences.items():
        if (
            len(found) >= min_pages
            and shape not in ("", TITLE_PLACEHOLDER)
            and numbers_follow_pages(shape, found)
        ):
            yield shape


def split_repeated_lines(
    lines: Sequence[str], shapes: dict[str, str], running_shapes: set[str], seen_shapes: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Split lines into repeated running lines and all others; adds to the seen shapes."""
    dropped: list[str] = []
    kept: list[str] = []
    for line in lines:
        shape = shapes[line]
        (dropped if shape in running_shapes and shape in seen_shapes else kept).append(line)
        seen_shapes.add(shape)
    return tuple(dropped), kept


def numbers_follow_pages(shape: str, found: Sequence[tuple[int, str]]) -> bool:
    """Return whether each number in lines of one shape is constant or counts with the pages."""
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
    """Return whether most of the numbers are equal."""
    return Counter(numbers).most_common(1)[0][1] >= MIN_CONSTANT_SHARE * len(numbers)


def collect_page_titles(headings: Sequence[Heading], count: int) -> list[tuple[str, ...]]:
    """List, for each page, the titles of the sections it is part of, the longest first."""
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
    """Split a page into its top lines, the text between, and its bottom lines."""
    top = page.split("\n", EDGE_LINES)
    if len(top) <= EDGE_LINES:
        return top, "", []
    bottom = top[EDGE_LINES].rsplit("\n", EDGE_LINES)
    if len(bottom) <= EDGE_LINES:
        return top[:EDGE_LINES], "", bottom
    return top[:EDGE_LINES], bottom[0], bottom[1:]


def mask_line(line: str, titles: Sequence[str] = ()) -> str:
    """Return the shape of a line: its numbers masked, and a section title if it contains one."""
    line = line.strip()
    for title in titles:
        if title in line:
            line = line.replace(title, TITLE_PLACEHOLDER, 1)
            break
    return DIGITS.sub(NUMBER_PLACEHOLDER, line)
