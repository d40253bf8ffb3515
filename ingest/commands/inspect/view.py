"""Values that the inspector shows, and the choice of sources to inspect. Pure.

All text of a document, its name included, is untrusted: it is kept as plain text here, and the
template escapes it.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ingest.models import Code, Figure, Outcome, PageShares, Record, StoredChunk

# Limits for sources that are named.
MAX_NAMED_SOURCES = 100
MAX_NAMED_PAGES = 200
# Limits if none are named, so that the report is quick to write.
MAX_DEFAULT_SOURCES = 16
MAX_DEFAULT_PAGES = 12
MAX_DEFAULT_WORK = 60.0  # in units of showing one page
READ_COST = 0.05  # of reading one page, in those units
MAX_GONE_CHUNKS = 20  # shown of the chunks that only the index has
FATAL_CODES = (Code.TOO_SLOW, Code.CRASHED, Code.TOO_MUCH_MEMORY)
PAGE_SUFFIX = "#page="  # after a name: start at this page


@dataclass(frozen=True, slots=True)
class Segment:
    """Part of a page's text, all of which belongs to the same chunks."""

    text: str
    chunks: tuple[int, ...] = ()  # their ordinals; more than one where chunks overlap
    dropped: bool = False  # a header or footer, which is in no chunk


@dataclass(frozen=True, slots=True)
class Box:
    """Position of part of a segment on the image of its page, in pixels from the top left."""

    segment: int  # index into PageView.segments
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PageImage:
    """Image of a page, with the boxes of its segments."""

    png: bytes
    width: int
    height: int
    boxes: tuple[Box, ...] = ()

    @property
    def url(self) -> str:
        """Data URL of the image."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True, slots=True)
class PageView:
    """One page of a document, as it is read now."""

    number: int  # counted from 1
    label: str  # the number that the document gives it; "" for none
    segments: tuple[Segment, ...]
    hidden_chars: int = 0  # characters that are not shown, at the end
    confidence: float | None = None  # of recognised text, from 0 to 1
    scanned: bool = False
    missing: bool = False  # could not be read
    doubtful: bool = False  # its text is probably not what it shows
    undecoded: bool = False  # shows text that no engine decodes
    hidden: bool = False  # has text that a reader cannot see
    agreement: float | None = None  # of its lines with their images, from 0 to 1
    image: PageImage | None = None
    image_error: str = ""  # reason for a missing image


@dataclass(frozen=True, slots=True)
class ChunkView:
    """One chunk without its text, which the segments of the pages have."""

    id: str
    ordinal: int
    tokens: int
    page_start: int
    page_end: int
    headings: tuple[str, ...]
    table_header: str = ""  # repeated above its text if the chunk continues a table
    indexed: bool = True


@dataclass(frozen=True, slots=True)
class FigureView:
    """A figure, and the outcome of its description."""

    page: int  # counted from 1
    number: int  # among the figures of the document, from 0
    box: PageShares
    outcome: str
    reason: str = ""
    label: str = ""  # that its caption gives it; "" without one
    kind: str = ""
    model: str = ""  # that described it; "" if none did
    text: str = ""  # the description, which is generated
    chunks: tuple[str, ...] = ()  # ids of the chunks that have it
    indexed: bool = True


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document as it is read now: the pages to show, and all its chunks."""

    title: str
    page_count: int
    pages: tuple[PageView, ...]
    chunks: tuple[ChunkView, ...]
    ocr: str = ""  # name of the OCR engine that recognised its scanned pages
    running: int = 0  # number of running headers and footers left out of its text
    drawn: tuple[Figure, ...] = ()  # figures that a model may have described
    figures: tuple[FigureView, ...] = ()  # with what the index knows of them

    @property
    def chunk_count(self) -> int:
        """Number of all chunks, descriptions of figures included."""
        return len(self.chunks) + sum(len(figure.chunks) for figure in self.figures)


@dataclass(frozen=True, slots=True)
class InspectedSource:
    """One source: its file as it is now, compared with its chunks in the index."""

    record: Record
    view: DocumentView | None = None
    error: str = ""  # reason for a source that could not be read
    difference: str = ""  # why file and index differ; "" if they agree
    index_only: tuple[
        StoredChunk, ...
    ] = ()  # the first MAX_GONE_CHUNKS of those that only the index has
    index_only_count: int = 0  # number of all chunks that only the index has
    anchor: str = ""  # HTML id of its part of the report

    @property
    def unindexed_count(self) -> int:
        """Number of chunks that are not in the index."""
        if not self.view:
            return 0
        figures = sum(len(figure.chunks) for figure in self.view.figures if not figure.indexed)
        return figures + sum(not passage.indexed for passage in self.view.chunks)

    @property
    def next_page(self) -> int:
        """The first page after those shown; 0 if there is none."""
        if not self.view:
            return 0
        last = self.view.pages[-1].number if self.view.pages else 0
        return last + 1 if last < self.view.page_count else 0

    @property
    def next_command(self) -> str:
        """Command that shows the pages from `next_page` on; "" if there are none."""
        name = shlex.quote(f"{self.record.source}{PAGE_SUFFIX}{self.next_page}")
        return f"ingest report --inspect {name}" if self.next_page else ""

    @property
    def chunks_by_ordinal(self) -> dict[int, ChunkView]:
        """All chunks by ordinal, for the segments that name them."""
        return {p.ordinal: p for p in self.view.chunks} if self.view else {}


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """A source to show, and the range of its pages."""

    record: Record
    pages: range  # counted from 1; may go beyond the end of the document


