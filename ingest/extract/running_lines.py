"""Remove running headers and footers: lines that repeat on many pages. Pure.

A line whose number changes from page to page is one only if that is the number of the page:
an invoice, a ticket or "Week 3" counts with the pages too, and is what people search for.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from ingest.models import Heading, RunningLines

# A running header or footer is on at least this share of the pages. It is less than half, as left
# and right pages may differ.
MIN_RUNNING_LINE_SHARE = 0.4
EDGE_LINES = 3  # a running line is one of so many at the top or bottom of its page
MIN_RUNNING_LINE_PAGES = 4  # in a shorter document a repeated line is more likely content

# Four in five: front matter and inserted pages have numbers of their own.
MIN_CONSTANT_SHARE = 0.8
MAX_SHAPE_CHARS = 300  # of a line with the number of the page
MAX_TITLE_SHARE = 0.25  # of the pages: a title is a line by itself on the cover, not everywhere

DIGITS = re.compile(r"\d{1,9}")
# In the shape of a line they stand for a number and a title; cleaned text has neither.
NUMBER_PLACEHOLDER, TITLE_PLACEHOLDER = "\0", "\1"

# Words for "page", in the languages that most documents are in.
PAGE_WORDS = (
    "page|pages|pg|pp|p|folio|fol|sheet|slide|seite|seiten|blatt|folie|s|página|pagina|pagine|pág|"
    "pag|pàgina|hoja|feuille|foglio|diapositive|bladzijde|blz|sida|sidan|side|sivu|strana|strona|"
    "str|stránka|oldal|stran|stranica|pagină|lehekülg|lapa|puslapis|sayfa|halaman|trang|страница|"
    "стр|с|сторінка|σελίδα|σελ|עמוד|صفحة|ص|صفحه|पृष्ठ|หน้า|第|页|頁|ページ|쪽|페이지"
)
PAGE_WORD = re.compile(
    rf"(?<!\w)(?:{PAGE_WORDS})(?!\w)[.:#]?|[第页頁]|ページ|페이지", re.IGNORECASE
)
# Between a page's number and the number of all pages.
OF_WORDS = "of|von|de|di|van|av|af|z|ze|od|из|з|von insgesamt|out of|sur|da|do|dari|/|／|\\|"
PAGE_FIELD = re.compile(
    rf"[\W_]*{NUMBER_PLACEHOLDER}(?:\s*(?:{OF_WORDS})\s*{NUMBER_PLACEHOLDER})?[^\w{NUMBER_PLACEHOLDER}]*",
    re.IGNORECASE,
)
LABEL_EDGES = " -\u2013\u2014.,:()[]|·•/"
FIELD_SEPARATOR = re.compile(r"\s*[|·•]\s*|\s+[-\u2013\u2014]\s+|\t+")


class PageNumber(Enum):
    """Signs that a number in a line is the number of its page."""

    NONE = auto()
    PLAIN = auto()  # nothing is next to it, or the title of the document
    WORDED = auto()  # a word for "page" is

    def allows(self, offset: int) -> bool:
        """Return whether numbers this far ahead of the pages, counted from 0, are page numbers."""
        return self is PageNumber.WORDED or (self is PageNumber.PLAIN and offset <= 1)


@dataclass(frozen=True, slots=True)
class EdgeLine:
    """One of the first or last lines of a page."""

    page: int  # counted from 0
    text: str
    shape: str  # its text, with a placeholder for each number and for the title of its section
    numbers: tuple[int, ...]  # one for each placeholder
    is_label: bool = False  # it is the label of the page, apart from words for "page"


def remove_running_lines(
    pages: Sequence[str], headings: Sequence[Heading] = (), labels: Sequence[str] = ()
) -> tuple[tuple[str, ...], tuple[RunningLines, ...]]:
    """Remove headers and footers that repeat on many pages.

    The first occurrence of each stays, so that its text can be found. A number in such a line must
    be constant or the page's own, so that neither the first row of a table nor the number of an
    invoice is taken for a header. The title of the page's section in it may vary.

    Returns:
        The pages, and the lines removed from each; () if none were removed from any.
    """
    if len(pages) < MIN_RUNNING_LINE_PAGES:
        return tuple(pages), ()
    parts = [split_edges(page) for page in pages]
    lines = list(read_edge_lines(pages, parts, headings, labels))
    running = find_running_lines(lines, pages)
    if not any(running):
        return tuple(pages), ()
    seen: set[str] = set()
    texts, dropped = [], []
    for (head, body, tail), shapes in zip(parts, running, strict=True):
        headers, top = split_repeated_lines(head, shapes, seen)
        footers, bottom = split_repeated_lines(tail, shapes, seen)
        texts.append("\n".join([*top, *([body] if body else []), *bottom]).strip())
        dropped.append(RunningLines(headers, footers))
    return tuple(texts), tuple(dropped)


def read_edge_lines(
    pages: Sequence[str],
    parts: Sequence[tuple[list[str], str, list[str]]],
    headings: Sequence[Heading],
    labels: Sequence[str],
) -> Iterator[EdgeLine]:
    """Yield the edge lines of all pages, each text of a page once."""
    titles = collect_page_titles(headings, pages)
    for page, (head, _, tail) in enumerate(parts):
        label = labels[page] if page < len(labels) else ""
        for text in dict.fromkeys([*head, *tail]):
            masked = mask_title(text.strip(), titles[page])
            if (
                label
                and label[0] in masked
                and label[-1] in masked
                and PAGE_WORD.sub("", masked).strip(LABEL_EDGES) == label
            ):
                shape = masked.replace(label, NUMBER_PLACEHOLDER)
                yield EdgeLine(page, text, shape, (), is_label=True)
            else:
                numbers = tuple(map(int, DIGITS.findall(masked)))
                shape = DIGITS.sub(NUMBER_PLACEHOLDER, masked) if numbers else masked
                yield EdgeLine(page, text, shape, numbers)


def find_running_lines(lines: Sequence[EdgeLine], pages: Sequence[str]) -> list[dict[str, str]]:
    """Find the running lines of each page, with their shapes."""
    occurrences: dict[str, dict[int, EdgeLine]] = defaultdict(dict)
    for line in lines:
        occurrences[line.shape][line.page] = line
    filled = len({line.page for line in lines if line.text})
    min_pages = max(MIN_RUNNING_LINE_PAGES - 1, MIN_RUNNING_LINE_SHARE * filled)
    frequent = {
        shape: list(found.values())
        for shape, found in occurrences.items()
        if len(found) >= min_pages and shape not in ("", TITLE_PLACEHOLDER)
    }
    running: list[dict[str, str]] = [{} for _ in pages]
    for shape, found in frequent.items():
        for line in select_running_lines(shape, found, occurrences, pages):
            running[line.page][line.text] = shape
    return running


def select_running_lines(
    shape: str, found: Sequence[EdgeLine], shapes: Container[str], pages: Sequence[str]
) -> Iterator[EdgeLine]:
    """Yield those lines of one shape that are running lines.

    Each number in them is the one that most of them have, or else the number of the page.
    """
    numbered = [line for line in found if not line.is_label]
    rules = [
        find_number_rule(numbered, column, partial(classify_number, shape, column, shapes, pages))
        for column in range(shape.count(NUMBER_PLACEHOLDER) if numbered else 0)
    ]
    for line in found:
        if line.is_label or all(
            rule is not None and value == rule[0] + rule[1] * line.page
            for value, rule in zip(line.numbers, rules, strict=True)
        ):
            yield line


def find_number_rule(
    lines: Sequence[EdgeLine], column: int, classify: Callable[[], PageNumber]
) -> tuple[int, int] | None:
    """Return the number that most lines have on page 0, and its step from page to page.

    None if there is no such number, or if it counts with the pages without being theirs.
    """
    values = [line.numbers[column] for line in lines]
    offsets = [line.numbers[column] - line.page for line in lines]
    if (constant := find_majority(values)) is not None:
        return constant, 0
    if (offset := find_majority(offsets)) is not None and classify().allows(offset):
        return offset, 1
    return None


def find_majority(numbers: Sequence[int]) -> int | None:
    """Return the number that most of the numbers are equal to; None if there is none."""
    number, count = Counter(numbers).most_common(1)[0]
    return number if count >= MIN_CONSTANT_SHARE * len(numbers) else None


def classify_number(
    shape: str, column: int, shapes: Container[str], pages: Sequence[str]
) -> PageNumber:
    """Return the signs that a number in lines of a shape is the number of the page."""
    if len(shape) > MAX_SHAPE_CHARS:
        return PageNumber.NONE
    before = 0
    for part in FIELD_SEPARATOR.split(shape):
        count = part.count(NUMBER_PLACEHOLDER)
        if column < before + count:
            break
        before += count
    plain, words = PAGE_WORD.subn("", part)
    if column == before and PAGE_FIELD.fullmatch(plain):
        return PageNumber.WORDED if words else PageNumber.PLAIN
    title = part.strip(NUMBER_PLACEHOLDER)
    if NUMBER_PLACEHOLDER in title or len(title) == len(part):
        return PageNumber.NONE
    title = title.strip()
    is_title = (
        title == TITLE_PLACEHOLDER
        or (f"{title} {NUMBER_PLACEHOLDER}" in shapes and f"{NUMBER_PLACEHOLDER} {title}" in shapes)
        or (" " in title and is_on_cover(title, pages))
    )
    return PageNumber.PLAIN if is_title else PageNumber.NONE


def is_on_cover(title: str, pages: Sequence[str]) -> bool:
    """Return whether a text is a line by itself on a few of the pages only."""
    count = sum(f"\n{title}\n" in f"\n{page}\n" for page in pages)
    return 1 <= count <= max(1, MAX_TITLE_SHARE * len(pages))


def split_repeated_lines(
    lines: Sequence[str], shapes: Mapping[str, str], seen_shapes: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """Split lines into repeated running lines and all others; adds to the seen shapes."""
    dropped: list[str] = []
    kept: list[str] = []
    for line in lines:
        shape = shapes.get(line, "")
        (dropped if shape in seen_shapes else kept).append(line)
        if shape:
            seen_shapes.add(shape)
    return tuple(dropped), kept


def collect_page_titles(headings: Sequence[Heading], pages: Sequence[str]) -> list[tuple[str, ...]]:
    """List, for each page, the titles of the sections it is part of, the longest first.

    The title of a section that begins on the page counts only if the page has it more than once:
    a line that is the only one with the name of a section is no running header.
    """
    starting: dict[int, list[Heading]] = defaultdict(list)
    for heading in headings:
        starting[heading.page].append(heading)
    path: dict[int, str] = {}
    titles = []
    for number, page in enumerate(pages, 1):
        here = [*path.values()]
        for heading in starting[number]:
            title = heading.title.strip()
            path = {level: name for level, name in path.items() if level < heading.level}
            path[heading.level] = title
            if title and page.count(title) > 1:
                here.append(title)
        titles.append(tuple(sorted({*here} - {""}, key=len, reverse=True)))
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


def mask_title(line: str, titles: Sequence[str]) -> str:
    """Replace the longest of the titles in a line by a placeholder."""
    for title in titles:
        if title in line:
            return line.replace(title, TITLE_PLACEHOLDER, 1)
    return line
