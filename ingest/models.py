"""Values that pass between the stages of the pipeline: frozen, typed and free of I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

# Here, because `scripts/ingest` runs the package without installing it.
__version__ = "0.1.0"

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    # A page in greyscale, shape (height, width); 0 is black.
    GreyImage: TypeAlias = NDArray[np.uint8]
    # A part of a page in colour, shape (height, width, 3): red, green, blue.
    ColourImage: TypeAlias = NDArray[np.uint8]

# Texts to vectors: shape (len(texts), dimensions), float32, one row per text in their order.
Embed: TypeAlias = "Callable[[Sequence[str]], Vectors]"


class Outcome(StrEnum):
    """Outcome of one source in one run."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    EMPTY = "empty"
    SKIPPED = "skipped"
    FAILED = "failed"


class Code(StrEnum):
    """Reason why a source is missing from the index, or is incomplete. Values never change."""

    NO_TEXT = "no-text"
    ENCRYPTED = "encrypted"
    NOT_A_PDF = "not-a-pdf"
    TOO_LARGE = "too-large"
    CHANGED = "changed-while-reading"
    VANISHED = "vanished"
    ARCHIVED = "archived"
    IGNORED = "ignored"
    PERMISSIONS_UNKNOWN = "permissions-unknown"
    UNREADABLE = "unreadable"
    DAMAGED = "damaged"
    TOO_SLOW = "too-slow"
    TOO_MUCH_MEMORY = "too-much-memory"
    CRASHED = "crashed"
    REFUSED = "refused"
    PAGES_MISSING = "pages-missing"
    UNDECODED = "undecoded-text"
    HIDDEN_TEXT = "hidden-text"
    SCANNED = "scanned-pages"
    DOUBTFUL = "doubtful-text"
    FIGURES = "figures-undescribed"

    @property
    def outcome(self) -> Outcome:
        """Outcome of a source that cannot be read for this reason: skipped or failed."""
        return Outcome.SKIPPED if self in SKIPPED_CODES else Outcome.FAILED


# Neither the file nor its extraction failed: it should not be read, or not now.
SKIPPED_CODES = frozenset(
    {
        Code.NO_TEXT,  # known without reading: an XFA form, which only one viewer can show
        Code.ENCRYPTED,
        Code.NOT_A_PDF,
        Code.TOO_LARGE,
        Code.CHANGED,
        Code.VANISHED,
        Code.ARCHIVED,
        Code.IGNORED,
        Code.PERMISSIONS_UNKNOWN,
    }
)


# Names of custom index fields, and the source's values: a text, or several; None for no value.
Values: TypeAlias = "tuple[tuple[str, str | tuple[str, ...] | None], ...]"

OIDS, GROUPS = "oids", "groups"  # names of the values for permissions
EVERYBODY, NOBODY = "all", "none"  # in place of ids, as Azure AI Search has them


@dataclass(frozen=True, slots=True)
class Permissions:
    """Object ids of the users and groups that may read a document, or those of a person."""

    oids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    def to_values(self, names: Sequence[str] = (OIDS, GROUPS)) -> Values:
        """Return the values of a source; never empty lists only, which may mean no limit."""
        lists = {OIDS: self.oids, GROUPS: self.groups}
        values = [(name, tuple(sorted(set(lists[name])))) for name in names]
        if not any(ids for _, ids in values):
            values[0] = (names[0], (NOBODY,))
        return tuple(values)

    def admits(self, person: Permissions) -> bool:
        """Return whether a person may read a document with these permissions."""
        return not {*person.oids, EVERYBODY}.isdisjoint(self.oids) or not {
            *person.groups,
            EVERYBODY,
        }.isdisjoint(self.groups)


# A filter lists ids with commas between them.
ID_PATTERN = re.compile(r"[^\s,'\"\[\]]{1,256}")


def parse_ids(ids: Collection[str], *, reserved: bool = True) -> tuple[str, ...]:
    """Check object ids, with or without the reserved words. Raises ValueError."""
    for item in ids:
        if not isinstance(item, str) or not ID_PATTERN.fullmatch(item):
            raise ValueError(f"{item!r} is not an object id: no spaces, commas, quotes or brackets")
        if not reserved and item in (EVERYBODY, NOBODY):
            raise ValueError(f"{item} is not an object id")
    return tuple(ids)


