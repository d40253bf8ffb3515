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
from ingest.extract.annotations import Marks
from ingest.extract.attachments import DEEPEST
from ingest.extract.cleaning import clean, sifted, unwrapped
from ingest.extract.extras import about, attached, supplemented
from ingest.extract.garbled import badness
from ingest.extract.language import detected
from ingest.extract.limits import (
    HEADINGS,
    LABEL,
    SMALLEST_PAGE,
    bounded_headings,
    bounded_pages,
    bounded_text,
    line,
)
from ingest.extract.safe_call import attempted
from ingest.extract.sandbox.pool import Beat
from ingest.models import Code, Document, Heading, Recognised

if TYPE_CHECKING:
    from pypdf import PdfReader

    from ingest.models import Picture

# More garbage than this share of a page's characters, and the other engine is asked.
GARBLED = 0.1
# More, and it is worse than no text.
GARBAGE = 0.5
# Recognised text is listed as doubtful below this confidence.
CONFIDENT = 0.8


class Engine(Protocol):
    """An open PDF. Any method may raise whatever its library raises."""

    # what opened it
    password: bytes

    # how many pages
    def __len__(self) -> int: ...

    # the text of one page, counted from 0; "" where there is none
    def text(self, index: int) -> str: ...

    # whether a page without text shows something
    def pictured(self, index: int) -> bool: ...

    # a page as one sees it
    def picture(self, index: int) -> Picture: ...

    # what is on a page beside its content; of pages whose text was asked for
    def marks(self, index: int) -> Marks: ...

    # what the document says of itself: "Title", "Author", ...
    def info(self) -> dict[str, str]: ...

    # what its permissions do not allow
    def forbids(self) -> tuple[str, ...]: ...

    # whether it may be a form
    def form(self) -> bool: ...

    # whether it may list files inside it
    def files(self) -> bool: ...

    # the entries of the outline that lead to a page
    def headings(self) -> list[Heading]: ...

    # what each page calls itself, or [] where the document does not say
    def labels(self) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class Means:
    """What a document may be read with."""

    extractor: str = "auto"  # settings.EXTRACTORS
    passwords: tuple[str, ...] = field(default=(), repr=False)  # to try, after none
    abandoned: frozenset[int] = frozenset()  # pages that are not to be read
    depth: int = 0  # how many documents it is inside of
    ocr: str = ""  # the name of what recognises text; "" for nothing
    recognise: Callable[[Picture], Recognised] | None = None  # does it here and now
    recognised: Mapping[int, Recognised] = field(default_factory=dict)  # pages it was done for


def unheard(page: int, pages: int) -> None:
    """A beat that nobody listens to."""


def extract(data: bytes, means: Means, beat: Beat = unheard) -> Document:
    """The clean text and the structure of a PDF.

    `beat` is told of each page before it is read, counted from 1, and how many there are; and of
    page 0 once all are read, so that the last one is not blamed for what comes after.
    Raises DocumentError if it is no PDF, is damaged beyond reading, or needs a password.
    """
    if b"%PDF-" not in data[:1024]:  # viewers accept it there: ISO 32000, Annex H
        reason = "not a PDF" if data.strip(b"\0 \r\n") else "an empty file"
        raise DocumentError(f"{reason}, whatever its name says", Code.NOT_A_PDF)
    engines = Engines(data, means)
    first = engines.first()
    count = bounded_pages(counted(engines, len(data)))
    seen = Seen()
    # All are read before any is cleaned: the engine takes the processor's cache each time.
    raw = list(bounded_text(texts(engines, means, seen, count, beat)))
    pages = tuple(bounded_text(unwrapped(clean(text)) for text in raw))
    if len(seen.unread) == count:
        raise DocumentError("damaged, get it again from its source (no page of it can be read)")
    nothing: list[Heading] = []
    none: list[str] = []
    headings = tuple(bounded_headings(attempted(first.headings, nothing)[:HEADINGS]))
    pages, running = sifted(pages, headings)
    pages = tuple(bounded_text(supplemented(engines, pages)))
    title, details = about(engines)
    return Document(
        pages=pages,
        title=title,
        headings=headings,
        labels=tuple(line(label, LABEL) for label in attempted(first.labels, none)[:count]),
        confidence={page: recognised.confidence for page, recognised in seen.recognised.items()},
        running=running,
        details=replace(
            details,
            language=attempted(partial(detected, pages), ""),
            scanned=tuple(seen.scanned),
            missing=tuple(sorted({p for p in means.abandoned if p <= count}.union(seen.unread))),
            doubtful=tuple(p for p, r in seen.recognised.items() if r.confidence < CONFIDENT),
            ocr=means.ocr if seen.recognised else "",
            attachments=attached(engines, count) if means.depth < DEEPEST else (),
        ),
    )


@dataclass(slots=True)
class Seen:
    """What was found out about the pages while they were read."""

    scanned: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)  # no engine could read them
    recognised: dict[int, Recognised] = field(default_factory=dict)


