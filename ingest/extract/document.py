"""From the bytes of a PDF to its text, page by page. Runs inside a child process.

PDFium comes first: on 7,504 public PDFs it was twelve times as fast as pypdf and right far more
often. pypdf reads the documents and the pages that PDFium cannot read, or reads as garbage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ingest.errors import DocumentError
from ingest.extract.annotations import PageAnnotations
from ingest.extract.attachments import MAX_ATTACHMENT_DEPTH
from ingest.extract.cleaning import clean, separate_running_lines, unwrap_cjk_lines
from ingest.extract.extras import append_extras, find_attachments, read_title_and_details
from ingest.extract.garbled import garbled_share
from ingest.extract.language import detect_language
from ingest.extract.limits import (
    MAX_HEADINGS,
    MAX_LABEL_CHARS,
    MIN_PAGE_BYTES,
    check_page_count,
    clean_line,
    limit_headings,
    limit_text,
)
from ingest.extract.safe_call import try_call
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Code, Document, Heading, OcrResult

if TYPE_CHECKING:
    from pypdf import PdfReader

    from ingest.models import GreyImage

# More garbage than this share of a page's characters, and the other engine is asked.
MAX_GARBLED_SHARE = 0.1
# More, and it is worse than no text.
DISCARD_GARBLED_SHARE = 0.5
# Recognised text is listed as doubtful below this confidence.
MIN_CONFIDENCE = 0.8


class PdfEngine(Protocol):
    """An open PDF. Any method may raise whatever its library raises."""

    # what opened it
    password: bytes

    # how many pages
    def __len__(self) -> int: ...

    # the text of one page, counted from 0; "" where there is none
    def text(self, index: int) -> str: ...

    # whether a page without text shows something
    def has_graphics(self, index: int) -> bool: ...

    # a page as one sees it
    def render(self, index: int) -> GreyImage: ...

    # what is on a page beside its content; of pages whose text was asked for
    def annotations(self, index: int) -> PageAnnotations: ...

    # what the document says of itself: "Title", "Author", ...
    def info(self) -> dict[str, str]: ...

    # what its permissions do not allow
    def denied_permissions(self) -> tuple[str, ...]: ...

    # whether it may be a form
    def may_have_form(self) -> bool: ...

    # whether it may list files inside it
    def may_have_attachments(self) -> bool: ...

    # the entries of the outline that lead to a page
    def headings(self) -> list[Heading]: ...

    # what each page calls itself, or [] where the document does not say
    def labels(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """What a document may be read with."""

    extractor: str = "auto"  # settings.EXTRACTORS
    passwords: tuple[str, ...] = field(default=(), repr=False)  # to try, after none
    skipped_pages: frozenset[int] = frozenset()  # pages that are not to be read
    depth: int = 0  # how many documents it is inside of
    ocr: str = ""  # the name of what recognises text; "" for nothing
    recognise: Callable[[GreyImage], OcrResult] | None = None  # does it here and now
    ocr_results: Mapping[int, OcrResult] = field(default_factory=dict)  # pages it was done for


def ignore_progress(page: int, pages: int) -> None:
    """A beat that nobody listens to."""


def extract(data: bytes, options: ExtractOptions, on_page: OnPage = ignore_progress) -> Document:
    """The clean text and the structure of a PDF.

    `beat` is told of each page before it is read, counted from 1, and how many there are; and of
    page 0 once all are read, so that the last one is not blamed for what comes after.
    Raises DocumentError if it is no PDF, is damaged beyond reading, or needs a password.
    """
    if b"%PDF-" not in data[:1024]:  # viewers accept it there: ISO 32000, Annex H
        reason = "not a PDF" if data.strip(b"\0 \r\n") else "an empty file"
        raise DocumentError(f"{reason}, whatever its name says", Code.NOT_A_PDF)
    engines = EngineChain(data, options)
    first = engines.first()
    count = check_page_count(count_pages(engines, len(data)))
    seen = ExtractState()
    # All are read before any is cleaned: the engine takes the processor's cache each time.
    raw = list(limit_text(read_pages(engines, options, seen, count, on_page)))
    pages = tuple(limit_text(unwrap_cjk_lines(clean(text)) for text in raw))
    if len(seen.unreadable) == count:
        raise DocumentError("damaged, get it again from its source (no page of it can be read)")
    nothing: list[Heading] = []
    none: list[str] = []
    headings = tuple(limit_headings(try_call(first.headings, nothing)[:MAX_HEADINGS]))
    pages, running = separate_running_lines(pages, headings)
    pages = tuple(limit_text(append_extras(engines, pages)))
    title, details = read_title_and_details(engines)
    return Document(
        pages=pages,
        title=title,
        headings=headings,
        labels=tuple(
            clean_line(label, MAX_LABEL_CHARS) for label in try_call(first.labels, none)[:count]
        ),
        confidence={page: recognised.confidence for page, recognised in seen.ocr_results.items()},
        running=running,
        details=replace(
            details,
            language=try_call(partial(detect_language, pages), ""),
            scanned=tuple(seen.scanned),
            missing=tuple(
                sorted({p for p in options.skipped_pages if p <= count}.union(seen.unreadable))
            ),
            doubtful=tuple(p for p, r in seen.ocr_results.items() if r.confidence < MIN_CONFIDENCE),
            ocr=options.ocr if seen.ocr_results else "",
            attachments=find_attachments(engines, count)
            if options.depth < MAX_ATTACHMENT_DEPTH
            else (),
        ),
    )


@dataclass(slots=True)
class ExtractState:
    """What was found out about the pages while they were read."""

    scanned: list[int] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)  # no engine could read them
    ocr_results: dict[int, OcrResult] = field(default_factory=dict)


def read_pages(
    engines: EngineChain, options: ExtractOptions, state: ExtractState, count: int, on_page: OnPage
) -> Iterator[str]:
    """The text of each page; none of those that are to be left alone."""
    for page in range(1, count + 1):
        if page in options.skipped_pages:
            yield ""
            continue
        on_page(page, count)
        yield read_page(engines, page, options, state)
    on_page(0, count)


def read_page(engines: EngineChain, page: int, options: ExtractOptions, state: ExtractState) -> str:
    """One page's text: as the engines have it, else as it is recognised."""
    text, fault = extract_page_text(engines.with_same_page_count(), page - 1)
    if text is None:
        state.unreadable.append(page)
        return ""
    if fault <= MAX_GARBLED_SHARE:
        return text
    if fault > DISCARD_GARBLED_SHARE:
        text = ""
    if not has_graphics(engines, page - 1):
        return text
    state.scanned.append(page)
    found = options.ocr_results.get(page)
    if found is None and options.recognise:
        view = try_call(partial(render_pdf_page, engines, page - 1), None)
        found = OcrResult("", 0.0) if view is None else options.recognise(view)
    if found is None:
        return text
    state.ocr_results[page] = found
    return found.text


