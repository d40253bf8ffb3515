"""Stored images of figures, named by their bytes, so that equal images are one file.

Record details name the images of a document. The last document that shows an image takes it along:
`delete_unused` runs once the chunks that named it are deleted.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Protocol

from ingest.errors import ConfigError
from ingest.models import Chunk, PreparedDocument

# Names given by `name_image`, and those of the partial files that a killed process leaves. Files
# of others may be named by a hash, too, so they begin with a word.
IMAGE_NAME = re.compile(r"figure-[0-9a-f]{40}\.(?:png|jpg)")
STORED_NAME = re.compile(rf"{IMAGE_NAME.pattern}|\.{IMAGE_NAME.pattern}\.\w+")
OWNER_FILE_NAME = ".ingest-figures"  # names the index whose images these are
JPEG_START = b"\xff\xd8\xff"


class ImageStore(Protocol):
    """Place for the images of one index. Thread-safe. Raises ConfigError or ServiceError."""

    # for messages
    @property
    def place(self) -> str: ...

    # claim the place for an index, by its key, or only look who has claimed it; raises ConfigError
    # if another index has
    def claim(self, owner: str, *, write: bool) -> None: ...

    # store an image, unless it is there; return its name
    def keep(self, image: bytes) -> str: ...

    def has(self, name: str) -> bool: ...

    # where applications find a stored image
    def address(self, name: str) -> str: ...

    # of all stored images, in any order
    def names(self) -> Iterator[str]: ...

    # an unknown name counts as deleted
    def delete(self, names: Collection[str]) -> None: ...


def name_image(image: bytes) -> str:
    """Return the name of an image: a hash of its bytes, and the ending of its format."""
    ending = "jpg" if image.startswith(JPEG_START) else "png"
    return f"figure-{hashlib.sha256(image).hexdigest()[:40]}.{ending}"


def other_owner_error(place: str) -> ConfigError:
    """Return the error for a place with the images of another index."""
    return ConfigError(
        f"{place} has the figures of another index, which would delete those of this one: set "
        f"INGEST_FIGURES_TO to a place of its own; if that index is gone, or was moved, delete "
        f"{OWNER_FILE_NAME} there"
    )


def add_images(document: PreparedDocument, store: ImageStore) -> PreparedDocument:
    """Return a document that names its images in its details, and has their addresses in chunks."""
    names = {chunk.figure.image for chunk in document.chunks if chunk.figure} - {""}
    if not names:
        return document
    return replace(
        document,
        chunks=tuple(with_address(chunk, store) for chunk in document.chunks),
        details=replace(document.details, images=tuple(sorted(names))),
    )


def with_address(chunk: Chunk, store: ImageStore) -> Chunk:
    """Return a chunk with the address of its figure's image, instead of its name."""
    if chunk.figure is None or not chunk.figure.image:
        return chunk
    return replace(chunk, figure=replace(chunk.figure, image=store.address(chunk.figure.image)))
