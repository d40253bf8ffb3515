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
from ingest.extract.attachments import embedded
from ingest.extract.document import Engines, Means, picture
from ingest.extract.page_hash import Identities
from ingest.extract.sandbox.pool import Beat
from ingest.models import Code

if TYPE_CHECKING:
    from ingest.models import Picture

# What Document Intelligence takes: pixels of a side, and in its free tier the bytes of a file.
SHORTEST, LONGEST, LIGHT = 50, 10_000, 4_000_000
FAST = 3  # of zlib's levels; the next one takes twice as long for a tenth less


@dataclass(frozen=True, slots=True)
class Look:
    """Pages of a document to tell from others, or one of them to draw."""

    pages: tuple[int, ...]  # as a viewer counts
    passwords: tuple[str, ...] = field(default=(), repr=False)
    extractor: str = "auto"
    draw: bool = False
    within: tuple[str, ...] = ()  # the PDF inside the source that is meant, the outermost first


def look(task: Look, file: BinaryIO, beat: Beat) -> dict[int, str] | bytes:
    """The hashes of the pages by number, or the first of them as a PNG.

    A page that cannot be drawn has no hash. Raises DocumentError.
    """
    file.seek(0)
    data = file.read()
    means = Means(extractor=task.extractor, passwords=task.passwords)
    for name in task.within:
        data = embedded(data, means, name)
    engines = Engines(data, means)
    if task.draw:
        return png(drawn(engines, task.pages[0]))
    return identified(engines, data, task, beat)


def identified(engines: Engines, data: bytes, task: Look, beat: Beat) -> dict[int, str]:
    """The hash of each page: by what it is drawn from, else by what it looks like."""
    found: dict[int, str] = {}
    identities: Identities | None = None
    for page in task.pages:
        beat(page, max(task.pages))
        try:
            identities = identities or Identities(data, task.passwords)
            found[page] = identities.of(page - 1)
        except MemoryError:
            raise
        except Exception:  # noqa: BLE001 - pypdf raises anything on what PDFium could open
            try:
                found[page] = "drawn-" + hashlib.sha256(drawn(engines, page).tobytes()).hexdigest()
            except DocumentError:
                continue
    return found


def drawn(engines: Engines, page: int) -> Picture:
    """A page in grey, no larger and no smaller than the service takes. Raises DocumentError."""
    try:
        grey = picture(engines, page - 1)
    except (DocumentError, MemoryError):
        raise
    except Exception as error:
        raise DocumentError(f"page {page} cannot be drawn", Code.PAGES_MISSING) from error
    step = -(-max(grey.shape) // LONGEST)
    grey = grey[::step, ::step]
    lacking = [max(0, SHORTEST - side) for side in grey.shape]
    return np.pad(grey, [(0, lacking[0]), (0, lacking[1])], constant_values=255)


def png(grey: Picture) -> bytes:
    """A picture as a file; in sixteen shades, where that makes it light enough."""
    whole = encoded(grey)
    return whole if len(whole) <= LIGHT else encoded(grey & np.uint8(0xF0))


def encoded(grey: Picture) -> bytes:
    """The same without loss: PNG, 8 bits of grey, each row as its difference from the one above."""
    height, width = grey.shape
    rows = np.full((height, width + 1), 2, np.uint8)  # filter "up"
    rows[0, 1:] = grey[0]
    rows[1:, 1:] = grey[1:] - grey[:-1]
    return assembled(width, height, 8, zlib.compress(rows.tobytes(), FAST))


def assembled(width: int, height: int, bits: int, body: bytes) -> bytes:
    """A PNG file of compressed rows, with so many bits of grey for a pixel."""
    head = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(piece(kind, data) for kind, data in parts)


def piece(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
