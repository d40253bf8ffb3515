"""What the inspector of a source shows, and which sources get one. Pure.

What a document says, its names included, is a stranger's: all of it is text here, and is escaped
where it is shown.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from ingest.models import Code, Outcome, Record, StoredChunk

# Shown of sources that are named.
MAX_NAMED_SOURCES = 100
MAX_NAMED_PAGES = 200
# Where none is: as many as a report does not have to wait for.
MAX_DEFAULT_SOURCES = 16
MAX_DEFAULT_PAGES = 12
MAX_DEFAULT_WORK = 60.0  # all of it; to show a page is 1
READ_COST = 0.05  # to read one
MAX_GONE_CHUNKS = 20  # chunks that only the index has, and are shown
FATAL_CODES = (Code.TOO_SLOW, Code.CRASHED, Code.TOO_MUCH_MEMORY)
PAGE_SUFFIX = "#page="  # in a name: show the source from this page on


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a page's text that belongs to the same chunks throughout."""

    text: str
    chunks: tuple[int, ...] = ()  # their ordinals; several where the next repeats the one before
    dropped: bool = False  # a header or footer that no chunk has


@dataclass(frozen=True, slots=True)
class Box:
    """Where part of a segment stands on the picture of its page, in pixels from the top left."""

    segment: int  # its place on the page
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PageImage:
    """The picture of a page."""

    png: bytes
    width: int
    height: int
    boxes: tuple[Box, ...] = ()

    @property
    def url(self) -> str:
        """The picture itself, as the source of an image."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


@dataclass(frozen=True, slots=True)
class PageView:
    """One page as it was read."""

    number: int  # as a viewer counts
    label: str
    segments: tuple[Segment, ...]
    cut: int = 0  # characters at its end that are not shown
    confidence: float | None = None  # of recognised text, from 0 to 1
    scanned: bool = False
    missing: bool = False  # it could not be read
    doubtful: bool = False
    drawn: PageImage | None = None
    undrawn: str = ""  # why there is no picture


@dataclass(frozen=True, slots=True)
class ChunkView:
    """One chunk, but for its text, which the sheets have."""

    id: str
    ordinal: int
    tokens: int
    page_start: int
    page_end: int
    headings: tuple[str, ...]
    header: str = ""  # of the table that it goes on with, repeated above its text
    indexed: bool = True


@dataclass(frozen=True, slots=True)
class DocumentView:
    """What reading a document gave, as far as it is shown."""

    title: str
    pages: int
    sheets: tuple[PageView, ...]
    passages: tuple[ChunkView, ...]
    ocr: str = ""  # what recognised its scanned pages


@dataclass(frozen=True, slots=True)
class InspectedSource:
    """One source: what its file says now beside what the index has of it."""

    record: Record
    seen: DocumentView | None = None
    fault: str = ""  # why it was not read, or not drawn to the end
    remark: str = ""  # why file and index differ, where they do
    gone: tuple[StoredChunk, ...] = ()  # chunks that only the index has; the first of them
    lost: int = 0  # how many those are
    anchor: str = ""  # the id of its part of the page

    @property
    def fresh(self) -> int:
        """How many chunks the index does not have."""
        return sum(not passage.indexed for passage in self.seen.passages) if self.seen else 0

    @property
    def next(self) -> int:
        """The first page that is not shown; 0 if all are."""
        if not self.seen:
            return 0
        last = self.seen.sheets[-1].number if self.seen.sheets else 0
        return last + 1 if last < self.seen.pages else 0

    @property
    def more(self) -> str:
        """The command that shows the pages from there on; "" if there are none."""
        name = shlex.quote(f"{self.record.source}{PAGE_SUFFIX}{self.next}")
        return f"ingest report --inspect {name}" if self.next else ""

    @property
    def chunk(self) -> dict[int, ChunkView]:
        """The chunks that its pages name, by ordinal."""
        return {p.ordinal: p for p in self.seen.passages} if self.seen else {}


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """A source to show, and which of its pages."""

    record: Record
    pages: range  # as a viewer counts; it may be longer than the document is


def choose_sources(records: Sequence[Record], names: Sequence[str]) -> list[SourceChoice]:
    """The sources to show: those named, else those in trouble and then the longest.

    A name may be a glob, and end in "#page=N" to begin there. Without names, what would take long
    is left out.
    """
    found = []
    left: float = MAX_NAMED_PAGES if names else MAX_DEFAULT_WORK
    for record, first in match_sources(records, names):
        count = max(1, record.pages - first + 1)
        count = min(count, int(left) if names else MAX_DEFAULT_PAGES)
        work = count if names else count + READ_COST * record.pages
        if work <= left and (names or not is_slow(record)):
            left -= work
            found.append(SourceChoice(record, range(first, first + count)))
        if len(found) == (MAX_NAMED_SOURCES if names else MAX_DEFAULT_SOURCES):
            break
    return found


def is_slow(record: Record) -> bool:
    """Whether looking at a source takes a while: seconds for a page, or until its reader dies."""
    return record.details.ocr.startswith("local:") or record.code in FATAL_CODES


def match_sources(records: Sequence[Record], names: Sequence[str]) -> Iterator[tuple[Record, int]]:
    """The sources that are meant, each once, and the page to begin with."""
    if not names:
        yield from ((record, 1) for record in sorted(records, key=urgency_key))
        return
    found: dict[tuple[str, str], tuple[Record, int]] = {}
    for name in names:
        plain, first = split_page_suffix(name)
        for record in match_name(records, plain):
            found.setdefault((record.root, record.source), (record, first))
    yield from found.values()


def split_page_suffix(name: str) -> tuple[str, int]:
    """A name without its page, and the page."""
    plain, mark, page = name.rpartition(PAGE_SUFFIX)
    return (plain, max(1, int(page))) if mark and page.isdecimal() else (name, 1)


def match_name(records: Sequence[Record], name: str) -> Iterator[Record]:
    """The sources of this name, else those that it is a glob for."""
    exact = [record for record in records if record.source == name]
    yield from exact or (record for record in records if fnmatchcase(record.source, name))


def urgency_key(record: Record) -> tuple[bool, int, str]:
    """What sources are sorted by: in trouble, then the longest."""
    details = record.details
    trouble = (
        record.outcome in (Outcome.FAILED, Outcome.SKIPPED, Outcome.EMPTY)
        or bool(details.missing or details.doubtful)
        or (bool(details.scanned) and not details.ocr)
    )
    return not trouble, -record.pages, record.source


def compare_with_index(
    record: Record, view: DocumentView, recipe: str, stored: Callable[[], Iterator[StoredChunk]]
) -> InspectedSource:
    """A source as it was read, beside what the index has of it; `recipe` is the digest of today."""
    committed = set(record.committed)
    passages = tuple(replace(p, indexed=p.id in committed) for p in view.passages)
    lost = committed.difference(passage.id for passage in passages)
    view = replace(view, passages=passages)
    if not lost and all(passage.indexed for passage in passages):
        return InspectedSource(record, view)
    if record.fingerprint and not record.fingerprint.startswith(recipe):
        remark = "the index was filled with other settings, or by another version, than these"
    elif record.details.ocr and not view.ocr:
        remark = f"its scans were read by {record.details.ocr}, which is not to be had here"
    elif not record.fingerprint:
        remark = "a run is in it, or ended in it"
    else:
        remark = "the file, or what recognises its scans, has changed since it was indexed"
    gone = sorted((c for c in stored() if c.id in lost), key=lambda c: c.ordinal) if lost else []
    return InspectedSource(
        record, view, remark=remark, gone=tuple(gone[:MAX_GONE_CHUNKS]), lost=len(lost)
    )
