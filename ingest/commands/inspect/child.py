"""What a child process shows of a document to people: its text cut as the index has it, its pages.

Reading and drawing are apart, so that a page that cannot be drawn costs its picture and no more.
Joined, the segments of all pages that are not dropped are the text that was split.
"""

from __future__ import annotations

import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ingest.chunk.chunks import PAGE_BREAK, chunks, titled
from ingest.commands.inspect.view import Box, Drawn, Passage, Seen, Segment, Sheet
from ingest.errors import DocumentError
from ingest.extract.attachments import embedded
from ingest.extract.document import Engines, Means, extract
from ingest.extract.sandbox.pool import Beat
from ingest.models import Chunk, Code, Document, Running
from ingest.pipeline.reader.page_images import assembled
from ingest.pipeline.reader.prepare import Task, means

if TYPE_CHECKING:
    from ingest.models import Picture

HEIGHT = 900  # pixels of a picture: a page of small type can be read
LIGHT = 90_000  # bytes of one: what is heavier has fewer shades
CHARACTERS = 20_000  # of a page that are shown; a dense one has a quarter
NO_PICTURE = "pypdf draws no pages, and it alone reads this one"


@dataclass(frozen=True, slots=True)
class Reading:
    """A document to read and split, and which of its pages to show."""

    task: Task
    first: int  # as a viewer counts
    last: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """A page to draw, and the texts to find on it."""

    page: int  # as a viewer counts
    texts: tuple[str, ...]
    extractor: str
    passwords: tuple[str, ...] = field(default=(), repr=False)
    within: tuple[str, ...] = ()


def inspect(wanted: Reading | Drawing, file: BinaryIO, beat: Beat) -> Seen | Drawn:
    """What is wanted of a document. Raises DocumentError."""
    file.seek(0)
    data = file.read()
    if isinstance(wanted, Drawing):
        beat(wanted.page, wanted.page)
        allowed = Means(extractor=wanted.extractor, passwords=wanted.passwords)
        return drawn(Engines(unpacked(data, allowed, wanted.within), allowed), wanted)
    allowed = means(wanted.task)
    return seen(extract(unpacked(data, allowed, wanted.task.within), allowed, beat), wanted)


def unpacked(data: bytes, allowed: Means, within: Sequence[str]) -> bytes:
    """The bytes of the PDF inside the source that is meant."""
    for name in within:
        data = embedded(data, allowed, name)
    return data


def seen(document: Document, wanted: Reading) -> Seen:
    """The pages wanted, cut into chunks."""
    task = wanted.task
    text = PAGE_BREAK.join(document.pages)
    found = list(chunks(document, task.source, task.recipe))
    return Seen(
        title=titled(document, task.source.name),
        pages=len(document.pages),
        sheets=tuple(sheets(document, text, found, range(wanted.first, wanted.last + 1))),
        passages=tuple(passage(chunk, text) for chunk in found),
        ocr=document.details.ocr,
    )


def passage(chunk: Chunk, text: str) -> Passage:
    """A chunk without the text that its pages have."""
    return Passage(
        id=chunk.id,
        ordinal=chunk.ordinal,
        tokens=chunk.tokens,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        headings=chunk.headings,
        header=chunk.text.removesuffix(text[chunk.start : chunk.end]),
    )


def sheets(document: Document, text: str, found: Sequence[Chunk], wanted: range) -> Iterator[Sheet]:
    """The pages wanted, as far as there are such."""
    details = document.details
    starts = list(accumulate((len(p) + len(PAGE_BREAK) for p in document.pages), initial=0))
    for page in range(wanted.start, min(wanted.stop, len(document.pages) + 1)):
        start = starts[page - 1]
        end = start + len(document.pages[page - 1])
        shown = min(end, start + CHARACTERS)
        running = document.running[page - 1] if document.running else NONE
        yield Sheet(
            number=page,
            label=document.labels[page - 1] if page <= len(document.labels) else "",
            segments=(
                *dropped(running.above),
                *segments(text, start, shown, found),
                *dropped(running.below),
            ),
            cut=end - shown,
            confidence=document.confidence.get(page),
            scanned=page in details.scanned,
            missing=page in details.missing,
            doubtful=page in details.doubtful,
        )


NONE = Running((), ())


def dropped(lines: Sequence[str]) -> Iterator[Segment]:
    """Running lines, each as a segment."""
    return (Segment(line, dropped=True) for line in lines if line)


def segments(text: str, start: int, end: int, found: Sequence[Chunk]) -> Iterator[Segment]:
    """A span of the text, parted wherever a chunk begins or ends; `found` are in its order."""
    first = bisect_right(found, start, key=lambda chunk: chunk.end)
    last = bisect_left(found, end, key=lambda chunk: chunk.start)
    here = found[first:last]
    edges = {start, end, *(edge for chunk in here for edge in (chunk.start, chunk.end))}
    for left, right in pairwise(sorted(edge for edge in edges if start <= edge <= end)):
        whose = (chunk.ordinal for chunk in here if chunk.start <= left and right <= chunk.end)
        yield Segment(text[left:right], tuple(whose))


def drawn(engines: Engines, wanted: Drawing) -> Drawn:
    """A page, and where on it the texts stand. Raises DocumentError."""
    from ingest.extract.engines.pdfium import Pdfium
    from ingest.extract.engines.pdfium_positions import drawn as picture_of
    from ingest.extract.engines.pdfium_positions import spots

    engine = engines.first()
    if not isinstance(engine, Pdfium):
        raise DocumentError(NO_PICTURE, Code.PAGES_MISSING)
    index = wanted.page - 1
    try:
        grey = picture_of(engine, index, HEIGHT)
        places = spots(engine, index, wanted.texts, grey.shape)
    except MemoryError:
        raise
    except Exception as error:
        reason = f"page {wanted.page} cannot be drawn ({error})"
        raise DocumentError(reason, Code.PAGES_MISSING) from error
    height, width = grey.shape
    boxes = tuple(Box(spot.text, *(round(n, 1) for n in spot[1:])) for spot in places)
    return Drawn(light(grey), width, height, boxes)


def light(grey: Picture) -> bytes:
    """A picture as a file: PNG in sixteen shades, or in four where that is heavy."""
    whole = shaded(grey, 4)
    return whole if len(whole) <= LIGHT else shaded(grey, 2)


def shaded(grey: Picture, bits: int) -> bytes:
    """A picture as PNG with so many bits for a pixel, of those that divide eight."""
    height, width = grey.shape
    most, each = (1 << bits) - 1, 8 // bits
    shades = ((grey.astype(np.uint16) * most + 127) // 255).astype(np.uint8)
    shades = np.pad(shades, [(0, 0), (0, -width % each)])
    rows = np.zeros((height, 1 + shades.shape[1] // each), np.uint8)  # each as it is: filter 0
    for place in range(each):
        rows[:, 1:] |= shades[:, place::each] << (8 - bits * (place + 1))
    return assembled(width, height, bits, zlib.compress(rows.tobytes()))
