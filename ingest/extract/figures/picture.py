"""Size of the picture of a figure that a model is sent. Pure."""

from __future__ import annotations

import struct

from ingest.models import Figure, PageShares

PIXELS_PER_POINT = 3.0  # 216 dpi: the numbers on an axis can be read
# Models make a larger picture smaller before they look at it, to 768 pixels of its shorter side or
# 1,536 squares of 32 pixels, so more would only take longer to send.
MAX_SIDE_PIXELS = 1536
MIN_SIDE_PIXELS = 32
MARGIN_POINTS = 4.0  # around the figure: its lines may be on its edge

PNG_START, JPEG_START = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
PNG_SIZE_OFFSET = 16  # of width and height, in the first chunk
JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})  # markers that tell the size


def pixels_per_point(width: float, height: float) -> float:
    """Return the scale at which a figure of this many points is drawn."""
    return min(PIXELS_PER_POINT, MAX_SIDE_PIXELS / max(1.0, width, height))


def margins(box: PageShares, width: float, height: float) -> PageShares:
    """Return a box with a margin, on a page of this many points."""
    across, along = MARGIN_POINTS / max(1.0, width), MARGIN_POINTS / max(1.0, height)
    return (
        max(0.0, box[0] - across),
        max(0.0, box[1] - along),
        min(1.0, box[2] + across),
        min(1.0, box[3] + along),
    )


def expected_size(figure: Figure) -> tuple[int, int]:
    """Return width and height in pixels of the picture of a figure."""
    width, height = (side + 2 * MARGIN_POINTS for side in figure.size)
    scale = pixels_per_point(width, height)
    return (
        max(MIN_SIDE_PIXELS, round(width * scale)),
        max(MIN_SIDE_PIXELS, round(height * scale)),
    )


def media_type(picture: bytes) -> str:
    """Return the media type of a picture."""
    return "image/jpeg" if picture.startswith(JPEG_START) else "image/png"


def read_size(picture: bytes) -> tuple[int, int]:
    """Return width and height of a PNG or JPEG, by its header. Raises ValueError."""
    try:
        if picture.startswith(PNG_START):
            width, height = struct.unpack_from(">II", picture, PNG_SIZE_OFFSET)
            return width, height
        offset = 2
        while picture.startswith(JPEG_START) and picture[offset] == 0xFF:  # noqa: PLR2004 - a marker
            marker, length = picture[offset + 1], struct.unpack_from(">H", picture, offset + 2)[0]
            if marker in JPEG_FRAMES:
                height, width = struct.unpack_from(">HH", picture, offset + 5)
                return width, height
            offset += 2 + length
    except (struct.error, IndexError):
        pass
    raise ValueError("it is no picture")