def count_pages(engines: EngineChain, size: int) -> int:
    """How many pages there are in a file of so many bytes.

    PDFium believes what a page tree says of itself, so where that cannot be, pypdf counts.
    """
    count = len(engines.first())
    if count * MIN_PAGE_BYTES > size:
        count = min(try_call(partial(len, engine), count) for engine in engines)
    return count


def has_graphics(engines: EngineChain, index: int) -> bool:
    """Whether there is something to see on a page that no engine reads."""
    return any(try_call(partial(engine.has_graphics, index), False) for engine in engines.opened)


class EngineChain:
    """The engines that can open a document, the preferred one first, each opened when needed."""

    def __init__(self, data: bytes, options: ExtractOptions) -> None:
        from ingest.extract.engines.pdfium import Pdfium
        from ingest.extract.engines.pypdf import Pypdf

        kinds: dict[str, list[Callable[[bytes, Sequence[str]], PdfEngine]]] = {
            "auto": [Pdfium, Pypdf],
            "pdfium": [Pdfium],
            "pypdf": [Pypdf],
        }
        self.data = data
        self.passwords = options.passwords
        self.unopened = kinds[options.extractor]
        self.opened: list[PdfEngine] = []
        self.extra_pypdf: list[Pypdf] = []  # opened for what is no text
        self.lock_error: DocumentError | None = None
        self.open_errors: list[str] = []

    def first(self) -> PdfEngine:
        """The first that opens. Raises DocumentError if none does, or it needs a password."""
        for engine in self:
            return engine
        if self.lock_error:
            raise self.lock_error
        raise DocumentError(
            f"damaged, get it again from its source ({'; '.join(self.open_errors)})"
        )

    def with_same_page_count(self) -> Iterator[PdfEngine]:
        """Those that count as many pages as the first: the others mean other pages by a number."""
        yield (first := self.first())
        for engine in self:
            if engine is not first and len(engine) == len(first):
                yield engine

    def pypdf_reader(self) -> PdfReader:
        """The document by pypdf, for what it alone can see; opened when it is first asked for.

        Raises whatever pypdf raises.
        """
        from ingest.extract.engines.pypdf import Pypdf

        for engine in (*self.opened, *self.extra_pypdf):
            if isinstance(engine, Pypdf):
                return engine.reader
        self.extra_pypdf.append(Pypdf(self.data, self.passwords, self.opened[0].password))
        return self.extra_pypdf[0].reader

    def __iter__(self) -> Iterator[PdfEngine]:
        yield from self.opened
        while self.unopened:
            kind = self.unopened.pop(0)
            try:
                engine = kind(self.data, self.passwords)
                if not len(engine):
                    raise ValueError("it has no pages")  # noqa: TRY301 - as if it could not open it
            except MemoryError:
                raise
            except DocumentError as error:  # the next one may have the key to it
                self.lock_error = self.lock_error or error
            except Exception as error:  # noqa: BLE001 - on hostile input these libraries raise anything
                self.open_errors.append(" ".join(str(error).split()).rstrip(".") or repr(error))
            else:
                self.opened.append(engine)
                yield engine


def extract_page_text(engines: Iterable[PdfEngine], index: int) -> tuple[str | None, float]:
    """One page's text from the first engine that reads it well, else the least bad one.

    With it, how bad it is, from 0 to 1, which a page without text is. The text is None if every
    engine fails on the page, which is not the same as a page without text.
    """
    best: tuple[str | None, float] = None, 1.0
    for engine in engines:
        text = try_call(partial(engine.text, index), None)
        if text is None:
            continue
        fault = garbled_share(text) if text and not text.isspace() else 1.0
        if fault <= MAX_GARBLED_SHARE:
            return text, fault
        if best[0] is None or fault < best[1]:
            best = text, fault
    return best


def render_pdf_page(engines: EngineChain, index: int) -> GreyImage:
    """A page as one sees it, by the first engine that can draw it. Raises what the last one did."""
    *others, last = engines
    for engine in others:
        with contextlib.suppress(Exception):
            return engine.render(index)
    return last.render(index)
