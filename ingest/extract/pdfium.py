"""Text, outline, title and page labels by PDFium. Native code: only run it in a child process.

Pages are read with the library's plain functions: the objects that wrap them cost a tenth more.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from typing import TYPE_CHECKING

import pypdfium2
from pypdfium2 import raw

from ingest.errors import NEEDS_PASSWORD, DocumentError
from ingest.extract.layout import TABLE, arranged
from ingest.extract.layout.headings import Prominent
from ingest.extract.layout.lines import every
from ingest.model import Code, Heading

if TYPE_CHECKING:
    from ingest.model import Picture

DPI = 200  # what recognition reads well; more costs time and gives little
PIXELS = 16_000_000  # of a picture at most: A3 at 200 dpi has half of it
DRAWN = 50  # paths on a page: fewer are rules and frames, more may be letters
OBJECTS = 5000  # of a page that are looked at

PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD in fpdfview.h


class Pdfium:
    """A PDF opened by PDFium. Raises DocumentError if it needs a password."""

    def __init__(self, data: bytes) -> None:
        try:
            self.document = pypdfium2.PdfDocument(data, password="")
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", None) == PASSWORD_ERROR:
                raise DocumentError(NEEDS_PASSWORD, Code.ENCRYPTED) from None
            raise ValueError(str(error).rpartition("(")[2].rstrip(").")) from None
        outlined = raw.FPDFBookmark_GetFirstChild(self.document, None)
        self.prominent = None if outlined else Prominent()

    def __len__(self) -> int:
        return len(self.document)

    def text(self, index: int) -> str:
        page = raw.FPDF_LoadPage(self.document, index)
        if not page:
            raise ValueError(f"page {index + 1} cannot be loaded")
        try:
            text = raw.FPDFText_LoadPage(page)
            if not text:
                raise ValueError(f"page {index + 1} cannot be read")
            try:
                return self.read(index, page, text)
            finally:
                raw.FPDFText_ClosePage(text)
        finally:
            raw.FPDF_ClosePage(page)

    def read(self, index: int, page: raw.FPDF_PAGE, text: raw.FPDF_TEXTPAGE) -> str:
        """A loaded page as it is read, or as it is drawn where that cannot be told."""
        found = characters(text)
        if not found or len(found) != raw.FPDFText_CountChars(text):
            return found
        try:
            lines = every(text, found) if self.prominent else None
            shown = arranged(page, text, found, lines)
            # Of turned lines, the first characters tell how wide they are and not how high.
            if self.prominent and lines and not raw.FPDFPage_GetRotation(page):
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

    def title(self) -> str:
        return str(self.document.get_metadata_value("Title"))

    def headings(self) -> list[Heading]:
        found = []
        for bookmark in self.document.get_toc():
            target = bookmark.get_dest()
            index = target.get_index() if target else None
            if index is not None:
                found.append(Heading(bookmark.level + 1, bookmark.get_title(), index + 1))
        return found or (self.prominent.headings() if self.prominent else [])

    def labels(self) -> list[str]:
        if not self.document.get_page_label(0):
            return []
        return [self.document.get_page_label(index) for index in range(len(self.document))]


def characters(text: raw.FPDF_TEXTPAGE) -> str:
    """All characters of a loaded page, in reading order."""
    count = raw.FPDFText_CountChars(text)
    if count <= 0:
        return ""
    # A character beyond the first 65,536 is two units, and a zero ends the whole.
    buffer = (ctypes.c_ushort * (2 * count + 1))()
    written = raw.FPDFText_GetText(text, 0, 2 * count, buffer)
    return ctypes.string_at(buffer, 2 * max(0, written - 1)).decode("utf-16-le", "ignore")
