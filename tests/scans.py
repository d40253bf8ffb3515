"""Make scans: pages that are images, with their text encoded in black and white squares.

The text can be decoded from the image alone, at any size.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path

from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from tests.pdfs import set_age

SIDE = 64  # squares in a row and in a column
WIDTH, HEIGHT = 400, 560  # points of a page
ROOM = SIDE * SIDE // 8 - 6  # bytes


def scan(*texts: str) -> bytes:
    """A PDF with a page for each text; one that begins with "= " is typed and not scanned."""
    out = io.BytesIO()
    canvas = Canvas(out, (WIDTH, HEIGHT), invariant=True)
    for text in texts:
        if text.startswith("= "):
            canvas.drawString(30, HEIGHT - 40, text.removeprefix("= "))
        else:
            canvas.drawImage(ImageReader(squares(text)), 0, 0, WIDTH, HEIGHT)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def write(path: Path, *texts: str, age: float = 100.0) -> Path:
    """A PDF of scans on disk, old enough that its time can be trusted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(scan(*texts))
    return set_age(path, age)


def squares(text: str) -> Image.Image:
    """Encode a text as an image."""
    data = text.encode()
    assert len(data) <= ROOM
    whole = zlib.crc32(data).to_bytes(4) + len(data).to_bytes(2) + data
    bits = "".join(f"{byte:08b}" for byte in whole).ljust(SIDE * SIDE, "0")
    picture = Image.new("L", (SIDE, SIDE))
    picture.putdata([255 if bit == "0" else 0 for bit in bits])
    return picture.resize((SIDE * 4, SIDE * 4), Image.Resampling.NEAREST)


def read(picture: Image.Image) -> str:
    """Decode the text of an image; "" for any other image."""
    grey = picture.convert("L")
    centres = [(n + 0.5) / SIDE for n in range(SIDE)]
    dark = [
        int(grey.getpixel((int(x * grey.width), int(y * grey.height))) < 128)  # type: ignore[operator]
        for y in centres
        for x in centres
    ]
    whole = bytes(
        int("".join(map(str, dark[place : place + 8])), 2) for place in range(0, len(dark), 8)
    )
    data = whole[6 : 6 + int.from_bytes(whole[4:6])]
    return data.decode() if zlib.crc32(data).to_bytes(4) == whole[:4] else ""
