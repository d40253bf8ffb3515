"""The values the pipeline passes around. Frozen, typed, and free of I/O.

The words are DESIGN.md's; a name here means exactly what it means there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

# Here, because `scripts/ingest` runs the package without installing it.
__version__ = "0.1.0"

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    # A page in grey, shape (height, width), 0 is black.
    GreyImage: TypeAlias = NDArray[np.uint8]

# One row per text, in the order of the texts: shape (len(texts), dimensions), float32.
Embed: TypeAlias = "Callable[[Sequence[str]], Vectors]"


class Outcome(StrEnum):
    """What became of one source in one run."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    EMPTY = "empty"
    SKIPPED = "skipped"
    FAILED = "failed"


class Code(StrEnum):
    """Why a source is not in the index, or not with all its pages. Names are for ever."""

    NO_TEXT = "no-text"
    ENCRYPTED = "encrypted"
    NOT_A_PDF = "not-a-pdf"
    TOO_LARGE = "too-large"
    CHANGED = "changed-while-reading"
    VANISHED = "vanished"
    ARCHIVED = "archived"
    IGNORED = "ignored"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    TOO_SLOW = "too-slow"
    TOO_MUCH_MEMORY = "too-much-memory"
    CRASHED = "crashed"
    REFUSED = "refused"
    PAGES_MISSING = "pages-missing"
    SCANNED = "scanned-pages"
    DOUBTFUL = "doubtful-text"

    @property
    def outcome(self) -> Outcome:
        """What becomes of a source that cannot be taken for this reason."""
        return Outcome.SKIPPED if self in SKIPPED_CODES else Outcome.FAILED


# Nothing is wrong with the reader or the file: it is not to be read, or not now.
SKIPPED_CODES = frozenset(
    {
        Code.NO_TEXT,  # where that can be known without reading: a form for one viewer alone
        Code.ENCRYPTED,
        Code.NOT_A_PDF,
        Code.TOO_LARGE,
        Code.CHANGED,
        Code.VANISHED,
        Code.ARCHIVED,
        Code.IGNORED,
    }
)


# Names of fields of the index and what a source says for them; None where it says nothing.
Values: TypeAlias = "tuple[tuple[str, str | None], ...]"


SourceKey: TypeAlias = tuple[str, str]  # the root and the name of a source: no two have the same


@dataclass(frozen=True, slots=True)
class Source:
    """One PDF that can be read, as its listing saw it."""

    root: str
    name: str  # relative to the root, "/" between folders; a file's in NFC
    location: str  # where it is: a path, or a URL
    size: int  # bytes
    modified: str  # opaque: equal means not modified since
    recent: bool = False  # modified so lately that another write could leave `modified` as it is
    unreadable: str = ""  # why its bytes cannot be had at present, whatever is known of them
    fields: Values = ()

    @property
    def key(self) -> SourceKey:
        return self.root, self.name


# Supported document formats, by the ending of a file's name in lower case. Each has an extractor in
# extract/document.py.
DOCUMENT_SUFFIXES = {".pdf": "pdf"}


def document_kind(name: str) -> str:
    """Return the format of a document by the ending of its name; "" if it is not supported."""
    name = name.lower()
    return next((kind for end, kind in DOCUMENT_SUFFIXES.items() if name.endswith(end)), "")


def is_document_name(name: str) -> bool:
    """Return whether a file's name has the ending of a supported format."""
    return document_kind(name) != ""


ATTACHMENT_SEPARATOR = "//"  # in the name of a source: what follows is a PDF inside what precedes


def parent_name(name: str) -> str:
    """The source in the root that a PDF is inside of; "" for one that is in the root itself."""
    outer, inside, _ = name.partition(ATTACHMENT_SEPARATOR)
    return outer if inside and is_document_name(outer) else ""


def hash_fields(fields: Values) -> str:
    """Twelve hex digits that tell the values of fields from others; "" where there is no value."""
    said = "\0".join(f"{name}={value}" for name, value in sorted(fields) if value)
    return hashlib.sha256(said.encode()).hexdigest()[:12] if said else ""


@dataclass(frozen=True, slots=True)
class ListingIssue:
    """Something in a root that is not read, and why."""

    root: str
    name: str
    reason: str
    harmless: bool = False  # nobody needs to act on it
    code: Code = Code.IGNORED
    hides: bool = False  # what lies below it is unknown, so the listing is not whole


# Fields of a recipe that came after the first six, each with the value under which documents are
# read as before there was a choice. Literals, not defaults: a changed default must be noticed.
UNCHANGED_AT: dict[str, object] = {}


