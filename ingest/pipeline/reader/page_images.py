"""What a child process shows of a scanned page: what it is, and what it looks like.

A child has no network, so it draws the page and its parent sends the picture.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment
from ingest.extract.document import EngineChain, ExtractOptions, render_pdf_page
from ingest.extract.page_hash import PageHasher
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Code

if TYPE_CHECKING:
    from ingest.models import GreyImage

# What Document Intelligence takes: pixels of a side, and in its free tier the bytes of a file.
MIN_SIDE_PIXELS, MAX_SIDE_PIXELS, MAX_UPLOAD_BYTES = 50, 10_000, 4_000_000
# Of zlib's levels. Its default, 6, takes half as long again for 3% less.
COMPRESSION_LEVEL = 4


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
    """Encode a picture as PNG; in 16 shades of grey if it would be over MAX_UPLOAD_BYTES."""
    whole = encode_png(grey)
    return whole if len(whole) <= MAX_UPLOAD_BYTES else encode_png(grey & np.uint8(0xF0))


def encode_png(grey: GreyImage, bits: int = 8) -> bytes:
    """Encode a picture as PNG; with 4 or 2 bits a pixel, as a palette of 16 or 4 even greys."""
    from PIL import Image  # not needed in a run without pictures

    if bits == 8:  # noqa: PLR2004 - all greys
        image = Image.fromarray(grey)
    else:
        top = (1 << bits) - 1  # the lightest shade
        image = Image.fromarray(((grey.astype(np.uint16) * top + 127) // 255).astype(np.uint8))
        image.putpalette(bytes(shade * 255 // top for shade in range(top + 1) for _ in "RGB"))
    file = io.BytesIO()
    image.save(file, "PNG", bits=bits, compress_level=COMPRESSION_LEVEL)
    return file.getvalue()