SourceKey: TypeAlias = tuple[str, str]  # root and name of a source; unique in an index


@dataclass(frozen=True, slots=True)
class Source:
    """One PDF in a root, as listed."""

    root: str
    name: str  # relative to the root, "/" between folders; of files in Unicode NFC
    location: str  # path or URL
    size: int  # bytes
    modified: str  # opaque version; equal means unmodified
    recent: bool = False  # modified so recently that another write might not change `modified`
    unreadable: str = ""  # why its bytes cannot be read at present; "" if they can
    fields: Values = ()  # values of custom index fields
    root_key: str = ""  # of the root, in the ids of its chunks; "" if it is the name
    permissions_unknown: str = ""  # why its permissions are unknown; "" if they are not

    @property
    def key(self) -> SourceKey:
        return self.root, self.name

    @property
    def permissions(self) -> Permissions | None:
        """Permissions; None if they are not limited, or unknown."""
        lists = {n: v for n, v in self.fields if n in (OIDS, GROUPS) and isinstance(v, tuple)}
        return Permissions(lists.get(OIDS, ()), lists.get(GROUPS, ())) if lists else None


@dataclass(frozen=True, slots=True)
class KnownRoot:
    """A root as its index knows it."""

    name: str  # in records and chunks
    key: str  # in the ids of its chunks, fixed at first sight
    place: str = ""  # hash of the folder, on its machine, or URL that it was last read from
    ancestors: tuple[str, ...] = ()  # hashes of the folders that this one lies in
    location: str = ""  # the path or URL; "" for a folder in an index that others share
    is_named: bool = False  # a person gave it its name
    renamed_from: str = ""  # name that some records and chunks may still have
    begun: tuple[str, ...] = ()  # ids of the runs since the last good one that have not ended
    last_good: str = ""  # when a run last ended with 0 or 3, UTC, ISO 8601; "" if not recorded


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


def strip_document_suffix(name: str) -> str:
    """Return a name without the ending of a supported format."""
    return next((name.removesuffix(end) for end in DOCUMENT_SUFFIXES if name.endswith(end)), name)


ATTACHMENT_SEPARATOR = "//"  # in a source's name, between a PDF and the PDF attached to it


def parent_name(name: str) -> str:
    """Name of the source that a PDF is attached to; "" for one that is a file of its own."""
    outer, inside, _ = name.partition(ATTACHMENT_SEPARATOR)
    return outer if inside and is_document_name(outer) else ""


def hash_text(text: str, vector_space: str) -> str:
    """Hash a text to embed and the vectors it is embedded in; equal if the vectors are."""
    return hashlib.sha256(f"{vector_space}\0{text}".encode(errors="surrogatepass")).hexdigest()[:40]


def hash_fields(fields: Values) -> str:
    """Hash the values of custom fields to twelve hex digits; "" if there are no values."""
    texts = (
        (n, value if isinstance(value, str) else "\n".join(value or ())) for n, value in fields
    )
    text = "\0".join(f"{name}={value}" for name, value in sorted(texts) if value)
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else ""


@dataclass(frozen=True, slots=True)
class ListingIssue:
    """Something in a root that is not read, and the reason."""

    root: str
    name: str
    reason: str
    harmless: bool = False  # needs no action
    code: Code = Code.IGNORED
    hides: bool = False  # its content is unknown, so the listing is incomplete
    same_as: str = ""  # the name that it has in Unicode NFC, if another file is listed under that


@dataclass(frozen=True, slots=True)
class Unread:
    """A file in a root that is left out: excluded, or not a PDF."""

    root: str
    name: str
    excluded: bool = False


# Later fields of Recipe, each with the value that reads documents as before the field was added.
# Literals, not defaults: a changed default must change the digest.
UNCHANGED_AT: dict[str, object] = {"figures": ""}


