"""Read PDFs with PDFium. Native code: only run it in a sandbox.

Pages are read with PDFium's plain functions: pypdfium2's objects around them cost a tenth more.
"""

from __future__ import annotations

import ctypes
import io
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import pypdfium2
from pypdfium2 import raw

from ingest.extract.annotations import (
    NO_ANNOTATIONS,
    PageAnnotations,
    may_have_annotations,
    read_annotations,
)
from ingest.extract.engines.pdfium_outline import read_outline
from ingest.extract.engines.pdfium_raw import (
    PageHandle,
    TextHandle,
    address_of,
    close_page,
    close_text,
    count_annotations,
    count_characters,
    count_items,
    entry_of,
    item_at,
    kind_of,
    label_of,
    load_page,
    load_text,
    read_utf16,
    rotation_of,
    text_of,
)
from ingest.extract.layout import TABLE_MARK, arrange_page
from ingest.extract.layout.headings import HeadingDetector
from ingest.extract.layout.lines import measure_all_lines
from ingest.extract.passwords import (
    encode_passwords,
    list_denied_permissions,
    locked_error,
    unsupported_encryption_error,
)

if TYPE_CHECKING:
    from ingest.models import GreyImage, Heading

RENDER_DPI = 200  # OCR reads it well; more costs time and gains little
MAX_RENDER_PIXELS = 16_000_000  # of an image; A3 at 200 dpi has half as many
MIN_LETTER_PATHS = 50  # on a page: fewer paths are rules and frames, more may be letters
MAX_COUNTED_OBJECTS = 5000  # of a page
TEXT_KINDS = {raw.FPDF_PAGEOBJ_TEXT, raw.FPDF_PAGEOBJ_FORM}  # objects that may have text

INFO_KEYS = ("Title", "Author", "CreationDate", "ModDate", "Producer", "Creator")


