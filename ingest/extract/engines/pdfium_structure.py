"""Read the structure tree of a tagged page with PDFium. Native code: only run it in a sandbox."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise, repeat

from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import (
    BOX_FIELDS,
    INT,
    POINTER,
    SIZE,
    PageHandle,
    TextHandle,
    bind_by_address,
    kind_of,
    list_char_edges,
    list_owners,
    list_page_items,
    rotation_of,
)
from ingest.extract.engines.placeholders import NOTHING
from ingest.extract.layout.continued import ArrangedPage, Columns
from ingest.extract.layout.lines import (
    LINE_END,
    find_line_starts,
    is_descending,
    measure_some_lines,
)
from ingest.extract.layout.structure import (
    LINES,
    Element,
    MarkedRun,
    Structure,
    TaggedText,
    find_structure,
    list_contents,
    split_runs,
)
from ingest.models import Heading

MAX_ELEMENTS = 5000  # of a page; the tree of a page with more is ignored
MAX_DEPTH = 60
MAX_TYPE_BYTES = 64  # the name of an element's type in UTF-16; the rest is cut off
MAX_TITLE_CHARS = 200  # a longer heading is a paragraph
MANY_CHILDREN = 200  # of an element; with more, only those around the last page's are looked at
MIN_COVERED_SHARE = 0.8  # of a page's text; with less in the tree, positions show the order
MAX_LINES_OF_PART = 30  # on average; a tree of longer parts says nothing
MAX_CHILDREN = 3000  # with more, PDFium takes longer for a page's tree than for its text
MAX_GAP = 50  # children of other pages between two of this page

TYPE_BUFFER = ctypes.create_string_buffer(MAX_TYPE_BYTES)
TYPE_ADDRESS = ctypes.addressof(TYPE_BUFFER)

is_tagged = bind_by_address(raw.FPDFCatalog_IsTagged, INT, POINTER)
open_tree = bind_by_address(raw.FPDF_StructTree_GetForPage, POINTER, POINTER)
close_tree = bind_by_address(raw.FPDF_StructTree_Close, None, POINTER)
count_roots = bind_by_address(raw.FPDF_StructTree_CountChildren, INT, POINTER)
root_at = bind_by_address(raw.FPDF_StructTree_GetChildAtIndex, POINTER, POINTER, INT)
count_children = bind_by_address(raw.FPDF_StructElement_CountChildren, INT, POINTER)
child_at = bind_by_address(raw.FPDF_StructElement_GetChildAtIndex, POINTER, POINTER, INT)
content_at = bind_by_address(raw.FPDF_StructElement_GetChildMarkedContentID, INT, POINTER, INT)
type_of = bind_by_address(raw.FPDF_StructElement_GetType, SIZE, POINTER, POINTER, SIZE)
content_of = bind_by_address(raw.FPDFPageObj_GetMarkedContentID, INT, POINTER)


@dataclass(frozen=True, slots=True)
class TaggedPage:
    """Text, headings and tables of a page by its structure tree."""

    text: str = ""  # in the order of the tree; "" if that does not cover the page
    headings: tuple[tuple[int, str], ...] = ()  # level and title
    tables: tuple[Columns, ...] = ()  # the columns of each


@dataclass(slots=True)
class StructureReader:
    """Reads the structure tree of a document's pages, one after the other."""

    wants_headings: bool  # of all pages: the document has no outline
    page_number: int = 0  # of the page that is being read, from 1
    headings: list[Heading] = field(default_factory=list)
    last_children: dict[tuple[int, int], int] = field(default_factory=dict)
    count: int = 0  # elements of the page that is being read

    def arrange(self, page: PageHandle, handle: TextHandle, text: str) -> ArrangedPage | None:
        """Return the text of a page in the order of its structure tree; None if it is not covered.

        Args:
            page: The loaded page.
            handle: Its loaded text.
            text: Its characters in drawing order, one for each of PDFium's.
        """
        try:
            found = read_tagged_page(self.read(page), page, handle, text)
        except ValueError:  # the tree is too large, or names an element that is not there
            return None
        self.headings += [
            Heading(level, title, self.page_number)
            for level, title in found.headings
            if len(title) <= MAX_TITLE_CHARS and any(map(str.isalpha, title))
        ]
        return ArrangedPage(found.text, found.tables) if found.text else None

    def read(self, page: PageHandle) -> list[Element]:
        """Return the elements at the top of a page's structure tree; none if it has no tree."""
        tree = open_tree(page)
        if not tree:
            return []
        try:
            self.count = 0
            roots = [root_at(tree, n) for n in range(min(count_roots(tree), MANY_CHILDREN))]
            return [self.read_element(root, 0) for root in roots if root]
        finally:
            close_tree(tree)

    def read_element(self, handle: int, depth: int) -> Element:
        """Read an element and its content. Raises ValueError if the tree is too large."""
        self.count += 1
        if self.count > MAX_ELEMENTS or depth > MAX_DEPTH:
            raise ValueError("the structure tree is too large")
        element = Element(read_type(handle))
        for number, child in self.iter_children(handle, depth):
            if child:
                element.children.append(self.read_element(child, depth + 1))
            elif (content := content_at(handle, number)) >= 0:
                element.children.append(content)
            elif element.kind == "TR":
                element.children.append(None)
        return element

    def iter_children(self, handle: int, depth: int) -> Iterator[tuple[int, int]]:
        """Yield the number and the handle of each child; 0 for content, and for other pages."""
        count = count_children(handle)
        if count > MAX_CHILDREN:
            self.wants_headings = False
        if count <= MANY_CHILDREN:
            yield from enumerate(map(child_at, repeat(handle), range(count)))
            return
        # All of a document may be children of one element. Those of a page follow each other.
        first = self.last_children.get((depth, count), 0)
        found = list(self.iter_near(handle, range(max(0, first - MAX_GAP), count)))
        if not found:
            found = list(self.iter_near(handle, range(count)))
        if found:
            self.last_children[depth, count] = found[0][0]
        yield from found

    def iter_near(self, handle: int, numbers: range) -> Iterator[tuple[int, int]]:
        """Yield the children of this page, up to a gap after them."""
        last: int | None = None
        for number in numbers:
            child = child_at(handle, number)
            if child or content_at(handle, number) >= 0:
                yield number, child or 0
                last = number
            elif last is not None and number - last > MAX_GAP:
                return


