"""The stored images of one document: in its chunks, and in its details."""

from __future__ import annotations

from dataclasses import replace

from ingest.models import Chunk, PreparedDocument
from ingest.pipeline.images import ImageStore


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
