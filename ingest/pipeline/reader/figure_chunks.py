"""Chunks of the descriptions of figures, in the reading order of their document. Pure.

A description is generated. Its chunk says so in its first line, for applications that show nothing
but `content`, and in fields by which others can filter. That line is not embedded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from ingest.chunk import MIN_CHUNK_TOKENS
from ingest.chunk.chunks import chunk_id_factory
from ingest.chunk.offsets import HEADING_SEPARATOR, sentence_offsets
from ingest.chunk.split import split
from ingest.chunk.tables import strip_table_marks
from ingest.chunk.tokens import count_tokens
from ingest.extract.figures.captions import find_label
from ingest.extract.figures.insert import find_line
from ingest.index.generated import generated_mark
from ingest.models import (
    Chunk,
    ChunkFigure,
    DescribedFigure,
    Figure,
    FigureDescription,
    FigureOutcome,
    PreparedDocument,
    Recipe,
    Source,
)

# Of the chunks of one page, for each figure. A page has some thousand characters; a reader that was
# taken over may claim one of a hundred million, and two thousand figures on it.
MAX_SEARCHED_CHARS, MIN_SEARCHED_CHARS = 200_000, 500


class FigurePlace(NamedTuple):
    """Place of a figure among the chunks of its document's own text."""

    number: int  # of the chunk before which it comes
    start: int  # offset in the document's text
    headings: tuple[str, ...]


def insert_figure_chunks(
    document: PreparedDocument, source: Source, recipe: Recipe
) -> PreparedDocument:
    """Return a document with the chunks of its described figures, each at the figure's place.

    The ids of all other chunks stay as they are.
    """
    identify = chunk_id_factory(source, recipe)
    labels = {
        page: label
        for chunk in document.chunks
        for page, label in enumerate(chunk.labels, chunk.page_start)
    }
    before: dict[int, list[Chunk]] = defaultdict(list)
    for described in sorted(document.described, key=lambda found: found.number):
        if described.outcome is FigureOutcome.DESCRIBED and described.description:
            place = find_figure_place(document.chunks, described.figure)
            label = labels.get(described.figure.page, "")
            before[place.number] += [
                replace(
                    chunk,
                    id=identify(f"\0figure\0{chunk.text}\0{chunk.plain}"),
                    labels=(label,) if label else (),
                    headings=place.headings,
                )
                for chunk in chunk_description(
                    described, described.description, place.start, recipe
                )
            ]
    if not before:
        return document
    merged = [
        chunk
        for number in range(len(document.chunks) + 1)
        for chunk in (*before[number], *document.chunks[number : number + 1])
    ]
    chunks = (replace(chunk, ordinal=ordinal) for ordinal, chunk in enumerate(merged))
    return replace(document, chunks=tuple(chunks))


def chunk_description(
    described: DescribedFigure, description: FigureDescription, start: int, recipe: Recipe
) -> Iterator[Chunk]:
    """Yield the chunk of a description, or several of a long one, without id and place."""
    figure = described.figure
    label = find_label(figure.caption)
    mark = generated_mark(label)
    text = format_description(description)
    limit = max(MIN_CHUNK_TOKENS, recipe.chunk_tokens - count_tokens([mark])[0])
    for span in split(text, (), limit, 0.0):
        part = span.text_in(text)
        plain = strip_table_marks(part)
        plain = plain if plain.strip() else part
        yield Chunk(
            id="",
            text=mark + part,
            tokens=count_tokens([plain])[0],
            ordinal=0,
            start=start,
            end=start,
            page_start=figure.page,
            page_end=figure.page,
            labels=(),
            headings=(),
            plain=plain,
            sentence_offsets=(0, *(len(mark) + offset for offset in sentence_offsets(span))),
            figure=ChunkFigure(
                description.kind, figure.box, description.model, described.image, label
            ),
        )


def format_description(description: FigureDescription) -> str:
    """Return the text of a description: paragraphs, and its values as a table."""
    rows = [[" ".join(cell.split()).replace("|", "\\|") for cell in r] for r in description.rows]
    width = max(map(len, rows), default=0)
    table = ["| " + " | ".join([*row, *[""] * (width - len(row))]) + " |" for row in rows]
    table[1:1] = ["|" + " --- |" * width] if width else []
    parts = (
        " ".join(description.title.split()),
        description.summary.strip(),
        description.words.strip(),
        "; ".join(" ".join(axis.split()) for axis in description.axes),
        "\n".join(table),
    )
    return "\n\n".join(filter(None, parts))


def find_figure_place(chunks: Sequence[Chunk], figure: Figure) -> FigurePlace:
    """Find the place of a figure: after the chunk that has its caption, or else a neighbour.

    No chunk is divided, so that each keeps its id and its vector. A figure without a caption and a
    neighbour in the text comes at the end of its page.
    """
    first = bisect_right(chunks, figure.page - 1, key=lambda chunk: chunk.page_end)
    last = bisect_right(chunks, figure.page, key=lambda chunk: chunk.page_start)
    for line in filter(None, (figure.caption, figure.below, figure.above)):
        searched = 0
        for number in range(first, last):
            chunk = chunks[number]
            start, end = span_on_page(chunk, figure.page)
            searched += MIN_SEARCHED_CHARS + end - start
            if searched > MAX_SEARCHED_CHARS:
                break
            offset = find_line(chunk.text[start:end], line)
            if offset is not None:
                place = place_after(chunk, number, start + offset)
                # A chunk that begins with the line below the figure follows it.
                is_below = line != figure.above and not chunk.text[: start + offset].strip()
                return place._replace(number=number) if is_below else place
    if not last:
        return FigurePlace(0, 0, ())
    return place_after(chunks[last - 1], last - 1, span_on_page(chunks[last - 1], figure.page)[1])


def place_after(chunk: Chunk, number: int, offset: int) -> FigurePlace:
    """Return the place after a chunk, below the headings that apply at an offset in its text."""
    inside = bisect_right(chunk.section_offsets, offset)
    headings = (
        tuple(chunk.sections[inside - 1].split(HEADING_SEPARATOR)) if inside else chunk.headings
    )
    header = max(0, len(chunk.text) - (chunk.end - chunk.start))
    return FigurePlace(number + 1, chunk.start + max(0, offset - header), headings)


def span_on_page(chunk: Chunk, page: int) -> tuple[int, int]:
    """Return where the part of a chunk that is on a page begins and ends in its text."""
    offsets = chunk.page_offsets
    place = max(0, min(page - chunk.page_start, len(offsets) - 1))
    end = offsets[place + 1] if place + 1 < len(offsets) else len(chunk.text)
    return offsets[place], end
