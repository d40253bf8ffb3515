"""Values that an index stores and finds: records, chunks, cached pages and hits."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from ingest.models.arrays import Vectors
from ingest.models.documents import Chunk, Details, OcrResult
from ingest.models.sources import Source, SourceKey


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
    spoilt: bool = False  # it could not be read: there may be more chunks, and attachments

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


@dataclass(frozen=True, slots=True)
class CachedPage:
    """Paid result of one page or figure, by OCR or a model, cached in the index."""

    key: str  # hash of the data sent, and of the engine or model
    root: str  # of the source it was last seen in; removed from the cache with that source
    source: str
    # id under which OCR keeps its result for a day; of a figure, the number of failed attempts
    operation: str
    recognised: OcrResult | None = None  # None: the result has not been fetched yet
    others: tuple[SourceKey, ...] = ()  # sources it was seen in before; one of them may inherit it
    # SHA-256, computed by the parent process, of the inputs below; "" in entries of old versions:
    file: str = ""  # the file that it was last seen in
    picture: str = ""  # the image that was sent


@dataclass(frozen=True, slots=True)
class Refusal:
    """Chunk that the index refused, with the index's reason."""

    id: str
    reason: str


class Mode(StrEnum):
    """Search mode: by words (text), by meaning (vector), or both (hybrid)."""

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
class Hit:
    """One search result: the chunk's fields in the index, and its best passage."""

    score: float  # comparable within one search only
    fields: dict[str, object]
    also_in: tuple[str, ...] = ()  # `sourcepage` of each chunk of the same text; see merge_copies
    page: int = 0  # of the passage that answers best, as a viewer counts: the first is 1
    heading: str = ""  # headings above that passage, outermost first
    # the best passages of the chunk, 5 to 11 lines of 76 characters, of which short ones count
    # half; below `figure` if it is set
    excerpt: str = ""
    outdated: str = ""  # why its source has not been indexed since it changed; "" if it has
    figure: str = ""  # "Figure 3, page 12, described by MODEL" if the text is generated
    # codes in the question that no document has; of a question of one or two words, all if none has
    missing_words: tuple[str, ...] = ()
