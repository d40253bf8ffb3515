"""Documents as they are read: pages, metadata and chunks."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from ingest.models.figures import ChunkFigure, DescribedFigure, Figure, FigureOutcome, PageShares
from ingest.models.sources import Source


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
    doubtful: tuple[int, ...] = ()  # pages whose text probably differs from their image
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
