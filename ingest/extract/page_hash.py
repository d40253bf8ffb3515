"""Hash the content of a page: equal for equal pages of any document, without rendering them.

The hash covers everything that a page is drawn from: its content, its resources down to the bytes
of every image, mask and font, its boxes and its rotation. So it survives new versions of PDFium,
and a page that is in two documents is recognised once. Pages that differ must never share a hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject, StreamObject

from ingest.extract.engines.pypdf import Pypdf

# Entries that a page is drawn from; some may be inherited.
HASHED_KEYS = (
    "/Contents",
    "/Resources",
    "/MediaBox",
    "/CropBox",
    "/Rotate",
    "/UserUnit",
    "/Annots",
)
# Links to parents or other pages, and data that changes without the page: dates, program names.
IGNORED_KEYS = frozenset(
    {"/Parent", "/P", "/Popup", "/IRT", "/A", "/AA", "/Dest", "/Next", "/Prev"}
    | {"/StructParent", "/StructParents", "/Metadata"}
)
# Entries about a stream's encoding in the file, not about its content.
IGNORED_STREAM_KEYS = frozenset({"/Length", "/Length1", "/Length2", "/Length3", "/PieceInfo"})

MAX_OBJECT_DEPTH = 60  # a page of an ordinary document has ten levels
MAX_HASHED_OBJECTS = 50_000  # of one page


class UnhashablePage(Exception):
    """A page is nested too deeply or has too many objects to be hashed."""


class PageHasher:
    """Hashes pages of one PDF. Objects that pages share are hashed once."""

    def __init__(self, data: bytes, passwords: Sequence[str] = ()) -> None:
        self.reader = Pypdf(data, passwords).reader
        self.hashes: dict[int, bytes] = {}  # of indirect objects, by object number
        self.objects_left = 0

    def hash_page(self, index: int) -> str:
        """Return the hash of a page, counted from 0.

        Raises UnhashablePage, or any exception of pypdf.
        """
        self.objects_left = MAX_HASHED_OBJECTS
        page = self.reader.pages[index]
        digest = hashlib.sha256()
        for name in HASHED_KEYS:
            digest.update(name.encode() + self.hash_object(page.get_inherited(name), 0))
        return digest.hexdigest()

    def hash_object(self, value: object, depth: int) -> bytes:
        """Hash an object and everything it refers to."""
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
        """Hash the object that a reference points to. A cycle exceeds the maximum depth."""
        number = reference.idnum
        if number not in self.hashes:
            self.hashes[number] = self.hash_object(reference.get_object(), depth + 1)
        return self.hashes[number]

    def hash_dictionary(self, value: DictionaryObject, depth: int) -> bytes:
        """Hash a dictionary or a stream, regardless of the order of its entries."""
        digest = hashlib.sha256(b"{")
        ignored = (
            IGNORED_KEYS | IGNORED_STREAM_KEYS if isinstance(value, StreamObject) else IGNORED_KEYS
        )
        for name in sorted(set(value) - ignored):
            part = self.hash_object(value.raw_get(name), depth + 1)
            digest.update(hashlib.sha256(name.encode(errors="replace")).digest() + part)
        if isinstance(value, StreamObject):
            digest.update(hashlib.sha256(value._data).digest())  # noqa: SLF001 - the raw bytes, undecoded
        return digest.digest()
