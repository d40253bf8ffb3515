"""Render a page with the objects that are active. Native code: only run it in a sandbox."""

from __future__ import annotations

import ctypes
from functools import partial
from typing import TYPE_CHECKING

from pypdfium2 import raw

from ingest.extract.engines.pdfium_raw import PageHandle
from ingest.extract.figures.picture import margins, pixels_per_point
from ingest.extract.figures.shapes import Box
from ingest.models import ColourImage, PageShares

if TYPE_CHECKING:
    import numpy as np
    import pypdfium2
    from numpy.typing import NDArray


RENDER_SCALE = 1.5  # pixels per point
MAX_RENDER_PIXELS = 4_000_000
BYTES_PER_PIXEL = 4


def image_shape(page: PageHandle) -> tuple[int, int]:
    """Return the height and the width of the image of a page, in pixels."""
    handle = ctypes.cast(page, raw.FPDF_PAGE)
    width, height = raw.FPDF_GetPageWidthF(handle), raw.FPDF_GetPageHeightF(handle)
    scale = min(RENDER_SCALE, (MAX_RENDER_PIXELS / max(1.0, width * height)) ** 0.5)
    return max(1, round(height * scale)), max(1, round(width * scale))


def render_page(
    page: PageHandle, shape: tuple[int, int], area: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    """Render an area of a page with its objects as they are now, in colour: (height, width, 4).

    Args:
        page: The loaded page.
        shape: Height and width of the image of the whole page.
        area: First and last row and column on it, as to_pixels() returns them.
    """
    import numpy as np  # few documents need it

    top, bottom, left, right = area
    rows, columns = bottom - top, right - left
    image = np.empty((rows, columns, 4), np.uint8)
    bitmap = raw.FPDFBitmap_CreateEx(
        columns, rows, raw.FPDFBitmap_BGRx, image.ctypes.data_as(ctypes.c_void_p), columns * 4
    )
    if not bitmap:
        raise MemoryError
    handle = ctypes.cast(page, raw.FPDF_PAGE)
    try:
        raw.FPDFBitmap_FillRect(bitmap, 0, 0, columns, rows, 0xFFFFFFFF)
        raw.FPDF_RenderPageBitmap(
            bitmap, handle, -left, -top, shape[1], shape[0], 0, raw.FPDF_ANNOT
        )
    finally:
        raw.FPDFBitmap_Destroy(bitmap)
    return image


def render_part(page: pypdfium2.PdfPage, box: PageShares) -> ColourImage:
    """Render a part of a page, and a margin, as viewers show it: (height, width, 3), RGB."""
    width, height = page.get_size()
    left, top, right, bottom = margins(box, width, height)
    scale = pixels_per_point((right - left) * width, (bottom - top) * height)
    crop = (left * width, (1 - bottom) * height, (1 - right) * width, top * height)
    image: ColourImage = page.render(scale=scale, crop=crop, rev_byteorder=True).to_numpy()
    return image[:, :, :3]


def to_pixels(page: PageHandle, box: Box, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Return the first and last row and column of a box on a rendered page."""
    rows, columns = shape[:2]
    handle = ctypes.cast(page, raw.FPDF_PAGE)
    x, y = ctypes.c_int(), ctypes.c_int()
    corners = []
    for corner in (box[:2], box[2:]):
        raw.FPDF_PageToDevice(handle, 0, 0, columns, rows, 0, *corner, x, y)
        corners.append((x.value, y.value))
    (x0, y0), (x1, y1) = corners
    left, right = sorted((x0, x1))
    top, bottom = sorted((y0, y1))
    return max(0, top), bottom + 1, max(0, left), right + 1


def render_alpha(page: PageHandle, width: int, height: int, rotation: int) -> bytes:
    """Render a page on nothing; return the opacity of each pixel, row by row."""
    buffer = ctypes.create_string_buffer(width * height * BYTES_PER_PIXEL)
    bitmap = raw.FPDFBitmap_CreateEx(
        width, height, raw.FPDFBitmap_BGRA, buffer, width * BYTES_PER_PIXEL
    )
    if not bitmap:
        raise MemoryError
    render = partial(raw.FPDF_RenderPageBitmap, bitmap, ctypes.cast(page, raw.FPDF_PAGE))
    try:
        render(0, 0, width, height, rotation, 0)
    finally:
        raw.FPDFBitmap_Destroy(bitmap)
    return buffer.raw[BYTES_PER_PIXEL - 1 :: BYTES_PER_PIXEL]
