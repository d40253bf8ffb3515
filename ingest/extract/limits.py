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

MAX_PAGES = 100_000
MAX_DOCUMENT_CHARS = 50_000_000  # of text; 25,000 dense pages
MIN_PAGE_BYTES = 4  # bytes of a file, as a page's share: no page is compressed to less

MAX_HEADINGS = 10_000
MAX_HEADINGS_PER_PAGE = 200
MAX_OUTLINE_LEVELS = 15  # levels of an outline

# In characters.
MAX_HEADING_CHARS = 500
MAX_LABEL_CHARS = 100


def clean_line(text: str, max_chars: int) -> str:
    """One clean line of no more than `most` characters."""
    return " ".join(clean(text[: 4 * max_chars]).split())[:max_chars].rstrip()


def limit_headings(headings: Iterable[Heading]) -> Iterator[Heading]:
    """The headings that say something, neither too many nor too deep, their titles in one line."""
    beginning: Counter[int] = Counter()
    for heading in headings:
        title = clean_line(heading.title, MAX_HEADING_CHARS)
        beginning[heading.page] += 1
        if (
            title
            and heading.level <= MAX_OUTLINE_LEVELS
            and beginning[heading.page] <= MAX_HEADINGS_PER_PAGE
        ):
            yield Heading(heading.level, title, heading.page)


def check_page_count(count: int) -> int:
    """The number of pages. Raises DocumentError if they are too many to read."""
    if count > MAX_PAGES:
        raise too_large_error(
            f"it says that it has {count:,} pages, and no more than {MAX_PAGES:,} are read"
        )
    return count


def limit_text(pages: Iterable[str]) -> Iterator[str]:
    """The pages as they come. Raises DocumentError once their text is too long."""
    total = 0
    for page in pages:
        total += len(page)
        if total > MAX_DOCUMENT_CHARS:
            raise too_large_error(
                f"its text is longer than {MAX_DOCUMENT_CHARS // 1_000_000} million characters"
            )
        yield page


def too_large_error(why: str) -> DocumentError:
    """What is wrong with a document that has too much of something."""
    return DocumentError(f"{why}; split it into several files", Code.TOO_LARGE)
