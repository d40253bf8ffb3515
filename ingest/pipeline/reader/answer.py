"""Answers of the process that reads a document, and their conversion by the parent.

The document may have compromised that process. So an answer has limits, and holds only values that
the parent cannot compute: the parent computes ids, tokens, ordinals and page numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Annotated, TypeAlias, TypeVar

from msgspec import Meta

from ingest.chunk.chunks import PAGE_BREAK, chunk_id_factory, title_from_name
from ingest.chunk.offsets import page_offsets
from ingest.chunk.tokens import count_tokens
from ingest.extract.attachments import (
    MAX_ATTACHED_PDFS,
    MAX_ATTACHMENT_DEPTH,
    MAX_NAME_CHARS,
    sanitize_name,
)
from ingest.extract.figures.document import MAX_DESCRIBED_FIGURES, MAX_READ_FIGURES
from ingest.extract.limits import (
    MAX_DOCUMENT_CHARS,
    MAX_HEADING_CHARS,
    MAX_LABEL_CHARS,
    MAX_OUTLINE_LEVELS,
    MAX_PAGES,
)
from ingest.extract.sandbox.answers import InvalidAnswerError
from ingest.models import Chunk, Details, Document, Figure, PreparedDocument

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from ingest.pipeline.reader.prepare import Task

T = TypeVar("T")

MAX_CHUNKS = 1_000_000
MAX_CHARS_PER_TOKEN = 1000  # of a chunk; a token of spaces has a hundred
MAX_LINE_CHARS = 2000
MAX_FIGURES = 100_000
# Chunks that a character is in, on average: two or three with the most overlap. For each chunk, the
# parent lists the pages that it touches.
MAX_COVERAGE = 8
MAX_PAGE_POINTS = 1e9  # of a side, as a file may claim anything

# No control characters, which no text has after cleaning, except tabs and line breaks.
Text: TypeAlias = Annotated[str, Meta(pattern=r"\A[^\x00-\x08\x0b-\x1f\x7f-\x9f]*\Z")]
ONE_LINE = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"
Line: TypeAlias = Annotated[str, Meta(pattern=ONE_LINE, max_length=MAX_LINE_CHARS)]
Title: TypeAlias = Annotated[str, Meta(pattern=ONE_LINE, max_length=MAX_HEADING_CHARS)]
Label: TypeAlias = Annotated[str, Meta(pattern=ONE_LINE, max_length=MAX_LABEL_CHARS)]
Word: TypeAlias = Annotated[str, Meta(pattern=r"\A[\w.: +-]*\Z", max_length=MAX_LABEL_CHARS)]
FileName: TypeAlias = Annotated[str, Meta(pattern=ONE_LINE, max_length=MAX_NAME_CHARS)]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2 * MAX_DOCUMENT_CHARS)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Points: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_PAGE_POINTS)]
Page: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_PAGES)]
Pages: TypeAlias = Annotated[tuple[Page, ...], Meta(max_length=MAX_PAGES)]


@dataclass(frozen=True, slots=True)
class ChunkAnswer:
    """Chunk in an answer, with a part of the fields of Chunk."""

    text: Text
    start: Count
    end: Count
    labels: Annotated[tuple[Label, ...], Meta(max_length=MAX_PAGES)]
    headings: Annotated[tuple[Title, ...], Meta(max_length=MAX_OUTLINE_LEVELS)]
    confidence: Share | None
    plain: Text
    sentence_offsets: tuple[Count, ...]
    section_offsets: tuple[Count, ...]
    sections: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class DetailsAnswer:
    """Details in an answer, with a part of the fields of Details."""

    author: Line
    created: Word
    modified: Word
    language: Word
    producer: Line
    forbids: Annotated[tuple[Word, ...], Meta(max_length=10)]
    scanned: Pages
    missing: Pages
    undecoded: Pages
    doubtful: Pages
    hidden: Pages
    verified: Pages
    agreement: Annotated[tuple[Share, ...], Meta(max_length=MAX_PAGES)]
    ocr: Line
    attachments: Annotated[tuple[FileName, ...], Meta(max_length=MAX_ATTACHED_PDFS)]
    running: Count
    figures: Annotated[tuple[Page, ...], Meta(max_length=MAX_FIGURES)]


@dataclass(frozen=True, slots=True)
class FigureAnswer:
    """Figure in an answer, with a part of the fields of Figure."""

    page: Page
    box: tuple[Share, Share, Share, Share]
    caption: Text
    words: Text
    above: Text
    below: Text
    is_picture: bool
    has_text: bool
    content: Line
    size: tuple[Points, Points]
    heading: Title
    before: Line
    after: Line


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """Document in an answer, with its chunks in reading order."""

    fingerprint: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
    page_chars: Annotated[tuple[Count, ...], Meta(max_length=MAX_PAGES)]
    title: Line  # "" if it has no title of its own
    chunks: Annotated[tuple[ChunkAnswer, ...], Meta(max_length=MAX_CHUNKS)]
    details: DetailsAnswer
    figures: Annotated[tuple[FigureAnswer, ...], Meta(max_length=MAX_FIGURES)] = ()


def accept_document(task: Task, answer: DocumentAnswer | None) -> PreparedDocument | None:
    """Make a prepared document of an answer to a task.

    Raises InvalidAnswerError if no reader gives this answer.
    """
    if answer is None:
        require(task.known_fingerprint != "", "nothing has changed, which was not the question")
        return None
    require(
        answer.fingerprint.startswith(task.recipe.digest), "the fingerprint is of other settings"
    )
    total = sum(answer.page_chars)
    require(total <= 2 * MAX_DOCUMENT_CHARS, "the text is too long")
    starts = list(accumulate((n + len(PAGE_BREAK) for n in answer.page_chars), initial=0))
    begins = [0, *(chunk.start for chunk in answer.chunks)]
    require(begins == sorted(begins), "the chunks are out of order")
    for chunk in answer.chunks:
        check_chunk(chunk, starts[-1], task.recipe.chunk_tokens * MAX_CHARS_PER_TOKEN)
    covered = sum(chunk.end - chunk.start for chunk in answer.chunks)
    require(covered <= MAX_COVERAGE * starts[-1], "the chunks repeat their text too often")
    return PreparedDocument(
        fingerprint=answer.fingerprint,
        pages=len(answer.page_chars),
        empty_pages=answer.page_chars.count(0),
        title=answer.title or title_from_name(task.source.name),
        chunks=tuple(build_chunks(task, answer.chunks, starts[:-1])),
        details=accept_details(task, answer.details, len(answer.page_chars)),
        figures=accept_figures(task, answer.figures, len(answer.page_chars)),
    )


def check_chunk(chunk: ChunkAnswer, length: int, max_chars: int) -> None:
    """Raise InvalidAnswerError if a chunk is not part of a text of this length."""
    require(chunk.start < chunk.end <= length, "a chunk lies outside of the text")
    header = len(chunk.text) - (chunk.end - chunk.start)
    require(
        header >= 0 and len(chunk.text) <= max_chars, "a chunk has another length than its text"
    )
    require(
        len(chunk.plain) <= len(chunk.text), "a chunk without its marks is longer than with them"
    )
    for offsets in (chunk.sentence_offsets, chunk.section_offsets):
        is_sorted = all(a <= b for a, b in pairwise((0, *offsets, len(chunk.text))))
        require(is_sorted, "offsets are not inside a chunk")
    require(len(chunk.sections) == len(chunk.section_offsets), "a section has no offset")


def build_chunks(
    task: Task, answers: Sequence[ChunkAnswer], starts: Sequence[int]
) -> Iterator[Chunk]:
    """Make the chunks; `starts` has the offset of each page in the text."""
    identify = chunk_id_factory(task.source, task.recipe)
    tokens = count_tokens([answer.plain or answer.text for answer in answers])
    for ordinal, (answer, count) in enumerate(zip(answers, tokens, strict=True)):
        content = f"{answer.text}\0{answer.plain}" if answer.plain else answer.text
        header = len(answer.text) - (answer.end - answer.start)
        yield Chunk(
            id=identify(content),
            text=answer.text,
            tokens=count,
            ordinal=ordinal,
            start=answer.start,
            end=answer.end,
            page_start=bisect_right(starts, answer.start),
            page_end=bisect_right(starts, answer.end - 1),
            labels=answer.labels,
            headings=answer.headings,
            confidence=answer.confidence,
            plain=answer.plain,
            page_offsets=page_offsets(answer.start, answer.end, header, starts),
            sentence_offsets=answer.sentence_offsets,
            section_offsets=answer.section_offsets,
            sections=answer.sections,
        )


def accept_details(task: Task, answer: DetailsAnswer, pages: int) -> Details:
    """Make the details of a document. Raises InvalidAnswerError."""
    numbered = (answer.scanned, answer.missing, answer.undecoded, answer.doubtful)
    for numbers in (*numbered, answer.hidden, answer.verified):
        is_ascending = all(a < b for a, b in pairwise((0, *numbers, pages + 1)))
        require(is_ascending, "page numbers are not those of the document")
    require(all(page <= pages for page in answer.figures), "a figure is on no page")
    require(len(answer.verified) == len(answer.agreement), "a page that was compared has no result")
    require(answer.ocr in ("", task.ocr), "OCR was not asked for")
    names = answer.attachments
    require(len(set(names)) == len(names), "two PDFs inside it have one name")
    require(
        all(sanitize_name(name) == name for name in names), "the name of a PDF inside is unsafe"
    )
    is_deepest = len(task.attachment_path) >= MAX_ATTACHMENT_DEPTH
    require(not (names and is_deepest), "PDFs are nested too deep")
    return copy_fields(Details, answer, DetailsAnswer)


def accept_figures(task: Task, answers: Sequence[FigureAnswer], pages: int) -> tuple[Figure, ...]:
    """Make the figures of a document, each of which may be paid for. Raises InvalidAnswerError."""
    most = MAX_READ_FIGURES if task.figure_ocr else 0
    most = MAX_DESCRIBED_FIGURES if task.lists_figures else most
    require(len(answers) <= most, "it lists more figures than were asked for")
    require(all(answer.page <= pages for answer in answers), "a figure is on no page")
    return tuple(copy_fields(Figure, answer, FigureAnswer) for answer in answers)


def require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - it reads as a sentence
    """Raise InvalidAnswerError unless a condition holds."""
    if not condition:
        raise InvalidAnswerError(otherwise)


def answer_with(
    fingerprint: str, document: Document, title: str, chunks: Iterable[Chunk]
) -> DocumentAnswer:
    """Answer with a document and its chunks."""
    return DocumentAnswer(
        fingerprint,
        tuple(map(len, document.pages)),
        title,
        tuple(copy_fields(ChunkAnswer, chunk, ChunkAnswer) for chunk in chunks),
        copy_fields(DetailsAnswer, document.details, DetailsAnswer),
        tuple(copy_fields(FigureAnswer, figure, FigureAnswer) for figure in document.figures),
    )


def copy_fields(kind: Callable[..., T], value: object, answer: type[DataclassInstance]) -> T:
    """Make a dataclass of those fields of another one that the answer has."""
    return kind(**{f.name: getattr(value, f.name) for f in fields(answer)})
