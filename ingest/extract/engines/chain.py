"""PDF engines that can open a document, tried in order of preference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ingest.errors import DocumentError
from ingest.extract.engines import PdfEngine
from ingest.extract.safe_call import try_call

if TYPE_CHECKING:
    from pypdf import PdfReader

    from ingest.extract.document import ExtractOptions
    from ingest.extract.engines.pypdf import Pypdf


class EngineChain:
    """The engines that can open a document, in order of preference; each is opened on demand."""

    def __init__(self, data: bytes, options: ExtractOptions) -> None:
        from ingest.extract.engines.pdfium import Pdfium
        from ingest.extract.engines.pypdf import Pypdf

        choices: dict[str, list[Callable[[bytes, Sequence[str]], PdfEngine]]] = {
            "auto": [Pdfium, Pypdf],
            "pdfium": [Pdfium],
            "pypdf": [Pypdf],
        }
        self.data = data
        self.passwords = options.passwords
        self.unopened = choices[options.extractor]
        self.opened: list[PdfEngine] = []
        self.extra_pypdf: list[Pypdf] = []  # opened for other things than text
        self.lock_error: DocumentError | None = None
        self.open_errors: list[str] = []

    def first(self) -> PdfEngine:
        """Return the first engine that opens the document.

        Raises:
            DocumentError: No engine can open it, or it needs a password.
        """
        for engine in self:
            return engine
        if self.lock_error:
            raise self.lock_error
        raise DocumentError(
            f"damaged; get a new copy from its origin ({'; '.join(self.open_errors)})"
        )

    def for_page(self, index: int) -> Iterator[PdfEngine]:
        """Yield the engines to read a page with, until one reads it well.

        Others than the first one must count as many pages, or they may number them otherwise; and
        they take a hundred times as long to open, which a blank page or a picture is not worth.
        """
        yield (first := self.first())
        if try_call(partial(first.has_no_text, index), False):
            return
        for engine in self:
            if engine is not first and len(engine) == len(first):
                yield engine

    def pypdf_reader(self) -> PdfReader:
        """Open the document with pypdf, once, for the parts that only pypdf can read.

        Raises any exception of pypdf.
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
            open_engine = self.unopened.pop(0)
            try:
                engine = open_engine(self.data, self.passwords)
                if not len(engine):
                    raise ValueError("it has no pages")  # noqa: TRY301 - as if it did not open
            except MemoryError:
                raise
            except DocumentError as error:  # the next engine may open it
                self.lock_error = self.lock_error or error
            except Exception as error:  # noqa: BLE001 - on hostile input these libraries raise anything
                self.open_errors.append(" ".join(str(error).split()).rstrip(".") or repr(error))
            else:
                self.opened.append(engine)
                yield engine