DESCRIBES = "describe "  # in a recipe's `figures`, before the model that describes them
IMAGES_IN = ", images in "  # there too, before the place that keeps their images


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything besides a document's bytes that determines its chunks and vectors.

    A field with the name of a setting has its value, in the sandbox too, as `task.recipe`.
    """

    extractor: str
    chunk_tokens: int
    overlap: float  # share of a chunk that the next one repeats
    model: str
    dimensions: int
    schema: int = 4  # incremented when cleaning, splitting or the fields of a chunk change
    figures: str = ""  # what is read in figures, and by which engine or model; "" for nothing

    @property
    def digest(self) -> str:
        """Hash of the recipe, twelve hex digits.

        A field in `UNCHANGED_AT` is left out while it has the value given there, so that adding an
        option does not make every document of every existing index stale.
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
        """Identifier of the vectors: equal if equal texts have equal vectors."""
        return f"{self.model}\0{self.dimensions}"


@dataclass(frozen=True, slots=True)
class Heading:
    """One entry of a document's outline."""

    level: int  # 1 is the top
    title: str
    page: int  # as a viewer counts: the first is 1


@dataclass(frozen=True, slots=True)
class Details:
    """Metadata of a document. Pages are numbered from 1, as in a viewer."""

    author: str = ""
    created: str = ""  # UTC, ISO 8601; "" if unknown or impossible
    modified: str = ""  # UTC, ISO 8601; "" if unknown or impossible
    language: str = ""  # of most of its text, ISO 639-1; "" if unknown
    producer: str = ""  # the program that wrote it
    forbids: tuple[str, ...] = ()  # actions that its permissions forbid: "copy", "print"
    scanned: tuple[int, ...] = ()  # pages that OCR reads: images, and text that is not decoded
    missing: tuple[int, ...] = ()  # pages that could not be read
    undecoded: tuple[int, ...] = ()  # pages that show text which no engine decodes
    doubtful: tuple[int, ...] = ()  # pages whose text is probably not what they show
    hidden: tuple[int, ...] = ()  # pages with text that a reader cannot see
    verified: tuple[int, ...] = ()  # pages with lines that were compared with their images
    agreement: tuple[float, ...] = ()  # of each of those, from 0 to 1
    ocr: str = ""  # the OCR engine that read its scanned pages; "" for none
    attachments: tuple[str, ...] = ()  # names of the PDFs attached to it
    since: str = ""  # id of the first run that reported its current problem; "" for none
    running: int = 0  # number of running headers and footers left out of its text
    figures: tuple[int, ...] = ()  # the page of each figure whose own words are in the text
    images: tuple[str, ...] = ()  # names of the stored images of its figures
    # number of figures by outcome
    figure_outcomes: dict[str, int] = field(default_factory=dict, hash=False)

    @property
    def needs_attention(self) -> bool:
        """Return whether some pages could not be read, or not decoded, or figures described."""
        return bool(self.missing or self.undecoded or self.undescribed)

    @property
    def undescribed(self) -> int:
        """The number of figures that a model has yet to describe."""
        return self.figure_outcomes.get(FigureOutcome.FAILED, 0)

    def count_unread_scans(self) -> int:
        """Count the pages that are images without text, and were not recognised."""
        with_text = (*self.undecoded, *self.doubtful)
        return 0 if self.ocr else len({*self.scanned}.difference(with_text))


