"""How much of a document is taken. Pure.

No real document has more, and without bounds a file of a few kilobytes could fill the memory of the
process that only receives what a reader sends, or the index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ingest.errors import DocumentError
from ingest.extract.cleaning import clean
from ingest.models import Code, Heading

PAGES = 100_000
CHARACTERS = 50_000_000  # of text; 25,000 dense pages
SMALLEST_PAGE = 4  # bytes of a file, as a page's share: no page is compressed to less

HEADINGS = 10_000
HEADINGS_OF_A_PAGE = 200
DEPTH = 15  # levels of an outline

# In characters.
HEADING = 500
LABEL = 100


def line(text: str, most: int) -> str:
    """One clean line of no more than `most` characters."""
    return " ".join(clean(text[: 4 * most]).split())[:most].rstrip()


def bounded_headings(headings: Iterable[Heading]) -> Iterator[Heading]:
    """The headings that say something, neither too many nor too deep, their titles in one line."""
    beginning: Counter[int] = Counter()
    for heading in headings:
        title = line(heading.title, HEADING)
        beginning[heading.page] += 1
        if title and heading.level <= DEPTH and beginning[heading.page] <= HEADINGS_OF_A_PAGE:
            yield Heading(heading.level, title, heading.page)


def bounded_pages(count: int) -> int:
    """The number of pages. Raises DocumentError if they are too many to read."""
    if count > PAGES:
        raise too_large(f"it says that it has {count:,} pages, and no more than {PAGES:,} are read")
    return count


def bounded_text(pages: Iterable[str]) -> Iterator[str]:
    """The pages as they come. Raises DocumentError once their text is too long."""
    total = 0
    for page in pages:
        total += len(page)
        if total > CHARACTERS:
            raise too_large(f"its text is longer than {CHARACTERS // 1_000_000} million characters")
        yield page


def too_large(why: str) -> DocumentError:
    """What is wrong with a document that has too much of something."""
    return DocumentError(f"{why}; split it into several files", Code.TOO_LARGE)
