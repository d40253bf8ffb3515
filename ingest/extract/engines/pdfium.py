"""Text, outline, title and page labels by PDFium. Native code: only run it in a child process.

Pages are read with the library's plain functions: the objects that wrap them cost a tenth more.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import pypdfium2
from pypdfium2 import raw

from ingest.extract.annotations import NONE, Marks, marks, worthwhile
from ingest.extract.engines.pdfium_outline import headings
from ingest.extract.engines.pdfium_raw import (
    Page,
    Text,
    address,
    close_page,
    close_text,
    count_annotations,
    count_characters,
    entry_of,
    label_of,
    load_page,
    load_text,
    rotation_of,
    string,
    text_of,
)
from ingest.extract.layout import TABLE, arranged
from ingest.extract.layout.headings import Prominent
from ingest.extract.layout.lines import every
from ingest.extract.passwords import forbidden, locked, sealed, spellings

if TYPE_CHECKING:
    from ingest.models import Heading, Picture

DPI = 200  # what recognition reads well; more costs time and gives little
PIXELS = 16_000_000  # of a picture at most: A3 at 200 dpi has half of it
DRAWN = 50  # paths on a page: fewer are rules and frames, more may be letters
OBJECTS = 5000  # of a page that are looked at

ENTRIES = ("Title", "Author", "CreationDate", "ModDate", "Producer", "Creator")


class Pdfium:
    """A PDF opened by PDFium. Raises DocumentError if no password opens it."""

    def __init__(self, data: bytes, passwords: Sequence[str]) -> None:
        self.document, self.password = opened(data, passwords)
        self.address = address(self.document)
        self.data = data  # PDFium keeps no copy, so it must outlive the document
        self.marked: dict[int, Marks] = {}
        outlined = raw.FPDFBookmark_GetFirstChild(self.document, None)
        self.prominent = None if outlined else Prominent()

    def __len__(self) -> int:
        return len(self.document)

    def text(self, index: int) -> str:
        page = load_page(self.address, index)
        if not page:
            raise ValueError(f"page {index + 1} cannot be loaded")
        try:
            if (count := count_annotations(page)) > 0 and self.annotated:
                self.marked[index] = marks(ctypes.cast(page, raw.FPDF_PAGE), count)
            text = load_text(page)
            if not text:
                raise ValueError(f"page {index + 1} cannot be read")
            try:
                return self.read(index, page, text)
            finally:
                close_text(text)
        finally:
            close_page(page)

    def read(self, index: int, page: Page, text: Text) -> str:
        """A loaded page as it is read, or as it is drawn where that cannot be told."""
        count = count_characters(text)
        found = characters(text, count)
        if not found or len(found) != count:
            return found
        try:
            lines = every(text, found) if self.prominent else None
            shown = arranged(page, text, found, lines)
            # Of turned lines, the first characters tell how wide they are and not how high.
            if self.prominent and lines and not rotation_of(page):
                self.prominent.note(index + 1, text, found, lines)
                if TABLE in shown:
                    self.prominent.without(index + 1, shown)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - whatever a stranger's page does to it, its text is there
            return found
        return shown

    def pictured(self, index: int) -> bool:
        page = raw.FPDF_LoadPage(self.document, index)
        if not page:
            return False
        try:
            kinds: Counter[int] = Counter()
            for place in range(min(raw.FPDFPage_CountObjects(page), OBJECTS)):
                kinds[raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page, place))] += 1
        finally:
            raw.FPDF_ClosePage(page)
        forms = kinds[raw.FPDF_PAGEOBJ_FORM] + kinds[raw.FPDF_PAGEOBJ_IMAGE]
        return forms > 0 or kinds[raw.FPDF_PAGEOBJ_PATH] >= DRAWN

    def picture(self, index: int) -> Picture:
        page = self.document[index]
        width, height = page.get_size()
        scale = min(DPI / 72, (PIXELS / max(1.0, width * height)) ** 0.5)
        grey: Picture = page.render(scale=scale, grayscale=True).to_numpy().squeeze()
        return grey

    @cached_property
    def annotated(self) -> bool:
        """Whether it may have annotations that are no links."""
        return worthwhile(self.data)

    def marks(self, index: int) -> Marks:
        return self.marked.get(index, NONE)

    def info(self) -> dict[str, str]:
        return {name: string(partial(entry_of, self.address, name.encode())) for name in ENTRIES}

    def forbids(self) -> tuple[str, ...]:
        if raw.FPDF_GetSecurityHandlerRevision(self.document) < 0:
            return ()
        return forbidden(raw.FPDF_GetDocUserPermissions(self.document))

    def form(self) -> bool:
        return bool(raw.FPDF_GetFormType(self.document) != raw.FORMTYPE_NONE)

    def files(self) -> bool:
        return bool(raw.FPDFDoc_GetAttachmentCount(self.document) > 0)

    def headings(self) -> list[Heading]:
        return headings(self.address) or (self.prominent.headings() if self.prominent else [])

    def labels(self) -> list[str]:
        if not self.label(0) + self.label(len(self) - 1):
            return []
        return [self.label(index) for index in range(len(self.document))]

    def label(self, index: int) -> str:
        """What one page calls itself."""
        return string(partial(label_of, self.address, index))


def opened(data: bytes, passwords: Sequence[str]) -> tuple[pypdfium2.PdfDocument, bytes]:
    """A document and the password that opens it.

    Raises DocumentError if none does, ValueError if it is damaged.
    """
    for password in spellings(passwords):
        document = raw.FPDF_LoadMemDocument64(data, len(data), password)
        if document:
            if raw.FPDF_GetPageCount(document) > 0:
                return pypdfium2.PdfDocument(document), password
            raw.FPDF_CloseDocument(document)
            raise ValueError("it has no pages")
        fault = raw.FPDF_GetLastError()
        if fault == raw.FPDF_ERR_SECURITY:
            raise sealed()
        if fault != raw.FPDF_ERR_PASSWORD:
            known = pypdfium2.internal.ErrorToStr.get(fault, f"error {fault}")
            raise ValueError(known.rstrip("."))
    raise locked(passwords)


def characters(text: Text, count: int) -> str:
    """All characters of a loaded page, of which there are so many, in reading order."""
    if count <= 0:
        return ""
    # A character beyond the first 65,536 is two units, and a zero ends the whole.
    buffer = bytearray(2 * (2 * count + 1))
    units = text_of(text, 0, 2 * count, ctypes.addressof(ctypes.c_char.from_buffer(buffer)))
    return str(memoryview(buffer)[: 2 * max(0, units - 1)], "utf-16-le", "ignore")
