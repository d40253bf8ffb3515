"""What a child process shows of a document to people: its text cut as the index has it, its pages.

Reading and drawing are apart, so that a page that cannot be drawn costs its picture and no more.
Joined, the segments of all pages that are not dropped are the text that was split.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, BinaryIO

from ingest.chunk.chunks import PAGE_BREAK, choose_title, make_chunks
from ingest.commands.inspect.view import Box, ChunkView, DocumentView, PageImage, PageView, Segment
from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment
from ingest.extract.document import EngineChain, ExtractOptions, extract
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Chunk, Code, Document, RunningLines
from ingest.pipeline.reader.page_images import encode_png
from ingest.pipeline.reader.prepare import Task, extract_options

if TYPE_CHECKING:
    from ingest.models import GreyImage

IMAGE_HEIGHT_PIXELS = 900  # pixels of a picture: a page of small type can be read
MAX_IMAGE_BYTES = 90_000  # bytes of one: what is heavier has fewer shades
MAX_SHOWN_CHARS = 20_000  # of a page that are shown; a dense one has a quarter
NO_IMAGE_REASON = "pypdf draws no pages, and it alone reads this one"


@dataclass(frozen=True, slots=True)
class InspectText:
    """A document to read and split, and which of its pages to show."""

    task: Task
    first: int  # as a viewer counts
    last: int


@dataclass(frozen=True, slots=True)
class InspectImage:
    """A page to draw, and the texts to find on it."""

    page: int  # as a viewer counts
    texts: tuple[str, ...]
    extractor: str
    passwords: tuple[str, ...] = field(default=(), repr=False)
    within: tuple[str, ...] = ()


def inspect(
    request: InspectText | InspectImage, file: BinaryIO, on_page: OnPage
) -> DocumentView | PageImage:
    """What is wanted of a document. Raises DocumentError."""
    file.seek(0)
    data = file.read()
    if isinstance(request, InspectImage):
        on_page(request.page, request.page)
        allowed = ExtractOptions(extractor=request.extractor, passwords=request.passwords)
        return render_page(
            EngineChain(unpack_attachment(data, allowed, request.within), allowed), request
        )
    allowed = extract_options(request.task)
    return view_document(
        extract(unpack_attachment(data, allowed, request.task.attachment_path), allowed, on_page),
        request,
    )


def unpack_attachment(data: bytes, allowed: ExtractOptions, within: Sequence[str]) -> bytes:
    """The bytes of the PDF inside the source that is meant."""
    for name in within:
        data = extract_attachment(data, allowed, name)
    return data


def view_document(document: Document, request: InspectText) -> DocumentView:
    """The pages wanted, cut into chunks."""
    task = request.task
    text = PAGE_BREAK.join(document.pages)
    found = list(make_chunks(document, task.source, task.recipe))
    return DocumentView(
        title=choose_title(document, task.source.name),
        pages=len(document.pages),
        sheets=tuple(view_pages(document, text, found, range(request.first, request.last + 1))),
        passages=tuple(view_chunk(chunk, text) for chunk in found),
        ocr=document.details.ocr,
    )


def view_chunk(chunk: Chunk, text: str) -> ChunkView:
    """A chunk without the text that its pages have."""
    return ChunkView(
        id=chunk.id,
        ordinal=chunk.ordinal,
        tokens=chunk.tokens,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        headings=chunk.headings,
        header=chunk.text.removesuffix(text[chunk.start : chunk.end]),
    )


def view_pages(
    document: Document, text: str, document_chunks: Sequence[Chunk], page_range: range
) -> Iterator[PageView]:
    """The pages wanted, as far as there are such."""
    details = document.details
    starts = list(accumulate((len(p) + len(PAGE_BREAK) for p in document.pages), initial=0))
    for page in range(page_range.start, min(page_range.stop, len(document.pages) + 1)):
        start = starts[page - 1]
        end = start + len(document.pages[page - 1])
        shown = min(end, start + MAX_SHOWN_CHARS)
        running = document.running[page - 1] if document.running else NO_RUNNING_LINES
        yield PageView(
            number=page,
            label=document.labels[page - 1] if page <= len(document.labels) else "",
            segments=(
                *running_segments(running.headers),
                *split_segments(text, start, shown, document_chunks),
                *running_segments(running.footers),
            ),
            cut=end - shown,
            confidence=document.confidence.get(page),
            scanned=page in details.scanned,
            missing=page in details.missing,
            doubtful=page in details.doubtful,
        )


NO_RUNNING_LINES = RunningLines((), ())


def running_segments(lines: Sequence[str]) -> Iterator[Segment]:
    """Running lines, each as a segment."""
    return (Segment(line, dropped=True) for line in lines if line)


def split_segments(
    text: str, start: int, end: int, document_chunks: Sequence[Chunk]
) -> Iterator[Segment]:
    """A span of the text, parted wherever a chunk begins or ends; `found` are in its order."""
    first = bisect_right(document_chunks, start, key=lambda chunk: chunk.end)
    last = bisect_left(document_chunks, end, key=lambda chunk: chunk.start)
    here = document_chunks[first:last]
    edges = {start, end, *(edge for chunk in here for edge in (chunk.start, chunk.end))}
    for left, right in pairwise(sorted(edge for edge in edges if start <= edge <= end)):
        whose = (chunk.ordinal for chunk in here if chunk.start <= left and right <= chunk.end)
        yield Segment(text[left:right], tuple(whose))


def render_page(engines: EngineChain, request: InspectImage) -> PageImage:
    """A page, and where on it the texts stand. Raises DocumentError."""
    from ingest.extract.engines.pdfium import Pdfium
    from ingest.extract.engines.pdfium_positions import find_text_positions
    from ingest.extract.engines.pdfium_positions import render_at_height as picture_of

    engine = engines.first()
    if not isinstance(engine, Pdfium):
        raise DocumentError(NO_IMAGE_REASON, Code.PAGES_MISSING)
    index = request.page - 1
    try:
        grey = picture_of(engine, index, IMAGE_HEIGHT_PIXELS)
        places = find_text_positions(engine, index, request.texts, grey.shape)
    except MemoryError:
        raise
    except Exception as error:
        reason = f"page {request.page} cannot be drawn ({error})"
        raise DocumentError(reason, Code.PAGES_MISSING) from error
    height, width = grey.shape
    boxes = tuple(Box(spot.text, *(round(n, 1) for n in spot[1:])) for spot in places)
    return PageImage(compress_image(grey), width, height, boxes)


def compress_image(grey: GreyImage) -> bytes:
    """Encode a picture as PNG in 16 greys; in 4 if it would be over MAX_IMAGE_BYTES."""
    whole = encode_png(grey, 4)
    return whole if len(whole) <= MAX_IMAGE_BYTES else encode_png(grey, 2)
