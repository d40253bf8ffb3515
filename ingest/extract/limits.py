"""Limits on the text and the metadata of a document. Pure.

No real document exceeds them. Without them, a file of a few kilobytes could fill the index, or the
memory of the process that receives the result from the sandbox.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from ingest.errors import DocumentError
from ingest.extract.cleaning import clean
from ingest.models import Code, Heading

MAX_PAGES = 100_000
MAX_DOCUMENT_CHARS = 50_000_000  # 25,000 dense pages
MIN_PAGE_BYTES = 4  # of the file per page; no page is compressed to less

MAX_HEADINGS = 10_000
MAX_HEADINGS_PER_PAGE = 200
MAX_OUTLINE_LEVELS = 15

MAX_HEADING_CHARS = 500
MAX_LABEL_CHARS = 100


def clean_line(text: str, max_chars: int) -> str:
    """Clean a text and return it as one line of at most `max_chars` characters."""
    return " ".join(clean(text[: 4 * max_chars]).split())[:max_chars].rstrip()


def limit_headings(headings: Iterable[Heading]) -> Iterator[Heading]:
    """Drop headings that are empty, too deep, or too many for a page; clean the other titles."""
    counts: Counter[int] = Counter()
    for heading in headings:
        title = clean_line(heading.title, MAX_HEADING_CHARS)
        counts[heading.page] += 1
        if (
            title
            and heading.level <= MAX_OUTLINE_LEVELS
            and counts[heading.page] <= MAX_HEADINGS_PER_PAGE
        ):
            yield Heading(heading.level, title, heading.page)


def check_page_count(count: int) -> int:
    """Return the number of pages unchanged. Raises DocumentError if it exceeds MAX_PAGES."""
    if count > MAX_PAGES:
        raise too_large_error(f"it claims to have {count:,} pages, and {MAX_PAGES:,} is the limit")
    return count


def limit_text(pages: Iterable[str]) -> Iterator[str]:
    """Yield pages unchanged. Raises DocumentError once their text exceeds MAX_DOCUMENT_CHARS."""
    total = 0
    for page in pages:
        total += len(page)
        if total > MAX_DOCUMENT_CHARS:
            raise too_large_error(
                f"its text is longer than {MAX_DOCUMENT_CHARS // 1_000_000} million characters"
            )
        yield page


def too_large_error(why: str) -> DocumentError:
    """Return the error for a document that exceeds a limit."""
    return DocumentError(f"{why}; split it into several files", Code.TOO_LARGE)
