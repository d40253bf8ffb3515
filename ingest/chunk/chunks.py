"""A document's chunks: each with its pages, its headings, its offsets and its id. Pure."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import TypeAlias

from ingest.chunk.split import ChunkSpan, split
from ingest.chunk.tables import strip_table_marks
from ingest.chunk.tokens import count_tokens
from ingest.models import Chunk, Document, Heading, Recipe, Source

PAGE_BREAK = "\n"


def make_chunks(document: Document, source: Source, recipe: Recipe) -> Iterator[Chunk]:
    """The chunks of a document in reading order.

    Offsets count the characters of the pages joined by PAGE_BREAK: `text[start:end]` is the chunk,
    or what of it follows on the header of its table, where it begins with a later row of one.
    """
    text = PAGE_BREAK.join(document.pages)
    lengths = (len(page) + len(PAGE_BREAK) for page in document.pages)
    pages = list(accumulate(lengths, initial=0))[:-1]
    outline = locate_headings(document.headings, text, pages)
    identify = chunk_id_factory(source, recipe)
    marks = sorted({line_break_before(text, offset) for offset, _ in outline})

    pieces = split(text, marks, recipe.chunk_tokens, recipe.overlap)
    for ordinal, (piece, (said, plain, tokens)) in enumerate(
        zip(pieces, chunk_texts(text, pieces), strict=True)
    ):
        page = bisect_right(pages, piece.start)
        above = bisect_right(outline, piece.start, key=lambda entry: entry[0])
        until = bisect_right(pages, piece.end - 1)
        yield Chunk(
            id=identify(f"{said}\0{plain}" if plain else said),
            text=said,
            tokens=tokens,
            ordinal=ordinal,
            start=piece.start,
            end=piece.end,
            page_start=page,
            page_end=until,
            label=document.labels[page - 1] if page <= len(document.labels) else "",
            headings=outline[above - 1][1] if above else (),
            confidence=min_confidence(document.confidence, page, until),
            plain=plain,
        )


def chunk_texts(text: str, spans: Sequence[ChunkSpan]) -> Iterator[tuple[str, str, int]]:
    """What each piece says, the same without the marks of tables if it has any, and its tokens."""
    for piece in spans:
        said = piece.text_in(text)
        plain = strip_table_marks(said)
        if plain is said or not plain.strip():
            yield said, "", piece.tokens
        else:
            yield said, plain, count_tokens([plain])[0]


def min_confidence(confidence: Mapping[int, float], first: int, last: int) -> float | None:
    """The least confidence of the recognised pages from the first to the last; None without any."""
    if not confidence:
        return None
    return min((confidence[p] for p in range(first, last + 1) if p in confidence), default=None)


def chunk_id_factory(source: Source, recipe: Recipe) -> Callable[[str], str]:
    """Gives each text of a source its id: the same text the same id, wherever it stands.

    What is embedded, if it is not the text, is told with it, so that an id stands for a vector too.
    A text that stands more than once is counted, so that no two chunks share an id.
    """
    seen: Counter[str] = Counter()
    whose = hashlib.sha256(f"{source.root}\0{source.name}\0{recipe.vector_space}\0".encode())

    def identify(text: str) -> str:
        seen[text] += 1
        digest = whose.copy()
        digest.update(f"{text}\0{seen[text]}".encode())
        return digest.hexdigest()[:40]

    return identify


def locate_headings(
    headings: Sequence[Heading], text: str, pages: Sequence[int]
) -> list[tuple[int, tuple[str, ...]]]:
    """Where each heading of an outline stands, and the titles it stands under, in text order."""
    found = []
    path: list[Heading] = []
    widths: dict[int, int] = {}
    for heading in headings:
        widths[heading.page] = max(widths.get(heading.page, 0), 2 * len(heading.title))
    # An outline may have many entries for one page, and a page many lines: those of the last page
    # asked for are kept, or a hostile file would have them made anew for every entry.
    lines_of = lru_cache(maxsize=1)(
        lambda page: list_line_starts(text, page_span(page, text, pages), widths[page])
    )
    for heading in headings:
        while path and path[-1].level >= heading.level:
            path.pop()
        path.append(heading)
        titles = tuple(" ".join(h.title.split()) for h in path)
        if 1 <= heading.page <= len(pages):
            where = page_span(heading.page, text, pages)
            offset = find_heading(titles[-1], text, where, partial(lines_of, heading.page))
        else:
            offset = len(text)
        found.append((offset, titles))
    return sorted(found, key=lambda entry: entry[0])


def page_span(page: int, text: str, pages: Sequence[int]) -> tuple[int, int]:
    """Where a page begins and ends."""
    return pages[page - 1], pages[page] if page < len(pages) else len(text)


LineStarts: TypeAlias = list[tuple[int, str]]  # offsets, and how the lines there begin


def find_heading(
    title: str, text: str, page: tuple[int, int], lines_of: Callable[[], LineStarts]
) -> int:
    """The offset of the line that is a heading; that of its page where no line is."""
    start, end = page
    offset = text.find(f"\n{title}", max(0, start - 1), end)
    if offset >= 0:
        return offset + 1
    if title and text.startswith(title, start):
        return start
    wanted = normalize_title(title)
    if not wanted:
        return start
    return next((line for line, words in lines_of() if words.startswith(wanted)), start)


def list_line_starts(text: str, page: tuple[int, int], width: int) -> LineStarts:
    """The lines of a page, of each as much as so many characters, wherever they end."""
    start, end = page
    found = []
    while 0 <= start < end:
        found.append((start, normalize_title(text[start : start + width])))
        start = text.find("\n", start, end) + 1 or -1
    return found


def normalize_title(text: str) -> str:
    """The same for a title and for its line, however they are numbered, cased or wrapped."""
    return " ".join(text.split()).casefold().lstrip("0123456789. ")


def line_break_before(text: str, offset: int) -> int:
    """The offset of the line break before a line, which belongs to the line."""
    return offset - 1 if offset and text[offset - 1] == "\n" else offset


def choose_title(document: Document, name: str) -> str:
    """What a document is called: by itself, by its first heading, or by its file's name."""
    heading = next((" ".join(h.title.split()) for h in document.headings if h.title.strip()), "")
    return document.title or heading or name.rpartition("/")[2].rpartition(".")[0]