def texts(engines: Engines, means: Means, seen: Seen, count: int, beat: Beat) -> Iterator[str]:
    """The text of each page; none of those that are to be left alone."""
    for page in range(1, count + 1):
        if page in means.abandoned:
            yield ""
            continue
        beat(page, count)
        yield read(engines, page, means, seen)
    beat(0, count)


def read(engines: Engines, page: int, means: Means, seen: Seen) -> str:
    """One page's text: as the engines have it, else as it is recognised."""
    text, fault = page_text(engines.agreeing(), page - 1)
    if text is None:
        seen.unread.append(page)
        return ""
    if fault <= GARBLED:
        return text
    if fault > GARBAGE:
        text = ""
    if not pictured(engines, page - 1):
        return text
    seen.scanned.append(page)
    found = means.recognised.get(page)
    if found is None and means.recognise:
        view = attempted(partial(picture, engines, page - 1), None)
        found = Recognised("", 0.0) if view is None else means.recognise(view)
    if found is None:
        return text
    seen.recognised[page] = found
    return found.text


def counted(engines: Engines, size: int) -> int:
    """How many pages there are in a file of so many bytes.

    PDFium believes what a page tree says of itself, so where that cannot be, pypdf counts.
    """
    count = len(engines.first())
    if count * SMALLEST_PAGE > size:
        count = min(attempted(partial(len, engine), count) for engine in engines)
    return count


def pictured(engines: Engines, index: int) -> bool:
    """Whether there is something to see on a page that no engine reads."""
    return any(attempted(partial(engine.pictured, index), False) for engine in engines.opened)


class Engines:
    """The engines that can open a document, the preferred one first, each opened when needed."""

    def __init__(self, data: bytes, means: Means) -> None:
        from ingest.extract.engines.pdfium import Pdfium
        from ingest.extract.engines.pypdf import Pypdf

        kinds: dict[str, list[Callable[[bytes, Sequence[str]], Engine]]] = {
            "auto": [Pdfium, Pypdf],
            "pdfium": [Pdfium],
            "pypdf": [Pypdf],
        }
        self.data = data
        self.passwords = means.passwords
        self.waiting = kinds[means.extractor]
        self.opened: list[Engine] = []
        self.beside: list[Pypdf] = []  # opened for what is no text
        self.locked: DocumentError | None = None
        self.reasons: list[str] = []

    def first(self) -> Engine:
        """The first that opens. Raises DocumentError if none does, or it needs a password."""
        for engine in self:
            return engine
        if self.locked:
            raise self.locked
        raise DocumentError(f"damaged, get it again from its source ({'; '.join(self.reasons)})")

    def agreeing(self) -> Iterator[Engine]:
        """Those that count as many pages as the first: the others mean other pages by a number."""
        yield (first := self.first())
        for engine in self:
            if engine is not first and len(engine) == len(first):
                yield engine

    def reader(self) -> PdfReader:
        """The document by pypdf, for what it alone can see; opened when it is first asked for.

        Raises whatever pypdf raises.
        """
        from ingest.extract.engines.pypdf import Pypdf

        for engine in (*self.opened, *self.beside):
            if isinstance(engine, Pypdf):
                return engine.reader
        self.beside.append(Pypdf(self.data, self.passwords, self.opened[0].password))
        return self.beside[0].reader

    def __iter__(self) -> Iterator[Engine]:
        yield from self.opened
        while self.waiting:
            kind = self.waiting.pop(0)
            try:
                engine = kind(self.data, self.passwords)
                if not len(engine):
                    raise ValueError("it has no pages")  # noqa: TRY301 - as if it could not open it
            except MemoryError:
                raise
            except DocumentError as error:  # the next one may have the key to it
                self.locked = self.locked or error
            except Exception as error:  # noqa: BLE001 - on hostile input these libraries raise anything
                self.reasons.append(" ".join(str(error).split()).rstrip(".") or repr(error))
            else:
                self.opened.append(engine)
                yield engine


def page_text(engines: Iterable[Engine], index: int) -> tuple[str | None, float]:
    """One page's text from the first engine that reads it well, else the least bad one.

    With it, how bad it is, from 0 to 1, which a page without text is. The text is None if every
    engine fails on the page, which is not the same as a page without text.
    """
    best: tuple[str | None, float] = None, 1.0
    for engine in engines:
        text = attempted(partial(engine.text, index), None)
        if text is None:
            continue
        fault = badness(text) if text and not text.isspace() else 1.0
        if fault <= GARBLED:
            return text, fault
        if best[0] is None or fault < best[1]:
            best = text, fault
    return best


def picture(engines: Engines, index: int) -> Picture:
    """A page as one sees it, by the first engine that can draw it. Raises what the last one did."""
    *others, last = engines
    for engine in others:
        with contextlib.suppress(Exception):
            return engine.picture(index)
    return last.picture(index)