def choose_sources(records: Sequence[Record], names: Sequence[str]) -> list[SourceChoice]:
    """Choose the sources to show: those named, else those with problems, then the longest.

    A name may be a glob, and may end in "#page=N" to start at that page. Without names, slow
    sources are left out.
    """
    choices = []
    left: float = MAX_NAMED_PAGES if names else MAX_DEFAULT_WORK
    for record, first in match_sources(records, names):
        count = max(1, record.pages - first + 1)
        count = min(count, int(left) if names else MAX_DEFAULT_PAGES)
        work = count if names else count + READ_COST * record.pages
        if work <= left and (names or not is_slow(record)):
            left -= work
            choices.append(SourceChoice(record, range(first, first + count)))
        if len(choices) == (MAX_NAMED_SOURCES if names else MAX_DEFAULT_SOURCES):
            break
    return choices


def is_slow(record: Record) -> bool:
    """Return True if a source is slow to show: local OCR, or a document that kills its process."""
    return record.details.ocr.startswith("local:") or record.code in FATAL_CODES


def match_sources(records: Sequence[Record], names: Sequence[str]) -> Iterator[tuple[Record, int]]:
    """Yield each matching source once, with its first page."""
    if not names:
        yield from ((record, 1) for record in sorted(records, key=urgency_key))
        return
    found: dict[tuple[str, str], tuple[Record, int]] = {}
    for name in names:
        source, first = split_page_suffix(name)
        for record in match_name(records, source):
            found.setdefault((record.root, record.source), (record, first))
    yield from found.values()


def split_page_suffix(name: str) -> tuple[str, int]:
    """Split "NAME#page=N" into NAME and N; N is 1 without a suffix."""
    source, suffix, page = name.rpartition(PAGE_SUFFIX)
    return (source, max(1, int(page))) if suffix and page.isdecimal() else (name, 1)


def match_name(records: Sequence[Record], name: str) -> Iterator[Record]:
    """Yield the sources of this name; if there are none, those that end in it or match its glob."""
    exact = [record for record in records if record.source == name]
    yield from exact or (
        record
        for record in records
        if record.source.endswith(f"/{name}") or fnmatchcase(record.source, name)
    )


def urgency_key(record: Record) -> tuple[bool, int, str]:
    """Sort key: sources with problems first, then the longest."""
    details = record.details
    has_problem = (
        record.outcome in (Outcome.FAILED, Outcome.SKIPPED, Outcome.EMPTY)
        or bool(details.needs_attention or details.doubtful or details.hidden)
        or (bool(details.scanned) and not details.ocr)
    )
    return not has_problem, -record.pages, record.source


def compare_with_index(
    record: Record, view: DocumentView, recipe: str, stored: Callable[[], Iterator[StoredChunk]]
) -> InspectedSource:
    """Compare a source with its chunks in the index.

    `recipe` is the digest of the current recipe; `stored` reads the source's chunks from the index.
    """
    committed = set(record.committed)
    chunks = tuple(replace(chunk, indexed=chunk.id in committed) for chunk in view.chunks)
    figures = tuple(
        replace(figure, indexed=committed.issuperset(figure.chunks)) for figure in view.figures
    )
    described = (id_ for figure in figures for id_ in figure.chunks)
    missing = committed.difference((chunk.id for chunk in chunks), described)
    view = replace(view, chunks=chunks, figures=figures)
    if not missing and all(c.indexed for c in chunks) and all(f.indexed for f in figures):
        return InspectedSource(record, view)
    if record.fingerprint and not record.fingerprint.startswith(recipe):
        reason = "the index was filled with other settings, or by another version of ingest"
    elif record.details.ocr and not view.ocr:
        reason = f"its scans were read by {record.details.ocr}, which is not available here"
    elif not record.fingerprint:
        reason = "a run is processing it, or was interrupted while it did"
    else:
        reason = "the file, or the OCR result of its scans, has changed since it was indexed"
    gone = [chunk for chunk in stored() if chunk.id in missing] if missing else []
    gone.sort(key=lambda chunk: chunk.ordinal)
    return InspectedSource(
        record,
        view,
        difference=reason,
        index_only=tuple(gone[:MAX_GONE_CHUNKS]),
        index_only_count=len(missing),
    )
