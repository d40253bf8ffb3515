"""Read the annotations of a page: notes, and whether it has form fields or attached files.

Each engine reads those of the pages that it read. A page may have a million annotations, so their
number is limited.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.extract.cleaning import clean

if TYPE_CHECKING:
    from pypdf import PageObject
    from pypdf.generic import DictionaryObject
    from pypdfium2 import raw

MAX_PAGE_ANNOTATIONS = 2000
MAX_NOTE_CHARS = 20_000  # of one note, or of one form field

# Links, popups that repeat the note they belong to, form fields, and marks of the print shop.
SKIPPED_SUBTYPES = frozenset(
    {"/Link", "/Popup", "/Widget", "/PrinterMark", "/TrapNet", "/Watermark"}
)
HIDDEN_FLAG, NO_VIEW_FLAG = 1 << 1, 1 << 5  # ISO 32000-2, table 167
STATE_MODEL_KEY = (
    "/StateModel"  # of review states such as "Accepted set by Ann", which are not notes
)


@dataclass(frozen=True, slots=True)
class PageAnnotations:
    """Annotations of one page."""

    notes: tuple[str, ...] = ()
    has_fields: bool = False  # form fields
    has_files: bool = False  # attached files
    has_appearances: bool = False  # annotations that may show other text than their notes
    has_layers: bool = False  # annotations in a layer, which may be switched off
    appearances: tuple[str, ...] = ()  # lines of text that they show


NO_ANNOTATIONS = PageAnnotations()


def read_annotations(page: raw.FPDF_PAGE, count: int) -> PageAnnotations:
    """Read the `count` annotations of a page that PDFium has loaded."""
    from pypdfium2 import raw

    from ingest.extract.engines.pdfium_appearances import has_appearance

    notes: list[str] = []
    kinds = set()
    has_appearances = has_layers = False
    for index in range(min(count, MAX_PAGE_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if not annotation:
            continue
        kind = raw.FPDFAnnot_GetSubtype(annotation)
        kinds.add(kind)
        appears = has_appearance(annotation)
        has_appearances = has_appearances or appears
        is_layered = bool(raw.FPDFAnnot_HasKey(annotation, b"OC"))
        has_layers = has_layers or is_layered
        if kind not in (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP, raw.FPDF_ANNOT_WIDGET):
            skipped = kind in (raw.FPDF_ANNOT_WATERMARK, raw.FPDF_ANNOT_PRINTERMARK)
            skipped = skipped or bool(raw.FPDFAnnot_GetFlags(annotation) & HIDDEN_FLAG)
            # What a text box in a layer shows is read from its appearance, if it shows it.
            skipped = skipped or (is_layered and appears and kind == raw.FPDF_ANNOT_FREETEXT)
            if not skipped and not raw.FPDFAnnot_HasKey(annotation, b"StateModel"):
                notes.append(clean(read_contents(annotation)))
        raw.FPDFPage_CloseAnnot(annotation)
    return PageAnnotations(
        tuple(dict.fromkeys(filter(None, notes))),
        has_fields=raw.FPDF_ANNOT_WIDGET in kinds,
        has_files=raw.FPDF_ANNOT_FILEATTACHMENT in kinds,
        has_appearances=has_appearances,
        has_layers=has_layers,
    )


def read_contents(annotation: raw.FPDF_ANNOTATION) -> str:
    """Return the text of an annotation."""
    from pypdfium2 import raw

    size = raw.FPDFAnnot_GetStringValue(annotation, b"Contents", None, 0)
    if not 2 < size <= 2 * MAX_NOTE_CHARS:  # noqa: PLR2004 - an empty string is a terminator of 2 bytes
        return ""
    buffer = (ctypes.c_ushort * (size // 2))()
    raw.FPDFAnnot_GetStringValue(annotation, b"Contents", buffer, size)
    return bytes(memoryview(buffer).cast("B")).decode("utf-16-le", "ignore").rstrip("\0")


def read_annotations_with_pypdf(page: PageObject) -> PageAnnotations:
    """Read the annotations of a page with pypdf."""
    notes: list[str] = []
    kinds = set()
    for annotation in iter_annotations(page):
        kind = annotation.get("/Subtype")
        kinds.add(kind)
        flags = annotation.get("/F", 0)
        if (
            kind in SKIPPED_SUBTYPES
            or STATE_MODEL_KEY in annotation
            or (isinstance(flags, int) and flags & HIDDEN_FLAG)
        ):
            continue
        text = annotation.get("/Contents", "")
        if isinstance(text, str) and len(text) <= MAX_NOTE_CHARS:
            notes.append(clean(text))
    return PageAnnotations(
        tuple(dict.fromkeys(filter(None, notes))),
        has_fields="/Widget" in kinds,
        has_files="/FileAttachment" in kinds,
    )


def iter_annotations(page: PageObject) -> Iterator[DictionaryObject]:
    """Yield the well-formed annotations of a page."""
    from pypdf.generic import ArrayObject, DictionaryObject

    listed = page.get("/Annots")
    listed = listed.get_object() if listed is not None else None
    for item in listed[:MAX_PAGE_ANNOTATIONS] if isinstance(listed, ArrayObject) else ():
        annotation = item.get_object()
        if isinstance(annotation, DictionaryObject):
            yield annotation
