"""Build the chunks of a document: text, pages, headings, offsets and id of each. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import TypeAlias

from ingest.chunk.offsets import page_offsets, sections_inside, sentence_offsets
from ingest.chunk.split import ChunkSpan, split
from ingest.chunk.tables import strip_table_marks
from ingest.chunk.tokens import count_tokens
from ingest.models import Chunk, Document, Heading, Recipe, Source

PAGE_BREAK = "\n"
PUNCTUATION = re.compile(r"[\W_]+")
NUMBERING = re.compile(r"^[a-z]?\d+")  # of a heading, without points: "31", in an appendix "c3"


def make_chunks(document: Document, source: Source, recipe: Recipe) -> Iterator[Chunk]:
    """Split a document into chunks, in reading order.

    Offsets count characters of the pages joined by PAGE_BREAK: `text[start:end]` is the chunk's
    text, except for a table header that it repeats.
    """
    text = PAGE_BREAK.join(document.pages)
    lengths = (len(page) + len(PAGE_BREAK) for page in document.pages)
    pages = list(accumulate(lengths, initial=0))[:-1]
    outline = locate_headings(document.headings, text, pages)
    identify = chunk_id_factory(source, recipe)
    breaks = sorted({line_break_before(text, offset) for offset, _ in outline})

    spans = split(text, breaks, recipe.chunk_tokens, recipe.overlap)
    for ordinal, (span, (content, plain, tokens)) in enumerate(
        zip(spans, chunk_texts(text, spans), strict=True)
    ):
        first_page = bisect_right(pages, span.start)
        last_page = bisect_right(pages, span.end - 1)
        heading_count = bisect_right(outline, span.start, key=lambda entry: entry[0])
        sections = tuple(sections_inside(span, outline))
        yield Chunk(
            id=identify(f"{content}\0{plain}" if plain else content),
            text=content,
            tokens=tokens,
            ordinal=ordinal,
            start=span.start,
            end=span.end,
            page_start=first_page,
            page_end=last_page,
            labels=document.labels[first_page - 1 : last_page],
            headings=outline[heading_count - 1][1] if heading_count else (),
            confidence=min_confidence(document.confidence, first_page, last_page),
            plain=plain,
            page_offsets=page_offsets(span.start, span.end, len(span.header), pages),
            sentence_offsets=sentence_offsets(span),
            section_offsets=tuple(offset for offset, _ in sections),
            sections=tuple(path for _, path in sections),
        )


def chunk_texts(text: str, spans: Sequence[ChunkSpan]) -> Iterator[tuple[str, str, int]]:
    """Yield each chunk's text, its text without table marks ("" if it has none), and its tokens.

    The tokens are those of the text to embed: without table marks, if there are any.
    """
    for span in spans:
        content = span.text_in(text)
        plain = strip_table_marks(content)
        if plain is content or not plain.strip():
            yield content, "", span.tokens
        else:
            yield content, plain, count_tokens([plain])[0]


def min_confidence(confidence: Mapping[int, float], first: int, last: int) -> float | None:
    """Return the lowest OCR confidence of the pages from first to last; None if OCR read none."""
    if not confidence:
        return None
    return min((confidence[p] for p in range(first, last + 1) if p in confidence), default=None)


def chunk_id_factory(source: Source, recipe: Recipe) -> Callable[[str], str]:
    """Return a function that derives a chunk's id from its content, wherever in the source it is.

    The content includes the text to embed where that differs, so an id also identifies a vector.
    Repeated content is numbered, so that no two chunks share an id.
    """
    occurrences: Counter[str] = Counter()
    root = source.root_key or source.root
    prefix = hashlib.sha256(f"{root}\0{source.name}\0{recipe.vector_space}\0".encode())

    def identify(content: str) -> str:
        occurrences[content] += 1
        digest = prefix.copy()
        digest.update(f"{content}\0{occurrences[content]}".encode())
        return digest.hexdigest()[:40]

    return identify


def locate_headings(
    headings: Sequence[Heading], text: str, pages: Sequence[int]
) -> list[tuple[int, tuple[str, ...]]]:
    """Find the offset of each heading, and its path of titles; in order of the offsets."""
    found = []
    path: list[Heading] = []
    widths: dict[int, int] = {}
    for heading in headings:
        widths[heading.page] = max(widths.get(heading.page, 0), 2 * len(heading.title))
    # Cache the lines of the last page: a hostile outline may have many entries for one page of
    # many lines.
    lines_of = lru_cache(maxsize=1)(
        lambda page: list_line_starts(text, page_span(page, text, pages), widths[page])
    )
    for heading in headings:
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
        titles = tuple(" ".join(h.title.split()) for h in path)
        if 1 <= heading.page <= len(pages):
            span = page_span(heading.page, text, pages)
            offset = find_heading(titles[-1], text, span, partial(lines_of, heading.page))
        else:
            offset = len(text)
        found.append((offset, titles))
    return sorted(found, key=lambda entry: entry[0])


def page_span(page: int, text: str, pages: Sequence[int]) -> tuple[int, int]:
    """Return the start and end offset of a page."""
    return pages[page - 1], pages[page] if page < len(pages) else len(text)


LineStarts: TypeAlias = list[tuple[int, str]]  # offset of each line, and its normalized beginning


def find_heading(
    title: str, text: str, page: tuple[int, int], lines_of: Callable[[], LineStarts]
) -> int:
    """Return the offset of the line that is a heading; of the page, if no line matches."""
    start, end = page
    offset = text.find(f"\n{title}", max(0, start - 1), end)
    if offset >= 0:
        return offset + 1
    if title and text.startswith(title, start):
        return start
    wanted = normalize_title(title)
    if not wanted:
        return start
    return next((offset for offset, line in lines_of() if line.startswith(wanted)), start)


def list_line_starts(text: str, page: tuple[int, int], width: int) -> LineStarts:
    """Normalize `width` characters from the start of each line of a page, over line ends."""
    start, end = page
    found = []
    while 0 <= start < end:
        found.append((start, normalize_title(text[start : start + width])))
        start = text.find("\n", start, end) + 1 or -1
    return found


def normalize_title(text: str) -> str:
    """Normalize a title or a line for comparison: its letters and digits, without numbering.

    Outlines and pages differ in apostrophes, quotation marks, accents and spaces.
    """
    letters = PUNCTUATION.sub("", unicodedata.normalize("NFKC", text).casefold())
    return NUMBERING.sub("", letters)


def line_break_before(text: str, offset: int) -> int:
    """Return the offset of the line break before a line; the break belongs to the line."""
    return offset - 1 if offset and text[offset - 1] == "\n" else offset


def choose_title(document: Document, name: str) -> str:
    """Return a document's own title, or else its first heading, or else its file name."""
    return own_title(document) or title_from_name(name)


def own_title(document: Document) -> str:
    """Return a document's own title, or else its first heading; "" if it has neither."""
    heading = next((" ".join(h.title.split()) for h in document.headings if h.title.strip()), "")
    return document.title or heading


def title_from_name(name: str) -> str:
    """Return a file's name without its folder and its ending."""
    return name.rpartition("/")[2].rpartition(".")[0]