# Edges of a figure as shares of the page that viewers show: left, top, right, bottom.
PageShares: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture or a drawing on a page, and the words that the document has for it."""

    page: int  # from 1, as in a viewer
    box: PageShares
    caption: str = ""  # its first line, as drawn
    words: str = ""  # its alternative text, and the text drawn inside of it
    above: str = ""  # the next line of the page above it and its caption; "" if there is none
    below: str = ""  # the next line below them
    identity: str = ""  # equal where the same thing is shown, whatever the page
    is_picture: bool = True  # False: drawn by paths
    has_text: bool = False  # the page has text where it is
    content: str = ""  # hash of the objects that draw it, by no renderer; "" if unknown
    size: tuple[float, float] = (0.0, 0.0)  # width and height in points
    heading: str = ""  # above it in the text, as the document's outline has it
    before: str = ""  # the paragraph above it and its caption
    after: str = ""  # the paragraph below them


class FigureKind(StrEnum):
    """Kind of a figure, as a model that describes it sees it."""

    CHART = "chart"
    DIAGRAM = "diagram"
    MAP = "map"
    PHOTOGRAPH = "photograph"
    SCREENSHOT = "screenshot"
    TABLE = "table"
    DECORATION = "decoration"


class FigureOutcome(StrEnum):
    """Outcome of the description of one figure."""

    DESCRIBED = "described"
    DECORATION = "decoration"  # remembered, and not indexed
    REFUSED = "refused"  # by a content filter
    CUT_OFF = "cut-off"  # the answer was too long, twice
    FAILED = "failed"  # the next run tries it again


@dataclass(frozen=True, slots=True)
class FigureDescription:
    """Description of a figure by a model. Its texts are foreign, like those of the document."""

    kind: FigureKind
    title: str  # one line
    summary: str  # 150 words at most
    words: str  # the text in it
    axes: tuple[str, ...]  # of a chart, each with its unit
    rows: tuple[tuple[str, ...], ...]  # the values that can be read, with a header first
    model: str  # that wrote it


@dataclass(frozen=True, slots=True)
class DescribedFigure:
    """A figure, and the outcome of its description."""

    figure: Figure
    number: int  # among the figures of its document, from 0
    outcome: FigureOutcome
    description: FigureDescription | None = None  # None unless the outcome is DESCRIBED
    reason: str = ""  # for people; "" where there is nothing to report
    image: str = ""  # name of its stored image; "" if images are not kept


@dataclass(frozen=True, slots=True)
class ChunkFigure:
    """The figure that a chunk describes; the chunk's text is generated."""

    kind: FigureKind
    box: PageShares
    model: str
    image: str = ""  # name of its stored image; "" if images are not kept
    label: str = ""  # that its caption gives it: "Figure 3"; "" without one


@dataclass(frozen=True, slots=True)
class OcrFigure:
    """Figure that an OCR service has found on a page."""

    box: PageShares
    caption: str  # "" without one
    pixels: tuple[float, float]  # width and height on the image of the page


@dataclass(frozen=True, slots=True)
class OcrResult:
    """OCR result of one page."""

    text: str
    confidence: float  # of its words, weighted by their length, 0 to 1
    figures: tuple[OcrFigure, ...] = ()  # if the service finds any


@dataclass(frozen=True, slots=True)
class CachedPage:
    """Paid result of one page or figure, by OCR or a model, cached in the index."""

    key: str  # hash of what was sent, and of the engine or model
    root: str  # of the source it was last seen in; removed from the cache with that source
    source: str
    # id under which OCR keeps its result for a day; of a figure, the number of failed attempts
    operation: str
    recognised: OcrResult | None = None  # None: the result has not been fetched yet
    others: tuple[SourceKey, ...] = ()  # sources it was seen in before; one of them may inherit it
    # SHA-256 of what its text is of, computed by the parent process; "" in entries of old versions:
    file: str = ""  # the file that it was last seen in
    picture: str = ""  # the image that was sent


