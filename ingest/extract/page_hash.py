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
HASHED_KEYS = (
    "/Contents",
    "/Resources",
    "/MediaBox",
    "/CropBox",
    "/Rotate",
    "/UserUnit",
    "/Annots",
)
# Ways back up or to other pages, and what changes without the page: dates, names of programs.
IGNORED_KEYS = frozenset(
    {"/Parent", "/P", "/Popup", "/IRT", "/A", "/AA", "/Dest", "/Next", "/Prev"}
    | {"/StructParent", "/StructParents", "/Metadata"}
)
# What is said of a stream's bytes in the file, and not of the picture.
IGNORED_STREAM_KEYS = frozenset({"/Length", "/Length1", "/Length2", "/Length3", "/PieceInfo"})

MAX_OBJECT_DEPTH = 60  # levels; a page of an honest document has ten
MAX_HASHED_OBJECTS = 50_000  # objects of one page


class UnhashablePage(Exception):
    """A page is too deep, too large or too broken to be told from others."""


class PageHasher:
    """The hashes of the pages of one PDF. What pages share is looked at once."""

    def __init__(self, data: bytes, passwords: Sequence[str] = ()) -> None:
        self.reader = Pypdf(data, passwords).reader
        self.hashes: dict[int, bytes] = {}  # of indirect objects, by number
        self.objects_left = 0

    def hash_page(self, index: int) -> str:
        """The hash of a page, counted from 0. Raises Unidentified, or what pypdf raises."""
        self.objects_left = MAX_HASHED_OBJECTS
        page = self.reader.pages[index]
        whole = hashlib.sha256()
        for name in HASHED_KEYS:
            whole.update(name.encode() + self.hash_object(page.get_inherited(name), 0))
        return whole.hexdigest()

    def hash_object(self, value: object, depth: int) -> bytes:
        """The hash of an object and of everything it leads to."""
        self.objects_left -= 1
        if depth > MAX_OBJECT_DEPTH or self.objects_left < 0:
            raise UnhashablePage
        if isinstance(value, IndirectObject):
            return self.hash_reference(value, depth)
        if isinstance(value, DictionaryObject):
            return self.hash_dictionary(value, depth)
        if isinstance(value, ArrayObject):
            parts = (self.hash_object(part, depth + 1) for part in list.__iter__(value))
            return hashlib.sha256(b"[" + b"".join(parts)).digest()
        if isinstance(value, bytes):
            return hashlib.sha256(b"<" + value).digest()
        return hashlib.sha256(f"{type(value).__name__}:{value}".encode(errors="replace")).digest()

    def hash_reference(self, reference: IndirectObject, depth: int) -> bytes:
        """The hash of what a reference leads to. What leads to itself runs out of depth."""
        number = reference.idnum
        if number not in self.hashes:
            self.hashes[number] = self.hash_object(reference.get_object(), depth + 1)
        return self.hashes[number]

    def hash_dictionary(self, value: DictionaryObject, depth: int) -> bytes:
        """The hash of a dictionary or a stream, whatever the order of its entries."""
        whole = hashlib.sha256(b"{")
        passed_over = (
            IGNORED_KEYS | IGNORED_STREAM_KEYS if isinstance(value, StreamObject) else IGNORED_KEYS
        )
        for name in sorted(set(value) - passed_over):
            part = self.hash_object(value.raw_get(name), depth + 1)
            whole.update(hashlib.sha256(name.encode(errors="replace")).digest() + part)
        if isinstance(value, StreamObject):
            whole.update(hashlib.sha256(value._data).digest())  # noqa: SLF001 - as it stands in the file
        return whole.digest()
