"""The outline of a document by PDFium. Native code: only run it in a child process."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

from ingest.extract.engines.pdfium_raw import (
    destination_of,
    first_child,
    next_sibling,
    page_of,
    read_utf16,
    title_of,
)
from ingest.extract.limits import MAX_HEADINGS, MAX_OUTLINE_LEVELS
from ingest.models import Heading


def read_outline(document: int) -> list[Heading]:
    """The entries of the outline of a document, given by its address, that lead to a page."""
    found = []
    for bookmark, level in islice(iter_bookmarks(document), MAX_HEADINGS):
        target = destination_of(document, bookmark)
        index = page_of(document, target) if target else -1
        if index >= 0:
            found.append(Heading(level, read_utf16(partial(title_of, bookmark)), index + 1))
    return found


def iter_bookmarks(document: int) -> Iterator[tuple[int, int]]:
    """The addresses of all entries in order, each once, with their levels; 1 is the highest."""
    seen: set[int] = set()
    above: list[int] = []
    bookmark = first_child(document, None)
    while True:
        if not bookmark or bookmark in seen:  # an outline may run in circles
            if not above:
                return
            bookmark = next_sibling(document, above.pop())
            continue
        seen.add(bookmark)
        yield bookmark, len(above) + 1
        child = first_child(document, bookmark) if len(above) + 1 < MAX_OUTLINE_LEVELS else None
        if child:
            above.append(bookmark)
            bookmark = child
        else:
            bookmark = next_sibling(document, bookmark)
