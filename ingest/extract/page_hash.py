"""What a page is, as a hash that no renderer has a part in: equal for equal pages of any document.

It covers all that a page is drawn from: its content, its resources down to the bytes of every
picture, mask and font, its boxes and its rotation. So it outlives a new version of PDFium, and the
page that stands in two documents is one page. Two pages that differ must never get the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    StreamObject,
)

from ingest.extract.engines.pypdf import Pypdf

# What a page is drawn from; a page inherits some of it.
DRAWN = ("/Contents", "/Resources", "/MediaBox", "/CropBox", "/Rotate", "/UserUnit", "/Annots")
# Ways back up or to other pages, and what changes without the page: dates, names of programs.
ELSEWHERE = frozenset(
    {"/Parent", "/P", "/Popup", "/IRT", "/A", "/AA", "/Dest", "/Next", "/Prev"}
    | {"/StructParent", "/StructParents", "/Metadata"}
)
# What is said of a stream's bytes in the file, and not of the picture.
OF_THE_FILE = frozenset({"/Length", "/Length1", "/Length2", "/Length3", "/PieceInfo"})

DEEPEST = 60  # levels; a page of an honest document has ten
MOST = 50_000  # objects of one page


class Unidentified(Exception):
    """A page is too deep, too large or too broken to be told from others."""


class Identities:
    """The hashes of the pages of one PDF. What pages share is looked at once."""

    def __init__(self, data: bytes, passwords: Sequence[str] = ()) -> None:
        self.reader = Pypdf(data, passwords).reader
        self.known: dict[int, bytes] = {}  # of indirect objects, by number
        self.left = 0

    def of(self, index: int) -> str:
        """The hash of a page, counted from 0. Raises Unidentified, or what pypdf raises."""
        self.left = MOST
        page = self.reader.pages[index]
        whole = hashlib.sha256()
        for name in DRAWN:
            whole.update(name.encode() + self.digest(page.get_inherited(name), 0))
        return whole.hexdigest()

    def digest(self, value: object, depth: int) -> bytes:
        """The hash of an object and of everything it leads to."""
        self.left -= 1
        if depth > DEEPEST or self.left < 0:
            raise Unidentified
        if isinstance(value, IndirectObject):
            return self.referred(value, depth)
        if isinstance(value, DictionaryObject):
            return self.dictionary(value, depth)
        if isinstance(value, ArrayObject):
            parts = (self.digest(part, depth + 1) for part in list.__iter__(value))
            return hashlib.sha256(b"[" + b"".join(parts)).digest()
        if isinstance(value, bytes):
            return hashlib.sha256(b"<" + value).digest()
        return hashlib.sha256(f"{type(value).__name__}:{value}".encode(errors="replace")).digest()

    def referred(self, reference: IndirectObject, depth: int) -> bytes:
        """The hash of what a reference leads to. What leads to itself runs out of depth."""
        number = reference.idnum
        if number not in self.known:
            self.known[number] = self.digest(reference.get_object(), depth + 1)
        return self.known[number]

    def dictionary(self, value: DictionaryObject, depth: int) -> bytes:
        """The hash of a dictionary or a stream, whatever the order of its entries."""
        whole = hashlib.sha256(b"{")
        passed_over = ELSEWHERE | OF_THE_FILE if isinstance(value, StreamObject) else ELSEWHERE
        for name in sorted(set(value) - passed_over):
            part = self.digest(value.raw_get(name), depth + 1)
            whole.update(hashlib.sha256(name.encode(errors="replace")).digest() + part)
        if isinstance(value, StreamObject):
            whole.update(hashlib.sha256(value._data).digest())  # noqa: SLF001 - as it stands in the file
        return whole.digest()
