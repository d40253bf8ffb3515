"""Hash and render scanned pages in the sandbox, for an OCR service to read.

The sandbox has no network: it renders the page, and its parent sends the image.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import re
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from ingest.errors import DocumentError
from ingest.extract.attachments import extract_attachment
from ingest.extract.document import ExtractOptions
from ingest.extract.engines.chain import EngineChain
from ingest.extract.figures.document import crop_image
from ingest.extract.figures.picture import JPEG_START, MIN_SIDE_PIXELS, PNG_START
from ingest.extract.page_hash import PageHasher
from ingest.extract.pdf import render_pdf_page
from ingest.extract.sandbox.answers import InvalidAnswerError
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Code, GreyImage, PageShares

# Limits of Document Intelligence: pixels per side, and bytes per file in its free tier.
MIN_OCR_PIXELS, MAX_SIDE_PIXELS, MAX_UPLOAD_BYTES = 50, 10_000, 4_000_000
# Of zlib's levels. Its default, 6, takes half as long again for 3% less.
COMPRESSION_LEVEL = 4
MAX_PNG_BYTES, JPEG_QUALITY = 400_000, 88  # of a figure's picture; above, a JPEG may be smaller
# Of an answer. The largest picture, of 10,000 x 10,000 pixels of noise in 16 greys, has 50 MB; this
# process holds one for each page that is being recognised.
MAX_PICTURE_BYTES = 64 << 20
PAGE_HASH = re.compile("(drawn-)?[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RenderTask:
    """Request to hash pages of a document, or to render one of them."""

    pages: tuple[int, ...]  # counted from 1
    passwords: tuple[str, ...] = field(default=(), repr=False)
    extractor: str = "auto"
    draw: bool = False  # render the first of the pages
    box: PageShares | None = None  # a part of that page; None for all of it
    in_colour: bool = False  # the part, for a model to describe
    # names that lead to the PDF inside the source, outermost first
    attachment_path: tuple[str, ...] = ()


def render(task: RenderTask, file: BinaryIO, on_page: OnPage) -> dict[int, str] | bytes:
    """Return the hashes of the pages by number, or the first page as PNG.

    A page that cannot be rendered has no hash. Raises DocumentError.
    """
    file.seek(0)
    data = file.read()
    options = ExtractOptions(extractor=task.extractor, passwords=task.passwords)
    for name in task.attachment_path:
        data = extract_attachment(data, options, name)
    engines = EngineChain(data, options)
    if task.in_colour and task.box:
        return render_figure(engines, task.pages[0], task.box)
    if task.draw:
        return encode_for_ocr(render_for_ocr(engines, task.pages[0], task.box))
    return hash_pages(engines, data, task, on_page)


def accept_pages(task: RenderTask, answer: dict[int, str] | bytes) -> dict[int, str] | bytes:
    """Return an answer if it fits its task. Raises InvalidAnswerError otherwise."""
    if task.draw:
        starts = (PNG_START, JPEG_START) if task.in_colour else (PNG_START,)
        if isinstance(answer, bytes) and len(answer) > MAX_PICTURE_BYTES:
            raise InvalidAnswerError("its picture is larger than any that is drawn")
        if isinstance(answer, bytes) and answer.startswith(starts):
            return answer
        raise InvalidAnswerError("it is not a picture")
    if isinstance(answer, bytes) or not answer.keys() <= set(task.pages):
        raise InvalidAnswerError("it is not about the pages that were asked for")
    if not all(PAGE_HASH.fullmatch(value) for value in answer.values()):
        raise InvalidAnswerError("it has an invalid hash")
    return answer


def hash_pages(
    engines: EngineChain, data: bytes, task: RenderTask, on_page: OnPage
) -> dict[int, str]:
    """Hash each page by the objects it is made of, or else by its pixels."""
    hashes: dict[int, str] = {}
    hasher: PageHasher | None = None
    for page in task.pages:
        on_page(page, max(task.pages))
        try:
            hasher = hasher or PageHasher(data, task.passwords)
            hashes[page] = hasher.hash_page(page - 1)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - pypdf may raise anything on a file that PDFium can open
            with contextlib.suppress(DocumentError):
                pixels = render_for_ocr(engines, page).tobytes()
                hashes[page] = "drawn-" + hashlib.sha256(pixels).hexdigest()
    return hashes


def render_for_ocr(engines: EngineChain, page: int, box: PageShares | None = None) -> GreyImage:
    """Render a page in grey, or a part of it, within the size limits of the service.

    Raises DocumentError.
    """
    try:
        grey = render_pdf_page(engines, page - 1)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        raise DocumentError(f"page {page} cannot be rendered", Code.PAGES_MISSING) from error
    if box:
        grey = crop_image(grey, box)
    step = -(-max(grey.shape) // MAX_SIDE_PIXELS)
    grey = grey[::step, ::step]
    missing = [(0, max(0, MIN_OCR_PIXELS - side)) for side in grey.shape]
    return np.pad(grey, missing, constant_values=255)


def render_figure(engines: EngineChain, page: int, box: PageShares) -> bytes:
    """Return the picture of a figure in colour, as PNG, or as JPEG where that is much smaller.

    Raises DocumentError.
    """
    from PIL import Image  # not needed in a run without images

    try:
        colour = engines.first().render_part(page - 1, box)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        raise DocumentError(f"page {page} cannot be rendered", Code.PAGES_MISSING) from error
    missing = [(0, max(0, MIN_SIDE_PIXELS - side)) for side in colour.shape[:2]]
    image = Image.fromarray(np.pad(colour, [*missing, (0, 0)], constant_values=255))
    file, smaller = io.BytesIO(), io.BytesIO()
    image.save(file, "PNG", compress_level=COMPRESSION_LEVEL)
    if file.tell() <= MAX_PNG_BYTES:
        return file.getvalue()
    image.save(smaller, "JPEG", quality=JPEG_QUALITY)
    return min(file.getvalue(), smaller.getvalue(), key=len)


def encode_for_ocr(grey: GreyImage) -> bytes:
    """Encode an image as PNG; in 16 shades of grey if it would be over MAX_UPLOAD_BYTES."""
    whole = encode_png(grey)
    return whole if len(whole) <= MAX_UPLOAD_BYTES else encode_png(grey & np.uint8(0xF0))


def encode_png(grey: GreyImage, bits: int = 8) -> bytes:
    """Encode an image as PNG; with 4 or 2 bits a pixel, as a palette of 16 or 4 even greys."""
    from PIL import Image  # not needed in a run without images

    if bits == 8:  # noqa: PLR2004 - all greys
        image = Image.fromarray(grey)
    else:
        top = (1 << bits) - 1  # the lightest shade
        image = Image.fromarray(((grey.astype(np.uint16) * top + 127) // 255).astype(np.uint8))
        image.putpalette(bytes(shade * 255 // top for shade in range(top + 1) for _ in "RGB"))
    file = io.BytesIO()
    image.save(file, "PNG", bits=bits, compress_level=COMPRESSION_LEVEL)
    return file.getvalue()
