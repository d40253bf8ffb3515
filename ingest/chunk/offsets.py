"""Offsets of pages, sentences and sections in the text of a chunk. Pure.

They count characters of the chunk's text, which may begin with a table header that it repeats.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from ingest.chunk.split import ChunkSpan

HEADING_SEPARATOR = " › "
MAX_SECTION_CHARS = 300  # of the headings above a section, as one text


def page_offsets(start: int, end: int, header: int, pages: Sequence[int]) -> tuple[int, ...]:
    """Return the offset of each page that a chunk touches; the first is 0.

    `header` is the length of the table header that the chunk repeats. `pages` has the offset of
    each page in the document's text. An empty page has an offset too.
    """
    first, last = bisect_right(pages, start), bisect_left(pages, end)
    return (0, *(header + page - start for page in pages[first:last]))


def sentence_offsets(span: ChunkSpan) -> tuple[int, ...]:
    """Return the offset of each sentence, paragraph, list item and table row of a chunk."""
    rows = (len(span.header),) if span.header else ()
    return (0, *rows, *(shift(start, span) for start in span.sentences))


def sections_inside(
    span: ChunkSpan, outline: Sequence[tuple[int, tuple[str, ...]]]
) -> Iterator[tuple[int, str]]:
    """Yield the offset of each section that begins inside a chunk, and its path of headings."""
    first = bisect_right(outline, span.start, key=lambda entry: entry[0])
    last = bisect_left(outline, span.end, key=lambda entry: entry[0])
    innermost = dict(outline[first:last])  # of several headings at one offset, the last
    for start, titles in innermost.items():
        yield shift(start, span), join_headings(titles)


def join_headings(titles: Sequence[str]) -> str:
    """Join a path of headings, outermost first; of a long one, the end."""
    joined = HEADING_SEPARATOR.join(titles)
    return joined if len(joined) <= MAX_SECTION_CHARS else "…" + joined[1 - MAX_SECTION_CHARS :]


def shift(offset: int, span: ChunkSpan) -> int:
    """Convert an offset in the document's text to one in the chunk's text."""
    return len(span.header) + offset - span.start
