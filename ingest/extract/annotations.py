"""What people have written on the pages: notes, comments, free text; and that there are fields.

A page may carry a million annotations, so only so many are looked at. PDFium's plain functions and
pypdf's objects, each where the page was read with it.
"""

from __future__ import annotations

import ctypes
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.extract.cleaning import clean

if TYPE_CHECKING:
    from pypdf import PageObject
    from pypdf.generic import DictionaryObject
    from pypdfium2 import raw

MAX_PAGE_ANNOTATIONS = 2000  # annotations of a page
MAX_NOTE_CHARS = 20_000  # of one note, or of one field

# A link leads elsewhere, a popup shows the note it belongs to, a widget is a field of a form, and
# a watermark is the printer's.
SKIPPED_SUBTYPES = frozenset(
    {"/Link", "/Popup", "/Widget", "/PrinterMark", "/TrapNet", "/Watermark"}
)
HIDDEN_FLAG = 0b10  # ISO 32000-2, table 167
STATE_MODEL_KEY = "/StateModel"  # "Accepted set by Ann" is no note


SUBTYPE_KEY = b"/Subtype"
# What else has a subtype: fonts, images, links; these are not looked at one by one.
RELEVANT_SUBTYPE = re.compile(
    rb"\s*/(?:Widget|Text|FreeText|Highlight|Underline|Squiggly|StrikeOut|Stamp|Caret|Ink|Line"
    rb"|Square|Circle|Polygon|PolyLine|FileAttachment|Redact|Sound|Movie|Screen)\b"
)
STREAM_START = re.compile(rb"[^>]{0,200}>>\s*stream\r?\n")
MAX_OBJECT_STREAM_BYTES = 64 << 20  # bytes of objects that are unpacked to look for them


@dataclass(frozen=True, slots=True)
class PageAnnotations:
    """What is on a page beside its content."""

    notes: tuple[str, ...] = ()
    has_fields: bool = False  # of a form
    has_files: bool = False


NO_ANNOTATIONS = PageAnnotations()


def may_have_annotations(data: bytes) -> bool:
    """Whether a PDF may have marks: to ask PDFium of each of a thousand links takes longer."""
    if b"/Encrypt" in data or has_relevant_subtype(data):
        return True
    room, place = MAX_OBJECT_STREAM_BYTES, 0
    while (place := data.find(b"/ObjStm", place) + 1) > 0:
        start = STREAM_START.match(data, place)
        if start is None or room <= 0:
            return True
        try:
            unpacked = zlib.decompressobj().decompress(memoryview(data)[start.end() :], room)
        except zlib.error:
            return True
        if has_relevant_subtype(unpacked):
            return True
        room -= len(unpacked)
    return False


def has_relevant_subtype(data: bytes) -> bool:
    """Whether objects that are not packed have a subtype worth a look."""
    place = 0
    while (place := data.find(SUBTYPE_KEY, place) + len(SUBTYPE_KEY)) >= len(SUBTYPE_KEY):
        if RELEVANT_SUBTYPE.match(data, place):
            return True
    return False


def read_annotations(page: raw.FPDF_PAGE, count: int) -> PageAnnotations:
    """The marks on a page that PDFium has loaded, of so many annotations."""
    from pypdfium2 import raw

    notes: list[str] = []
    kinds = set()
    for place in range(min(count, MAX_PAGE_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(page, place)
        if not annotation:
            continue
        kind = raw.FPDFAnnot_GetSubtype(annotation)
        kinds.add(kind)
        if kind not in (raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP, raw.FPDF_ANNOT_WIDGET):
            silent = kind in (raw.FPDF_ANNOT_WATERMARK, raw.FPDF_ANNOT_PRINTERMARK)
            silent = silent or bool(raw.FPDFAnnot_GetFlags(annotation) & HIDDEN_FLAG)
            if not silent and not raw.FPDFAnnot_HasKey(annotation, b"StateModel"):
                notes.append(clean(read_contents(annotation)))
        raw.FPDFPage_CloseAnnot(annotation)
    return PageAnnotations(
        tuple(dict.fromkeys(filter(None, notes))),
        has_fields=raw.FPDF_ANNOT_WIDGET in kinds,
        has_files=raw.FPDF_ANNOT_FILEATTACHMENT in kinds,
    )


def read_contents(annotation: raw.FPDF_ANNOTATION) -> str:
    """The text of one annotation."""
    from pypdfium2 import raw

    size = raw.FPDFAnnot_GetStringValue(annotation, b"Contents", None, 0)
    if not 2 < size <= 2 * MAX_NOTE_CHARS:  # noqa: PLR2004 - a zero alone is an empty string
        return ""
    buffer = (ctypes.c_ushort * (size // 2))()
    raw.FPDFAnnot_GetStringValue(annotation, b"Contents", buffer, size)
    return bytes(memoryview(buffer).cast("B")).decode("utf-16-le", "ignore").rstrip("\0")


def read_annotations_with_pypdf(page: PageObject) -> PageAnnotations:
    """The same of a page of pypdf's."""
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
    """The annotations of a page, as far as they are any."""
    from pypdf.generic import ArrayObject, DictionaryObject

    listed = page.get("/Annots")
    listed = listed.get_object() if listed is not None else None
    for item in listed[:MAX_PAGE_ANNOTATIONS] if isinstance(listed, ArrayObject) else ():
        annotation = item.get_object()
        if isinstance(annotation, DictionaryObject):
            yield annotation
