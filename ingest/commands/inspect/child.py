"""Inspect a document in the sandbox: its text, cut into chunks, and images of its pages.

Reading and rendering are separate tasks, so that a page that cannot be rendered loses its image and
nothing else. The segments that are not dropped, joined over all pages, are the text that was split.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import BinaryIO

from ingest.chunk.chunks import PAGE_BREAK, choose_title, make_chunks
from ingest.commands.inspect.view import Box, ChunkView, DocumentView, PageImage, PageView, Segment
from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment
from ingest.extract.document import ExtractOptions, extract
from ingest.extract.engines.chain import EngineChain
from ingest.extract.figures.document import MAX_DESCRIBED_FIGURES
from ingest.extract.sandbox.answers import InvalidAnswerError
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Chunk, Code, Document, GreyImage, RunningLines
from ingest.pipeline.reader.page_images import encode_png
from ingest.pipeline.reader.prepare import Task, extract_options

IMAGE_HEIGHT_PIXELS = 900  # enough to read small type
MAX_IMAGE_BYTES = 90_000  # a larger image gets fewer shades
MAX_SHOWN_CHARS = 20_000  # of one page; a dense page has a quarter of that
NO_IMAGE_REASON = "only pypdf can read this page, and pypdf renders no images"


@dataclass(frozen=True, slots=True)
class InspectText:
    """Request to read and split a document, and to show some of its pages."""

    task: Task
    first_page: int  # counted from 1
    last_page: int  # inclusive


@dataclass(frozen=True, slots=True)
class InspectImage:
    """Request to render a page and to find texts on it."""

    page: int  # counted from 1
    texts: tuple[str, ...]
    extractor: str
    passwords: tuple[str, ...] = field(default=(), repr=False)
    attachment_path: tuple[str, ...] = ()


def inspect(
    request: InspectText | InspectImage, file: BinaryIO, on_page: OnPage
) -> DocumentView | PageImage:
    """Run one request. Raises DocumentError."""
    file.seek(0)
    data = file.read()
    if isinstance(request, InspectImage):
        on_page(request.page, request.page)
        options = ExtractOptions(extractor=request.extractor, passwords=request.passwords)
        data = unpack_attachment(data, options, request.attachment_path)
        return render_inspected_page(EngineChain(data, options), request)
    options = extract_options(request.task)
    data = unpack_attachment(data, options, request.task.attachment_path)
    return view_document(extract(data, options, on_page), request)


@dataclass(frozen=True, slots=True)
class InspectAnswer:
    """Answer to a request: the text of a document, or the image of a page."""

    view: DocumentView | None = None
    image: PageImage | None = None


def answer_request(
    request: InspectText | InspectImage, file: BinaryIO, on_page: OnPage
) -> InspectAnswer:
    """Run one request in a sandbox. Raises DocumentError."""
    found = inspect(request, file, on_page)
    return InspectAnswer(found) if isinstance(found, DocumentView) else InspectAnswer(image=found)


def accept_view(
    request: InspectText | InspectImage, answer: InspectAnswer
) -> DocumentView | PageImage:
    """Return an answer if it fits its request. Raises InvalidAnswerError otherwise."""
    view, image = answer.view, answer.image
    if isinstance(request, InspectImage):
        texts = range(len(request.texts))
        if image and all(box.segment in texts for box in image.boxes):
            return image
        raise InvalidAnswerError("it is not the image of a page with these texts")
    if not view or any(chunk.ordinal != n for n, chunk in enumerate(view.chunks)):
        raise InvalidAnswerError("it is not the text of a document with its chunks")
    drawn = view.drawn
    if (
        view.figures
        or len(drawn) > MAX_DESCRIBED_FIGURES
        or any(figure.page > view.page_count for figure in drawn)
    ):
        raise InvalidAnswerError("it shows figures that are not on its pages")
    ordinals = range(len(view.chunks))
    for page in view.pages:
        is_asked = request.first_page <= page.number <= request.last_page
        has_chunks = all(n in ordinals for segment in page.segments for n in segment.chunks)
        if not is_asked or not has_chunks or page.image:
            raise InvalidAnswerError("it shows what was not asked for")
    return view


def unpack_attachment(data: bytes, options: ExtractOptions, path: Sequence[str]) -> bytes:
    """Return the bytes of an attachment, given the names that lead to it, outermost first."""
    for name in path:
        data = extract_attachment(data, options, name)
    return data


def view_document(document: Document, request: InspectText) -> DocumentView:
    """Split a document and show the requested pages."""
    task = request.task
    text = PAGE_BREAK.join(document.pages)
    chunks = list(make_chunks(document, task.source, task.recipe))
    return DocumentView(
        title=choose_title(document, task.source.name),
        page_count=len(document.pages),
        pages=tuple(
            view_pages(document, text, chunks, range(request.first_page, request.last_page + 1))
        ),
        chunks=tuple(view_chunk(chunk, text) for chunk in chunks),
        ocr=document.details.ocr,
        running=document.details.running,
        drawn=document.figures,
    )


def view_chunk(chunk: Chunk, text: str) -> ChunkView:
    """Describe a chunk without repeating the text of its pages."""
    return ChunkView(
        id=chunk.id,
        ordinal=chunk.ordinal,
        tokens=chunk.tokens,
        page_start=chunk.page_start,
        page_end=chunk.page_end,
        headings=chunk.headings,
        table_header=chunk.text.removesuffix(text[chunk.start : chunk.end]),
    )


def view_pages(
    document: Document, text: str, chunks: Sequence[Chunk], page_range: range
) -> Iterator[PageView]:
    """Yield the pages of a range, as far as the document has them."""
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
                *split_segments(text, start, shown, chunks),
                *running_segments(running.footers),
            ),
            hidden_chars=end - shown,
            confidence=document.confidence.get(page),
            scanned=page in details.scanned,
            missing=page in details.missing,
            doubtful=page in details.doubtful,
            undecoded=page in details.undecoded,
            hidden=page in details.hidden,
        )


NO_RUNNING_LINES = RunningLines((), ())


def running_segments(lines: Sequence[str]) -> Iterator[Segment]:
    """Yield a dropped segment for each running header or footer."""
    return (Segment(line, dropped=True) for line in lines if line)


def split_segments(text: str, start: int, end: int, chunks: Sequence[Chunk]) -> Iterator[Segment]:
    """Split text[start:end] wherever a chunk begins or ends. `chunks` are in the text's order."""
    first = bisect_right(chunks, start, key=lambda chunk: chunk.end)
    last = bisect_left(chunks, end, key=lambda chunk: chunk.start)
    here = chunks[first:last]
    edges = {start, end, *(edge for chunk in here for edge in (chunk.start, chunk.end))}
    for left, right in pairwise(sorted(edge for edge in edges if start <= edge <= end)):
        ordinals = (chunk.ordinal for chunk in here if chunk.start <= left and right <= chunk.end)
        yield Segment(text[left:right], tuple(ordinals))


