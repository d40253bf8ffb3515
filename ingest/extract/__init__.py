"""From the bytes of a PDF to its text, page by page. Runs inside a child process.

PDFium comes first: on 7,504 public PDFs it was twelve times as fast as pypdf and right far more
often. pypdf reads the documents and the pages that PDFium cannot read, or reads as garbage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

from ingest.errors import DocumentError
from ingest.extract.clean import clean, unwrapped, without_running_lines
from ingest.extract.quality import badness
from ingest.extract.worker import Beat
from ingest.model import Code, Details, Document, Heading, Recognised

if TYPE_CHECKING:
    from ingest.model import Picture

T = TypeVar("T")

# More garbage than this share of a page's characters, and the other engine is asked.
GARBLED = 0.1
# More, and it is worse than no text.
GARBAGE = 0.5
# Recognised text is listed as doubtful below this confidence.
CONFIDENT = 0.8


class Engine(Protocol):
    """An open PDF. Any method may raise whatever its library raises."""

    # how many pages
    def __len__(self) -> int: ...

    # the text of one page, counted from 0; "" where there is none
    def text(self, index: int) -> str: ...

    # whether a page without text shows something
    def pictured(self, index: int) -> bool: ...

    # a page as one sees it
    def picture(self, index: int) -> Picture: ...

    # the document's own title, or ""
    def title(self) -> str: ...

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
    ocr: str = ""  # the name of what recognises text; "" for nothing
    recognise: Callable[[Picture], Recognised] | None = None  # does it here and now
    recognised: Mapping[int, Recognised] = field(default_factory=dict)  # pages it was done for


def unheard(page: int, pages: int) -> None:
    """A beat that nobody listens to."""


def extract(data: bytes, means: Means, beat: Beat = unheard) -> Document:
    """The clean text and the structure of a PDF.

    `beat` is told of each page before it is read, counted from 1, and how many there are.
    Raises DocumentError if it is no PDF, is damaged beyond reading, or needs a password.
    """
    if b"%PDF-" not in data[:1024]:  # viewers accept it there: ISO 32000, Annex H
        reason = "not a PDF" if data.strip(b"\0 \r\n") else "an empty file"
        raise DocumentError(f"{reason}, whatever its name says", Code.NOT_A_PDF)
    engines = Engines(data, means)
    first = engines.first()
    count = len(first)
    seen = Seen()
    pages = tuple(unwrapped(clean(text)) for text in texts(engines, means, seen, count, beat))
    if not pages:
        raise DocumentError("damaged, get it again from its source (it has no pages)")
    nothing: list[Heading] = []
    headings = tuple(attempted(first.headings, nothing))
    return Document(
        pages=without_running_lines(pages, headings),
        title=" ".join(clean(attempted(first.title, "")).split()),
        headings=headings,
        labels=tuple(attempted(first.labels, [])),
        confidence={page: recognised.confidence for page, recognised in seen.recognised.items()},
        details=Details(
            scanned=tuple(seen.scanned),
            missing=tuple(sorted(page for page in means.abandoned if page <= count)),
            doubtful=tuple(p for p, r in seen.recognised.items() if r.confidence < CONFIDENT),
            ocr=means.ocr if seen.recognised else "",
        ),
    )


@dataclass(slots=True)
class Seen:
    """What was found out about the pages while they were read."""

    scanned: list[int] = field(default_factory=list)
    recognised: dict[int, Recognised] = field(default_factory=dict)


def texts(engines: Engines, means: Means, seen: Seen, count: int, beat: Beat) -> Iterator[str]:
    """The text of each page; none of those that are to be left alone."""
    for page in range(1, count + 1):
        if page in means.abandoned:
            yield ""
            continue
        beat(page, count)
        yield read(engines, page, means, seen)


def read(engines: Engines, page: int, means: Means, seen: Seen) -> str:
    """One page's text: as the engines have it, else as it is recognised."""
    text = page_text(engines, page - 1)
    if readable(text):
        return text
    if badness(text) > GARBAGE:
        text = ""
    if not pictured(engines, page - 1):
        return text
    seen.scanned.append(page)
    found = means.recognised.get(page)
    if found is None and means.recognise:
        found = means.recognise(picture(engines, page - 1))
    if found is None:
        return text
    seen.recognised[page] = found
    return found.text


def readable(text: str) -> bool:
    """Whether there is text, and it is not garbage."""
    return bool(text.strip()) and badness(text) <= GARBLED


def pictured(engines: Engines, index: int) -> bool:
    """Whether there is something to see on a page that no engine reads."""
    return any(attempted(partial(engine.pictured, index), False) for engine in engines.opened)


class Engines:
    """The engines that can open a document, the preferred one first, each opened when needed."""

    def __init__(self, data: bytes, means: Means) -> None:
        from ingest.extract.pdfium import Pdfium
        from ingest.extract.pypdf import Pypdf

        kinds: dict[str, list[Callable[[bytes], Engine]]] = {
            "auto": [Pdfium, Pypdf],
            "pdfium": [Pdfium],
            "pypdf": [Pypdf],
        }
        self.data = data
        self.waiting = kinds[means.extractor]
        self.opened: list[Engine] = []
        self.reasons: list[str] = []

    def first(self) -> Engine:
        """The first that opens. Raises DocumentError if none does, or it needs a password."""
        for engine in self:
            return engine
        raise DocumentError(f"damaged, get it again from its source ({'; '.join(self.reasons)})")

    def __iter__(self) -> Iterator[Engine]:
        yield from self.opened
        while self.waiting:
            kind = self.waiting.pop(0)
            try:
                engine = kind(self.data)
            except (DocumentError, MemoryError):
                raise
            except Exception as error:  # noqa: BLE001 - on hostile input these libraries raise anything
                self.reasons.append(" ".join(str(error).split()).rstrip(".") or repr(error))
            else:
                self.opened.append(engine)
                yield engine


def page_text(engines: Iterable[Engine], index: int) -> str:
    """One page's text from the first engine that reads it well, else the least bad one."""
    candidates = []
    for engine in engines:
        text = attempted(partial(engine.text, index), "")
        if readable(text):
            return text
        fault = badness(text) if text.strip() else 1.0
        candidates.append((fault, text))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def picture(engines: Engines, index: int) -> Picture:
    """A page as one sees it, by the first engine that can draw it. Raises what the last one did."""
    *others, last = engines
    for engine in others:
        with contextlib.suppress(Exception):
            return engine.picture(index)
    return last.picture(index)


def attempted(call: Callable[[], T], default: T) -> T:
    """What `call` gives, or `default` if the library chokes on what it read."""
    try:
        return call()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - on hostile input these libraries raise anything
        return default