@dataclass(frozen=True, slots=True)
class Unread:
    """A file in a root that is left alone: of another kind than PDF, or excluded."""

    root: str
    name: str
    excluded: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything but the bytes that shapes a chunk or its vector."""

    extractor: str
    chunk_tokens: int
    overlap: float  # share of a chunk that the next one repeats
    model: str
    dimensions: int
    schema: int = 3  # raised when cleaning, splitting or the fields of a chunk change

    @property
    def digest(self) -> str:
        """Twelve hex digits; equal exactly for equal recipes.

        A field that `UNCHANGED_AT` names is left out while it has the value given there, so that
        adding an option does not make every document of every existing index stale.
        """
        named = {f.name: getattr(self, f.name) for f in fields(self)}
        values = "\0".join(
            f"{name}={value}"
            for name, value in named.items()
            if name not in UNCHANGED_AT or value != UNCHANGED_AT[name]
        )
        return hashlib.sha256(values.encode()).hexdigest()[:12]

    @property
    def vector_space(self) -> str:
        """Equal exactly where the same text has the same vector."""
        return f"{self.model}\0{self.dimensions}"


@dataclass(frozen=True, slots=True)
class Heading:
    """One entry of a document's outline."""

    level: int  # 1 is the top
    title: str
    page: int  # as a viewer counts: the first is 1


@dataclass(frozen=True, slots=True)
class Details:
    """What is known of a document beside its text. Pages count from 1, as a viewer does."""

    author: str = ""
    created: str = ""  # UTC, ISO 8601; "" where the document says nothing that can be true
    modified: str = ""  # the same
    language: str = ""  # of most of its text, ISO 639-1; "" where that cannot be told
    producer: str = ""  # the program that made it
    forbids: tuple[str, ...] = ()  # what its permissions ask people not to do: "copy", "print"
    scanned: tuple[int, ...] = ()  # pages that are pictures, whatever has read them
    missing: tuple[int, ...] = ()  # pages that could not be read
    doubtful: tuple[int, ...] = ()  # pages whose text was recognised, but not with confidence
    ocr: str = ""  # what recognised the text of its scanned pages; "" for nothing
    attachments: tuple[str, ...] = ()  # names of the PDFs inside it
    since: str = ""  # the first run, by its id, that reported its present trouble; "" for none


@dataclass(frozen=True, slots=True)
class OcrResult:
    """What optical character recognition made of one page."""

    text: str
    confidence: float  # of its words, weighted by their length, from 0 to 1


@dataclass(frozen=True, slots=True)
class CachedPage:
    """What an index keeps of a page that a service was paid to recognise."""

    key: str  # what the page is, and what recognises it
    root: str  # of the source that it was last seen in, with which it is forgotten
    source: str
    operation: str  # under which the service keeps its answer for a day
    recognised: OcrResult | None = None  # None: the answer is not here yet


@dataclass(frozen=True, slots=True)
class RunningLines:
    """Headers and footers that one page is without, as earlier pages have them."""

    headers: tuple[str, ...]
    footers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """What extraction makes of a PDF: clean text, page by page, and its structure."""

    pages: tuple[str, ...]  # an empty string is a page without text
    title: str = ""
    headings: tuple[Heading, ...] = ()
    labels: tuple[str, ...] = ()  # what the pages call themselves; () where they do not
    confidence: dict[int, float] = field(default_factory=dict)  # of recognised pages, by number
    running: tuple[RunningLines, ...] = ()  # of each page; () where no page is without any
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of a document's text, small enough to embed."""

    id: str
    text: str  # of its pages from start to end, below the header of the table it goes on with
    tokens: int  # in what is embedded
    ordinal: int  # from 0, in reading order
    start: int  # offsets into the pages joined by a newline, in characters
    end: int
    page_start: int  # as a viewer counts; a chunk that crosses a page has page_end > page_start
    page_end: int
    label: str  # what the document calls page_start: "iv", "A-3"; "" where it does not say
    headings: tuple[str, ...]  # outermost first
    confidence: float | None = None  # the least of its recognised pages; None: none was
    plain: str = ""  # the text without the marks of its tables; "" where it has none

    @property
    def text_to_embed(self) -> str:
        """What its vector is made of."""
        return self.plain or self.text


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """One source read, extracted and split: all that is needed of it from here on."""

    fingerprint: str
    pages: int
    empty_pages: int
    title: str
    chunks: tuple[Chunk, ...]
    details: Details = field(default_factory=Details)
    attached: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Attachment:
    """A PDF inside another, a source of its own, and what reading it gave."""

    source: Source
    result: PreparedDocument | Exception  # a DocumentError


