"""Read the text that annotations show. Native code: only run it in a sandbox.

A signature, a stamp or a text box shows what its appearance draws, which need not be what its entry
says. PDFium can merge appearances into the page, which changes the document: it is done in a copy.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import pypdfium2
from pypdfium2 import raw

from ingest.extract.annotations import HIDDEN_FLAG, MAX_PAGE_ANNOTATIONS, NO_VIEW_FLAG
from ingest.extract.engines.pdfium_layers import find_switched_off
from ingest.extract.engines.pdfium_objects import leave_out, list_objects
from ingest.extract.engines.pdfium_open import open_document
from ingest.extract.engines.pdfium_raw import (
    address_of,
    close_page,
    close_text,
    count_characters,
    count_items,
    list_page_items,
    load_page,
    load_text,
    read_characters,
)
from ingest.extract.safe_call import try_call_catching_oom

SKIPPED_SUBTYPES = (
    raw.FPDF_ANNOT_LINK,
    raw.FPDF_ANNOT_POPUP,
    raw.FPDF_ANNOT_PRINTERMARK,
    raw.FPDF_ANNOT_TRAPNET,
)
MAX_FLATTENED = 5 * MAX_PAGE_ANNOTATIONS  # annotations of a page; only a hostile one has more
TEXT_BUFFER = 64  # bytes; the names of field types are shorter


def has_appearance(annotation: raw.FPDF_ANNOTATION) -> bool:
    """Return whether an annotation may show text that is nowhere else.

    The values of form fields are read as such; that of a signature is no text.
    """
    if not raw.FPDFAnnot_HasKey(annotation, b"AP"):
        return False
    kind = raw.FPDFAnnot_GetSubtype(annotation)
    flags = raw.FPDFAnnot_GetFlags(annotation)
    if kind in SKIPPED_SUBTYPES or flags & (HIDDEN_FLAG | NO_VIEW_FLAG):
        return False
    if kind != raw.FPDF_ANNOT_WIDGET:
        return True
    field = read_name(annotation, b"FT")
    return field in {"", "Sig"} or (field != "Btn" and not raw.FPDFAnnot_HasKey(annotation, b"V"))


def read_name(annotation: raw.FPDF_ANNOTATION, key: bytes) -> str:
    """Return a short value of an annotation; "" if it has none."""
    buffer = (ctypes.c_ushort * (TEXT_BUFFER // 2))()
    size = raw.FPDFAnnot_GetStringValue(annotation, key, buffer, TEXT_BUFFER)
    return bytes(buffer)[: max(0, min(size, TEXT_BUFFER) - 2)].decode("utf-16-le", "ignore")


@dataclass(slots=True)
class AppearanceReader:
    """Reads the text that the annotations of a document show, in a copy that it changes."""

    data: bytes
    password: bytes
    copy: pypdfium2.PdfDocument | None = None
    is_layered: bool = False  # the copy has the appearances in the layers of their annotations

    def read(self, index: int, *, has_layers: bool) -> str:
        """Return the text of the appearances on a page, some of which may be in layers."""
        if has_layers and not self.is_layered:
            self.copy = None
            self.data = try_call_catching_oom(self.move_layers, self.data)
            self.is_layered = True
        if self.copy is None:
            self.copy, _ = open_document(self.data, (), self.password)
        return read_appearances(address_of(self.copy), index, has_layers=has_layers)

    def move_layers(self) -> bytes:
        """Return the document with appearances in the layers of their annotations."""
        from ingest.extract.engines.annotation_layers import move_layers  # few documents need pypdf

        return move_layers(self.data, self.password)


def read_appearances(document: int, index: int, *, has_layers: bool) -> str:
    """Return the text of the appearances on a page, of a copy that this changes.

    Those that are in a layer may be switched off.
    """
    page = load_page(document, index)
    if not page:
        return ""
    try:
        drawn = count_items(page)
        handle = ctypes.cast(page, raw.FPDF_PAGE)
        if raw.FPDFPage_GetAnnotCount(handle) > MAX_FLATTENED:
            return ""
        for number in range(raw.FPDFPage_GetAnnotCount(handle) - 1, -1, -1):
            if number >= MAX_PAGE_ANNOTATIONS or not is_wanted(handle, number):
                raw.FPDFPage_RemoveAnnot(handle, number)
        if raw.FPDFPage_Flatten(handle, raw.FLAT_NORMALDISPLAY) != raw.FLATTEN_SUCCESS:
            return ""
    finally:
        close_page(page)
    page = load_page(document, index)
    try:
        leave_out(list_page_items(page, drawn))
        leave_out(list_objects(page).unseen)
        if has_layers:
            leave_out(find_switched_off(page))
        return read_text(page)
    finally:
        close_page(page)


def is_wanted(page: raw.FPDF_PAGE, number: int) -> bool:
    """Return whether an annotation of a page has an appearance to read."""
    annotation = raw.FPDFPage_GetAnnot(page, number)
    if not annotation:
        return False
    try:
        return has_appearance(annotation)
    finally:
        raw.FPDFPage_CloseAnnot(annotation)


def read_text(page: int) -> str:
    """Return the text of the active objects of a loaded page."""
    text = load_text(page)
    if not text:
        return ""
    try:
        return read_characters(text, count_characters(text))
    finally:
        close_text(text)
