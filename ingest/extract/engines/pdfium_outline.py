"""Read the outline of a document with PDFium. Native code: only run it in a sandbox."""

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
    """Return the outline entries that lead to a page, of the document at an address."""
    found = []
    for bookmark, level in islice(iter_bookmarks(document), MAX_HEADINGS):
        target = destination_of(document, bookmark)
        index = page_of(document, target) if target else -1
        if index >= 0:
            found.append(Heading(level, read_utf16(partial(title_of, bookmark)), index + 1))
    return found


def iter_bookmarks(document: int) -> Iterator[tuple[int, int]]:
    """Yield the address and level of each outline entry, in order and once; level 1 is the top."""
    seen: set[int] = set()
    parents: list[int] = []
    bookmark = first_child(document, None)
    while True:
        if not bookmark or bookmark in seen:  # an outline may be circular
            if not parents:
                return
            bookmark = next_sibling(document, parents.pop())
            continue
        seen.add(bookmark)
        yield bookmark, len(parents) + 1
        child = first_child(document, bookmark) if len(parents) + 1 < MAX_OUTLINE_LEVELS else None
        if child:
            parents.append(bookmark)
            bookmark = child
        else:
            bookmark = next_sibling(document, bookmark)