def read_type(handle: int) -> str:
    """Return the standard type of an element, such as H1 or Table."""
    size = type_of(handle, TYPE_ADDRESS, MAX_TYPE_BYTES)
    return decode_type(TYPE_BUFFER.raw[: max(0, min(size, MAX_TYPE_BYTES) - 2)])


@lru_cache
def decode_type(name: bytes) -> str:
    """Decode the name of a type; there are few."""
    return name.decode("utf-16-le", "ignore")


def read_contents(page: PageHandle) -> dict[int, int]:
    """Return the number of the marked content that each text object of a page is in, or -1.

    Keys are the addresses of the objects, in drawing order. Objects inside of form objects have
    numbers of another count and are left out.
    """
    texts = [item for item in list_page_items(page) if kind_of(item) == raw.FPDF_PAGEOBJ_TEXT]
    return dict(zip(texts, map(content_of, texts), strict=True))


def list_char_contents(
    text: TextHandle, indexes: Sequence[int], contents: dict[int, int]
) -> list[int]:
    """Return the number of the marked content that each character is in, or -1."""
    return [contents.get(item, -1) if item else -1 for item in list_owners(text, indexes)]


def read_tagged_page(
    elements: Sequence[Element],
    page: PageHandle,
    handle: TextHandle,
    text: str,
) -> TaggedPage:
    """Return the text and the headings of a page by its structure tree, if that covers it."""
    structure = find_structure(elements)
    order = list(list_contents(structure))
    places = {content: place for place, content in reversed(list(enumerate(order)))}
    if not places or len(order) * MAX_LINES_OF_PART < text.count(LINE_END):
        return TaggedPage()
    contents = read_contents(page)
    drawn = [places[content] for content in contents.values() if content in places]
    if len(drawn) < MIN_COVERED_SHARE * len(contents):
        return TaggedPage()
    is_drawn_in_order = (
        not structure.has_tables
        and all(a <= b for a, b in pairwise(drawn))
        and (len(drawn) == len(contents) or is_from_the_top(page, handle, text))
    )
    if is_drawn_in_order:
        titles = find_titles(handle, text, structure, contents)
        return TaggedPage(text, headings=tuple(titles))
    offsets = [n for n, char in enumerate(text) if char != NOTHING and not char.isspace()]
    found = list_char_contents(handle, offsets, contents)
    known = [content if content in places else -1 for content in found]
    if len(known) - known.count(-1) < MIN_COVERED_SHARE * len(known):
        return TaggedPage()
    runs = split_runs(offsets, known)
    above, below = split_untagged(page, handle, text, runs)
    measure = None if rotation_of(page) else partial(list_char_edges, handle)
    writer = TaggedText(text, runs, measure)
    body = writer.write(structure)
    titles = [
        (level, TaggedText(text, runs).join_line(numbers)) for level, numbers in structure.headings
    ]
    shown = "\n".join(filter(None, [*above, body, *below]))
    return TaggedPage(shown, headings=tuple(titles), tables=tuple(writer.tables))


