"""What a child process shows of a scanned page: what it is, and what it looks like.

A child has no network, so it draws the page and its parent sends the picture.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment
from ingest.extract.document import ExtractOptions
from ingest.extract.page_hash import PageHasher
from ingest.extract.pdf import EngineChain, render_pdf_page
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Code

if TYPE_CHECKING:
    from ingest.models import GreyImage

# What Document Intelligence takes: pixels of a side, and in its free tier the bytes of a file.
MIN_SIDE_PIXELS, MAX_SIDE_PIXELS, MAX_UPLOAD_BYTES = 50, 10_000, 4_000_000
ZLIB_LEVEL = 3  # of zlib's levels; the next one takes twice as long for a tenth less


@dataclass(frozen=True, slots=True)
class RenderTask:
    """Pages of a document to tell from others, or one of them to draw."""

    pages: tuple[int, ...]  # as a viewer counts
    passwords: tuple[str, ...] = field(default=(), repr=False)
    extractor: str = "auto"
    draw: bool = False
    attachment_path: tuple[
        str, ...
    ] = ()  # the PDF inside the source that is meant, the outermost first


def render(task: RenderTask, file: BinaryIO, on_page: OnPage) -> dict[int, str] | bytes:
    """The hashes of the pages by number, or the first of them as a PNG.

    A page that cannot be drawn has no hash. Raises DocumentError.
    """
    file.seek(0)
    data = file.read()
    means = ExtractOptions(extractor=task.extractor, passwords=task.passwords)
    for name in task.attachment_path:
        data = extract_attachment(data, means, name)
    engines = EngineChain(data, means)
    if task.draw:
        return encode_for_ocr(render_for_ocr(engines, task.pages[0]))
    return hash_pages(engines, data, task, on_page)


def hash_pages(
    engines: EngineChain, data: bytes, task: RenderTask, on_page: OnPage
) -> dict[int, str]:
    """The hash of each page: by what it is drawn from, else by what it looks like."""
    found: dict[int, str] = {}
    identities: PageHasher | None = None
    for page in task.pages:
        on_page(page, max(task.pages))
        try:
            identities = identities or PageHasher(data, task.passwords)
            found[page] = identities.hash_page(page - 1)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - pypdf raises anything on what PDFium could open
            try:
                found[page] = (
                    "drawn-" + hashlib.sha256(render_for_ocr(engines, page).tobytes()).hexdigest()
                )
            except DocumentError:
                continue
    return found


def render_for_ocr(engines: EngineChain, page: int) -> GreyImage:
    """A page in grey, no larger and no smaller than the service takes. Raises DocumentError."""
    try:
        grey = render_pdf_page(engines, page - 1)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        raise DocumentError(f"page {page} cannot be drawn", Code.PAGES_MISSING) from error
    step = -(-max(grey.shape) // MAX_SIDE_PIXELS)
    grey = grey[::step, ::step]
    lacking = [max(0, MIN_SIDE_PIXELS - side) for side in grey.shape]
    return np.pad(grey, [(0, lacking[0]), (0, lacking[1])], constant_values=255)


def encode_for_ocr(grey: GreyImage) -> bytes:
    """A picture as a file; in sixteen shades, where that makes it light enough."""
    whole = encode_lossless_png(grey)
    return whole if len(whole) <= MAX_UPLOAD_BYTES else encode_lossless_png(grey & np.uint8(0xF0))


def encode_lossless_png(grey: GreyImage) -> bytes:
    """The same without loss: PNG, 8 bits of grey, each row as its difference from the one above."""
    height, width = grey.shape
    rows = np.full((height, width + 1), 2, np.uint8)  # filter "up"
    rows[0, 1:] = grey[0]
    rows[1:, 1:] = grey[1:] - grey[:-1]
    return assemble_png(width, height, 8, zlib.compress(rows.tobytes(), ZLIB_LEVEL))


def assemble_png(width: int, height: int, bits: int, body: bytes) -> bytes:
    """A PNG file of compressed rows, with so many bits of grey for a pixel."""
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(encode_png_chunk(kind, data) for kind, data in parts)


def encode_png_chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