def render_inspected_page(engines: EngineChain, request: InspectImage) -> PageImage:
    """Render a page, with the fonts of this machine, and locate the texts on it.

    Raises DocumentError.
    """
    from ingest.extract.engines.pdfium_raw import use_installed_fonts

    use_installed_fonts(used=True)
    try:
        return render_opened_page(engines, request)
    finally:
        use_installed_fonts(used=False)


def render_opened_page(engines: EngineChain, request: InspectImage) -> PageImage:
    """Render a page and locate the texts on it. Raises DocumentError."""
    from ingest.extract.engines.pdfium import Pdfium
    from ingest.extract.engines.pdfium_positions import find_text_positions, render_at_height

    engine = engines.first()
    if not isinstance(engine, Pdfium):
        raise DocumentError(NO_IMAGE_REASON, Code.PAGES_MISSING)
    index = request.page - 1
    try:
        grey = render_at_height(engine, index, IMAGE_HEIGHT_PIXELS)
        positions = find_text_positions(engine, index, request.texts, grey.shape)
    except MemoryError:
        raise
    except Exception as error:
        reason = f"page {request.page} cannot be rendered ({error})"
        raise DocumentError(reason, Code.PAGES_MISSING) from error
    height, width = grey.shape
    boxes = tuple(Box(p.text, *(round(side, 1) for side in p[1:])) for p in positions)
    return PageImage(compress_image(grey), width, height, boxes)


def compress_image(grey: GreyImage) -> bytes:
    """Encode an image as PNG in 16 greys; in 4 if it would be over MAX_IMAGE_BYTES."""
    whole = encode_png(grey, 4)
    return whole if len(whole) <= MAX_IMAGE_BYTES else encode_png(grey, 2)