@dataclass(frozen=True, slots=True)
class Record:
    """What the index knows about one source."""

    root: str
    source: str
    fingerprint: str = ""  # of the bytes and recipe last looked at
    size: int = -1
    modified: str = ""  # "" where it cannot be trusted: the next run reads the bytes
    pages: int = 0
    empty_pages: int = 0
    tokens: int = 0  # in its chunks
    outcome: str = ""  # of the last run that settled it; "" before the first
    error: str = ""
    code: str = ""  # of the error, or of what is lacking
    attempts: int = 0  # failures in a row with this fingerprint
    committed: tuple[str, ...] = ()  # chunk ids acknowledged
    pending: tuple[str, ...] = ()  # chunk ids that may exist
    chunks: int = 0  # how many are committed; listed where the ids are not
    settled: str = ""  # when, UTC, ISO 8601
    run: str = ""
    details: Details = field(default_factory=Details)

    @property
    def key(self) -> SourceKey:
        return self.root, self.source


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """A chunk on its way into the index. Without a vector, the one there is kept."""

    source: Source
    url: str  # where a person opens the source
    fingerprint: str
    title: str
    chunk: Chunk
    vector: Vectors | None = field(default=None, compare=False)  # shape (dimensions,)
    details: Details = field(default_factory=Details)


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk as it stands in an index."""

    id: str
    root: str
    source: str
    fingerprint: str
    ordinal: int
    page_start: int
    page_end: int
    headings: tuple[str, ...]
    text: str  # "" where it was not asked for


class Mode(StrEnum):
    """How to search: by words, by meaning, or by both, fused by reciprocal rank."""

    HYBRID = "hybrid"
    VECTOR = "vector"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Refusal:
    """One chunk the index would not take, in the index's words."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One answer to a search: the chunk's fields as they stand in the index, best first."""

    score: float
    fields: dict[str, object]


@dataclass(frozen=True, slots=True)
class SourceResult:
    """One source is done with, for this run."""

    root: str
    source: str
    outcome: Outcome
    reason: str = ""
    code: str = ""  # of the reason; "" where there is nothing to say
    harmless: bool = True  # False: the document's owner has something to do
    pages: int = 0
    empty_pages: int = 0
    chunks: int = 0
    embedded: int = 0  # chunks that were new to the index, but for those reused
    deleted: int = 0  # chunks that are gone from it
    tokens: int = 0  # in the chunks that were embedded
    details: Details = field(default_factory=Details)
    reused: int = 0  # chunks whose vectors the index in use had


@dataclass(frozen=True, slots=True)
class Timeline:
    """What went on in each of the equal stretches of a run, from its start to its end."""

    every: float = 0.0  # seconds that a stretch takes
    pages: tuple[int, ...] = ()  # read
    tokens: tuple[int, ...] = ()  # of the chunks that were embedded and written
    charged: tuple[int, ...] = ()  # tokens that the quota was charged
    waited: tuple[float, ...] = ()  # seconds in which embedding waited for the quota
    refused: tuple[int, ...] = ()  # requests that were one too many for it
    quota: float = 0.0  # tokens a minute, as far as was known at the end; 0 where it was not


@dataclass(frozen=True, slots=True)
class Summary:
    """One run once it was over."""

    run: str
    ended: str  # when, UTC, ISO 8601
    seconds: float
    exit: int
    outcomes: dict[str, int]
    pages: int  # read
    chunks_embedded: int
    chunks_deleted: int
    tokens_embedded: int
    stages: dict[str, dict[str, float]]  # seconds of each stage and wait: "wall", "threads"
    bottleneck: str  # what held it up and what would help, in one line; "" for nothing
    chunks_reused: int = 0  # whose vectors came from the index in use
    timeline: Timeline = field(default_factory=Timeline)
    index: dict[str, int] = field(default_factory=dict)  # sources, chunks, size: held after it
    other_kinds: dict[str, int] = field(default_factory=dict)  # files not read, by extension
    exclude: tuple[str, ...] = ()  # the globs that left sources out
    excluded: int = 0  # sources those left out of the roots
    excluded_kept: int = 0  # sources they name that the index has, and keeps


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Work went on inside documents that are not settled yet."""

    pages: int = 0
    chunks: int = 0
    tokens: int = 0  # in those


@dataclass(frozen=True, slots=True)
class DeletionsWithheld:
    """A root's vanished sources are still in the index: removing them was not safe."""

    root: str
    sources: int
    reason: str
    harmless: bool  # False: more would go than the deletion limit allows


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What a run left alone in a root."""

    root: str
    kinds: dict[str, int]  # files of other kinds, by extension
    excluded: int = 0  # sources in the root that are excluded
    kept: int = 0  # excluded sources that the index has a record of
    unread: tuple[str, ...] = ()  # names of the first of those files
    kept_names: tuple[str, ...] = ()  # and of those sources


RunEvent: TypeAlias = SourceResult | RunProgress | DeletionsWithheld | LeftOut


# Names of version 0.1, for programs that use them.
Kept: TypeAlias = DeletionsWithheld
Oddity: TypeAlias = ListingIssue
Settled: TypeAlias = SourceResult