def is_from_the_top(page: PageHandle, handle: TextHandle, text: str) -> bool:
    """Return whether each line of a page is below the one before: running lines are in place."""
    return not rotation_of(page) and is_descending(
        measure_some_lines(handle, find_line_starts(text))
    )


def find_titles(
    handle: TextHandle, text: str, structure: Structure, contents: dict[int, int]
) -> list[tuple[int, str]]:
    """Return the level and the title of each heading of a page that is drawn in order."""
    if not structure.headings:
        return []
    starts = find_line_starts(text)[:-1]
    firsts = [start for start in starts if start < len(text) and not text[start].isspace()]
    by_line = dict(zip(firsts, list_char_contents(handle, firsts, contents), strict=True))
    titles = []
    for level, numbers in structure.headings:
        wanted = set(numbers)
        parts = []
        for start, content in by_line.items():
            if content in wanted:
                line = text[start:].split(LINE_END, 1)[0]
                inside = list_char_contents(handle, range(start, start + len(line)), contents)
                parts.append(line[: max(n for n, c in enumerate(inside) if c in wanted) + 1])
        titles.append((level, " ".join(" ".join(parts).split())))
    return titles


def split_untagged(
    page: PageHandle, handle: TextHandle, text: str, runs: dict[int, list[MarkedRun]]
) -> tuple[list[str], list[str]]:
    """Return the lines outside of the tree that are above the tagged text, and all others."""
    untagged = runs.get(-1, [])
    if not untagged:
        return [], []
    lines = [
        (line.start(), line.end())
        for run in untagged
        for line in LINES.finditer(text, run.start, run.end)
    ]
    tagged = [run.start for content, found in runs.items() if content != -1 for run in found]
    is_above = [start < min(tagged) for start, _ in lines]
    if not rotation_of(page):
        edges = list_char_edges(handle, [*tagged, *(start for start, _ in lines)])
        top = max(edges[1 : BOX_FIELDS * len(tagged) : BOX_FIELDS])
        is_above = [
            bottom >= top - 1 for bottom in edges[BOX_FIELDS * len(tagged) + 3 :: BOX_FIELDS]
        ]
    return (
        [text[a:b] for (a, b), above in zip(lines, is_above, strict=True) if above],
        [text[a:b] for (a, b), above in zip(lines, is_above, strict=True) if not above],
    )
