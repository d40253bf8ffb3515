"""Copy a PDF with the layer of each annotation as that of its appearance.

PDFium draws annotations whatever their layers are, but not the contents of layers that are off.
"""

from __future__ import annotations

import io

from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject

from ingest.extract.annotations import iter_annotations
from ingest.extract.engines.glyph_names import MAX_REPAIRED_BYTES
from ingest.extract.engines.pypdf import Pypdf


def move_layers(data: bytes, password: bytes) -> bytes:
    """Return a PDF whose appearances have the layers of their annotations.

    Raises any exception of pypdf, and ValueError if the document is too large.
    """
    if len(data) > MAX_REPAIRED_BYTES:
        raise ValueError("the document is too large")
    writer = PdfWriter(clone_from=Pypdf(data, (), password).reader)
    for page in writer.pages:
        for annotation in iter_annotations(page):
            if "/OC" in annotation and "/AP" in annotation:
                for appearance in list_appearances(annotation):
                    appearance[NameObject("/OC")] = annotation.raw_get("/OC")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def list_appearances(annotation: DictionaryObject) -> list[DictionaryObject]:
    """List what an annotation shows: one appearance, or one for each of its states."""
    entry = annotation["/AP"]
    shown = entry.get("/N") if isinstance(entry, DictionaryObject) else None
    shown = shown.get_object() if shown else None
    if isinstance(shown, StreamObject):
        return [shown]
    states = shown.values() if isinstance(shown, DictionaryObject) else ()
    found = (state.get_object() for state in states)
    return [state for state in found if isinstance(state, DictionaryObject)]
