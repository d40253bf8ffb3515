"""Read the texts that a tagged page has in place of its figures.

Native code: only run it in a sandbox.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import POINTER, SIZE, PageHandle, bind_by_address, read_utf16
from ingest.extract.engines.pdfium_structure import (
    MANY_CHILDREN,
    MAX_DEPTH,
    MAX_ELEMENTS,
    StructureReader,
    close_tree,
    content_at,
    count_roots,
    open_tree,
    read_type,
    root_at,
)

alternative_of = bind_by_address(raw.FPDF_StructElement_GetAltText, SIZE, POINTER, POINTER, SIZE)
actual_text_of = bind_by_address(raw.FPDF_StructElement_GetActualText, SIZE, POINTER, POINTER, SIZE)

MIN_LETTERS = 3  # of a text that says something
FILE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".svg", ".wmf", ".emf")


@dataclass(slots=True)
class TaggedFigure:
    """A figure of a structure tree."""

    words: str  # in place of it
    contents: set[int] = field(default_factory=set)  # numbers of the marked content in it


def read_tagged_figures(page: PageHandle) -> list[TaggedFigure]:
    """Return the figures of a page that have a text in place of them."""
    tree = open_tree(page)
    if not tree:
        return []
    try:
        walk = TreeWalk(StructureReader(wants_headings=False))
        for n in range(min(count_roots(tree), MANY_CHILDREN)):
            if root := root_at(tree, n):
                walk.visit(root, 0, None)
        return walk.found
    finally:
        close_tree(tree)


@dataclass(slots=True)
class TreeWalk:
    """A walk over a structure tree, to its figures."""

    reader: StructureReader  # knows which children of a long list are of this page
    found: list[TaggedFigure] = field(default_factory=list)
    left: int = MAX_ELEMENTS

    def visit(self, element: int, depth: int, inside: TaggedFigure | None) -> None:
        """Visit an element and those in it, up to a limit."""
        self.left -= 1
        if self.left < 0 or depth > MAX_DEPTH:
            return
        if inside is None and read_type(element) == "Figure" and (words := read_words(element)):
            inside = TaggedFigure(words)
            self.found.append(inside)
        for number, child in self.reader.iter_children(element, depth):
            if child:
                self.visit(child, depth + 1, inside)
            elif inside and (content := content_at(element, number)) >= 0:
                inside.contents.add(content)


def read_words(element: int) -> str:
    """Return the alternative and the actual text of an element, unless they say nothing."""
    texts = (
        " ".join(read_utf16(partial(call, element)).split())
        for call in (alternative_of, actual_text_of)
    )
    return "\n".join(dict.fromkeys(filter(says_something, texts)))


def says_something(text: str) -> bool:
    """Return whether a text is more than a few letters or a file name."""
    if sum(map(str.isalpha, text)) < MIN_LETTERS:
        return False
    return not text.lower().endswith(FILE_ENDINGS)