class Pdfium:
    """A PDF opened by PDFium. Raises DocumentError if no password opens it."""

    def __init__(self, data: bytes, passwords: Sequence[str]) -> None:
        self.document, self.password = open_document(data, passwords)
        self.address = address_of(self.document)
        self.data = data  # PDFium keeps no copy, so it must outlive the document
        self.page_annotations: dict[int, PageAnnotations] = {}
        outlined = raw.FPDFBookmark_GetFirstChild(self.document, None)
        self.heading_detector = None if outlined else HeadingDetector()

    def __len__(self) -> int:
        return len(self.document)

    def text(self, index: int) -> str:
        page = load_page(self.address, index)
        if not page:
            raise ValueError(f"page {index + 1} cannot be loaded")
        try:
            if (count := count_annotations(page)) > 0 and self.has_annotations:
                self.page_annotations[index] = read_annotations(
                    ctypes.cast(page, raw.FPDF_PAGE), count
                )
            text = load_text(page)
            if not text:
                raise ValueError(f"page {index + 1} cannot be read")
            try:
                return self.read_loaded_page(index, page, text)
            finally:
                close_text(text)
        finally:
            close_page(page)

    def read_loaded_page(self, index: int, page: PageHandle, text: TextHandle) -> str:
        """Return the text of a loaded page in reading order; if that fails, in drawing order."""
        count = count_characters(text)
        drawn = read_characters(text, count)
        if not drawn or len(drawn) != count:
            return drawn
        try:
            lines = measure_all_lines(text, drawn) if self.heading_detector else None
            arranged = arrange_page(page, text, drawn, lines)
            # On a rotated page, the box of a line's first character gives the width of its type
            # and not the height.
            if self.heading_detector and lines and not rotation_of(page):
                self.heading_detector.add_page(index + 1, text, drawn, lines)
                if TABLE_MARK in arranged:
                    self.heading_detector.forget_table_lines(index + 1, arranged)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - hostile pages break the layout in any way; the text is there
            return drawn
        return arranged

    def has_graphics(self, index: int) -> bool:
        page = raw.FPDF_LoadPage(self.document, index)
        if not page:
            return False
        try:
            kinds: Counter[int] = Counter()
            for number in range(min(raw.FPDFPage_CountObjects(page), MAX_COUNTED_OBJECTS)):
                kinds[raw.FPDFPageObj_GetType(raw.FPDFPage_GetObject(page, number))] += 1
        finally:
            raw.FPDF_ClosePage(page)
        images = kinds[raw.FPDF_PAGEOBJ_FORM] + kinds[raw.FPDF_PAGEOBJ_IMAGE]
        return images > 0 or kinds[raw.FPDF_PAGEOBJ_PATH] >= MIN_LETTER_PATHS

    def has_no_text(self, index: int) -> bool:
        page = load_page(self.address, index)
        if not page:
            return False
        try:
            count = count_items(page)
            if count:
                # Paths and images at most.
                return count <= MAX_COUNTED_OBJECTS and not any(
                    kind_of(item_at(page, number)) in TEXT_KINDS for number in range(count)
                )
        finally:
            close_page(page)
        from ingest.extract.engines.pypdf import draws_no_text

        # PDFium may have found nothing because the page is damaged.
        return draws_no_text(self.copy_page(index))

    def copy_page(self, index: int) -> bytes:
        """Return a PDF of one page, with its content as it is in the file."""
        with pypdfium2.PdfDocument.new() as copy, io.BytesIO() as file:
            copy.import_pages(self.document, [index])
            copy.save(file)
            return file.getvalue()

    def render(self, index: int) -> GreyImage:
        page = self.document[index]
        width, height = page.get_size()
        scale = min(RENDER_DPI / 72, (MAX_RENDER_PIXELS / max(1.0, width * height)) ** 0.5)
        grey: GreyImage = page.render(scale=scale, grayscale=True).to_numpy().squeeze()
        return grey

    @cached_property
    def has_annotations(self) -> bool:
        """Return whether the document may have annotations other than links."""
        return may_have_annotations(self.data)

    def annotations(self, index: int) -> PageAnnotations:
        return self.page_annotations.get(index, NO_ANNOTATIONS)

    def info(self) -> dict[str, str]:
        return {
            name: read_utf16(partial(entry_of, self.address, name.encode())) for name in INFO_KEYS
        }

    def denied_permissions(self) -> tuple[str, ...]:
        if raw.FPDF_GetSecurityHandlerRevision(self.document) < 0:
            return ()
        return list_denied_permissions(raw.FPDF_GetDocUserPermissions(self.document))

    def may_have_form(self) -> bool:
        return bool(raw.FPDF_GetFormType(self.document) != raw.FORMTYPE_NONE)

    def may_have_attachments(self) -> bool:
        return bool(raw.FPDFDoc_GetAttachmentCount(self.document) > 0)

    def headings(self) -> list[Heading]:
        return read_outline(self.address) or (
            self.heading_detector.headings() if self.heading_detector else []
        )

    def labels(self) -> list[str]:
        if not self.page_label(0) + self.page_label(len(self) - 1):
            return []
        return [self.page_label(index) for index in range(len(self.document))]

    def page_label(self, index: int) -> str:
        """Return the label of a page; "" if it has none."""
        return read_utf16(partial(label_of, self.address, index))


def open_document(data: bytes, passwords: Sequence[str]) -> tuple[pypdfium2.PdfDocument, bytes]:
    """Open a document; returns it with the password that opened it.

    Raises:
        DocumentError: No password opens it.
        ValueError: It is damaged.
    """
    for password in encode_passwords(passwords):
        document = raw.FPDF_LoadMemDocument64(data, len(data), password)
        if document:
            if raw.FPDF_GetPageCount(document) > 0:
                return pypdfium2.PdfDocument(document), password
            raw.FPDF_CloseDocument(document)
            raise ValueError("it has no pages")
        error = raw.FPDF_GetLastError()
        if error == raw.FPDF_ERR_SECURITY:
            raise unsupported_encryption_error()
        if error != raw.FPDF_ERR_PASSWORD:
            reason = pypdfium2.internal.ErrorToStr.get(error, f"error {error}")
            raise ValueError(reason.rstrip("."))
    raise locked_error(passwords)


def read_characters(text: TextHandle, count: int) -> str:
    """Return the `count` characters of a loaded page, in drawing order."""
    if count <= 0:
        return ""
    # UTF-16: a character beyond the first 65,536 is two units, and a zero ends the text.
    buffer = bytearray(2 * (2 * count + 1))
    units = text_of(text, 0, 2 * count, ctypes.addressof(ctypes.c_char.from_buffer(buffer)))
    return str(memoryview(buffer)[: 2 * max(0, units - 1)], "utf-16-le", "ignore")