@dataclass(frozen=True, slots=True)
class RunningLines:
    """Headers and footers removed from one page, because they repeat on other pages."""

    headers: tuple[str, ...]
    footers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """Extracted document: clean text by page, and its structure."""

    pages: tuple[str, ...]  # "" for a page without text
    title: str = ""
    headings: tuple[Heading, ...] = ()
    labels: tuple[str, ...] = ()  # the document's own page labels, such as "iv"; () for none
    confidence: dict[int, float] = field(default_factory=dict)  # of OCR, by page number
    running: tuple[RunningLines, ...] = ()  # one per page; () if none were removed
    details: Details = field(default_factory=Details)
    figures: tuple[Figure, ...] = ()  # those for OCR, or for a model that describes them


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive text of a document, small enough to embed."""

    id: str
    text: str  # from start to end; if it continues a table, the table's header comes first
    tokens: int  # in the text to embed
    ordinal: int  # from 0, in reading order
    start: int  # character offsets into the pages joined by newlines
    end: int
    page_start: int  # from 1, as in a viewer
    page_end: int  # greater than page_start if the chunk crosses pages
    labels: tuple[str, ...]  # the document's own, of each page: "iv", "A-3"; () for none
    headings: tuple[str, ...]  # outermost first
    confidence: float | None = None  # of OCR, the lowest of its pages; None without OCR
    plain: str = ""  # the text without table markup and marks; "" if it has neither
    page_offsets: tuple[int, ...] = (0,)  # in the text, of each page; the first is page_start
    sentence_offsets: tuple[int, ...] = (0,)  # in the text, of each sentence or table row
    section_offsets: tuple[int, ...] = ()  # in the text, of each of `sections`
    sections: tuple[str, ...] = ()  # headings that begin inside the text, with those above them
    figure: ChunkFigure | None = None  # None: the text is the document's own

    @property
    def text_to_embed(self) -> str:
        """Text that its vector represents."""
        return self.plain or self.text

    @property
    def main_page(self) -> int:
        """Page that carries most of the text, without a repeated header; the first of equal ones.

        White space does not count.
        """
        header = max(0, len(self.text) - (self.end - self.start))
        edges = (header, *self.page_offsets[1:], len(self.text))
        sizes = [len("".join(self.text[a:b].split())) for a, b in pairwise(edges)]
        return self.page_start + sizes.index(max(sizes))


@dataclass(frozen=True, slots=True)
class PreparedDocument:
    """One source after reading, extraction and splitting."""

    fingerprint: str
    pages: int
    empty_pages: int
    title: str
    chunks: tuple[Chunk, ...]
    details: Details = field(default_factory=Details)
    attached: tuple[Attachment, ...] = ()
    figures: tuple[Figure, ...] = ()  # those for OCR, or for a model that describes them
    described: tuple[DescribedFigure, ...] = ()  # the figures that a model was asked to describe


@dataclass(frozen=True, slots=True)
class Attachment:
    """PDF attached to another PDF: a source of its own, with the result of reading it."""

    source: Source
    result: PreparedDocument | Exception  # a DocumentError


@dataclass(frozen=True, slots=True)
class Record:
    """State of one source in the index."""

    root: str
    source: str
    fingerprint: str = ""  # digest of the recipe, then hash of the bytes, as last read
    size: int = -1  # bytes; -1 for unknown
    modified: str = ""  # "" if it cannot be trusted: the next run reads the bytes
    pages: int = 0
    empty_pages: int = 0
    tokens: int = 0  # in its chunks
    outcome: str = ""  # in the last run that finished it; "" before the first
    error: str = ""
    code: str = ""  # of the error, or of the missing part
    attempts: int = 0  # consecutive failures with this fingerprint
    committed: tuple[str, ...] = ()  # ids of chunks that exist
    pending: tuple[str, ...] = ()  # ids of chunks that may exist
    chunks: int = 0  # number of committed chunks; set also where the ids are not loaded
    settled: str = ""  # when it was last finished, UTC, ISO 8601
    run: str = ""  # id of that run
    details: Details = field(default_factory=Details)
    epoch: int = 0  # of the lease that it was written under; 0 where there are no epochs

    @property
    def key(self) -> SourceKey:
        return self.root, self.source


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Chunk to write to the index. Without a vector, the index keeps the one it has."""

    source: Source
    url: str  # opens the source for a person
    fingerprint: str
    title: str
    chunk: Chunk
    vector: Vectors | None = field(default=None, compare=False)  # shape (dimensions,)
    details: Details = field(default_factory=Details)
    text_hash: str = ""  # `hash_text` of its text; "" if unknown


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Chunk read from an index."""

    id: str
    root: str
    source: str
    fingerprint: str
    ordinal: int
    page_start: int
    page_end: int
    headings: tuple[str, ...]
    text: str  # "" if it was not requested


class Mode(StrEnum):
    """Search mode: by words (text), by meaning (vector), or both, with reciprocal rank fusion."""

    HYBRID = "hybrid"
    VECTOR = "vector"
    TEXT = "text"


class FigureFilter(StrEnum):
    """Choice of a search between a document's own text and the generated descriptions."""

    INCLUDE = "include"  # both
    EXCLUDE = "exclude"  # no descriptions
    ONLY = "only"  # descriptions alone

    def admits(self, kind: object) -> bool:
        """Return whether a search returns a chunk, by its field `figure_kind`."""
        return self is FigureFilter.INCLUDE or bool(kind) == (self is FigureFilter.ONLY)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Chunk that the index refused, with the index's reason."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result: the chunk's fields in the index, and where in it the answer stands."""

    score: float  # comparable within one search only
    fields: dict[str, object]
    also_in: tuple[str, ...] = ()  # `sourcepage` of each chunk of the same text; see merge_copies
    page: int = 0  # of the passage that answers best, as a viewer counts: the first is 1
    heading: str = ""  # headings above that passage, outermost first
    # the best passages of the chunk, 5 to 11 lines of 76 characters; below `figure` if it is set
    excerpt: str = ""
    outdated: str = ""  # why its source has not been indexed since it changed; "" if it has
    figure: str = ""  # "Figure 3, page 12, described by MODEL" if the text is generated


@dataclass(frozen=True, slots=True)
class SourceResult:
    """Result of one source in one run."""

    root: str
    source: str  # name of the source
    outcome: Outcome
    reason: str = ""  # for people; "" if there is nothing to report
    code: str = ""  # a `Code` for the reason; "" for none
    harmless: bool = True  # False: the document needs attention
    pages: int = 0
    empty_pages: int = 0
    chunks: int = 0  # of the source, in the index
    embedded: int = 0  # chunks that were embedded
    deleted: int = 0  # chunks that were removed from the index
    tokens: int = 0  # in the chunks that were embedded
    details: Details = field(default_factory=Details)
    reused: int = 0  # chunks with the vector of an equal text, which cost nothing


@dataclass(frozen=True, slots=True)
class Timeline:
    """Activity of a run in equal intervals, from its start to its end."""

    every: float = 0.0  # length of an interval, seconds
    pages: tuple[int, ...] = ()  # read
    tokens: tuple[int, ...] = ()  # in chunks that were embedded and written
    charged: tuple[int, ...] = ()  # tokens charged to the quota
    waited: tuple[float, ...] = ()  # seconds that embedding waited for the quota
    refused: tuple[int, ...] = ()  # requests that were throttled
    quota: float = 0.0  # tokens per minute, as known at the end; 0 if unknown


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals of one run that has ended."""

    run: str  # id
    ended: str  # UTC, ISO 8601
    seconds: float  # duration
    exit: int  # exit code of the run
    outcomes: dict[str, int]  # number of sources by outcome
    pages: int  # read
    chunks_embedded: int
    chunks_deleted: int
    tokens_embedded: int
    stages: dict[str, dict[str, float]]  # seconds of each stage and wait: "wall", "threads"
    bottleneck: str  # the slowest part and a remedy, in one line; "" for none
    chunks_reused: int = 0  # with the vector of an equal text
    timeline: Timeline = field(default_factory=Timeline)
    index: dict[str, int] = field(default_factory=dict)  # after the run: sources, chunks, size
    other_kinds: dict[str, int] = field(default_factory=dict)  # files not read, by extension
    exclude: tuple[str, ...] = ()  # globs that exclude sources
    excluded: int = 0  # sources in the roots that are excluded
    excluded_kept: int = 0  # excluded sources that are in the index, and stay
    new_problems: int = 0  # documents with a problem that was not reported twelve hours before
    known_problems: int = 0  # all others with one
    retries: int = 0  # of requests to services
    figures: dict[str, int] = field(default_factory=dict)  # of the documents read, by outcome


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Progress inside documents that are not finished yet."""

    pages: int = 0  # read
    chunks: int = 0  # written
    tokens: int = 0  # embedded for those chunks


@dataclass(frozen=True, slots=True)
class DeletionsWithheld:
    """Vanished sources of a root that stay in the index, because removing them is not safe."""

    root: str
    sources: int  # number of them
    reason: str
    harmless: bool  # False: more than a run may remove, or the whole root; the run ends with 2


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Files and sources of a root that a run left out."""

    root: str
    kinds: dict[str, int]  # files that are not PDFs, by extension
    excluded: int = 0  # sources in the root that are excluded
    kept: int = 0  # excluded sources that are in the index
    unread: tuple[str, ...] = ()  # names of the first `kinds`
    kept_names: tuple[str, ...] = ()  # names of the first `kept`


RunEvent: TypeAlias = SourceResult | RunProgress | DeletionsWithheld | LeftOut


# Names of version 0.1, kept for existing programs.
Kept: TypeAlias = DeletionsWithheld
Oddity: TypeAlias = ListingIssue
Settled: TypeAlias = SourceResult
