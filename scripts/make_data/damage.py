"""Turn good PDFs into the kinds that give an extractor trouble."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from random import Random

import fontpkg
from fonts import SANS
from PIL import Image, ImageDraw, ImageFont
from pypdf import PdfReader, PdfWriter
from pypdfium2 import PdfDocument
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

SCAN_DPI = 120


@contextmanager
def seed_secrets(seed: str) -> Iterator[None]:
    """Let the `secrets` module repeat itself, since keys and salts would differ on every run.

    That makes the encryption worthless as a protection, which in samples it need not be.
    """
    original = secrets.token_bytes
    secrets.token_bytes = lambda nbytes=None: Random(seed).randbytes(nbytes or 32)
    try:
        yield
    finally:
        secrets.token_bytes = original


def lock(pdf: bytes, password: str, owner: str) -> bytes:
    """Encrypt with AES-256; an empty password is one that viewers try by themselves."""
    writer = PdfWriter(clone_from=PdfReader(BytesIO(pdf)))
    file = BytesIO()
    with seed_secrets(owner):
        writer.encrypt(password, owner, algorithm="AES-256")
        writer.write(file)
    return file.getvalue()


def scan(pdf: bytes, angles: Sequence[float] = (0.7,), stamp: str = "") -> bytes:
    """Photograph the first pages as an office scanner would: grey, with grain, no text.

    Each lies askew by its angle, in degrees, and the last one bears a stamp if there is one to put
    on it. It is dated 2000, as from a scanner whose clock nobody has set.
    """
    file = BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1, initialFontName="Helvetica")
    canvas.setTitle("Scan 0001")
    with PdfDocument(pdf) as document:
        pages = [
            document[index].render(scale=SCAN_DPI / 72, grayscale=True).to_pil()
            for index in range(len(angles))
        ]
    if stamp:
        press(pages[-1], stamp)
    for page, angle in zip(pages, angles, strict=True):
        canvas.drawImage(ImageReader(photograph(page, angle)), 0, 0, *A4)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def photograph(page: Image.Image, angle: float) -> BytesIO:
    """A page as a JPEG, turned by some degrees and with grain."""
    turned = page.rotate(angle, resample=Image.Resampling.BICUBIC, fillcolor=255)
    grain = Image.frombytes("L", page.size, Random("scan").randbytes(page.width * page.height))
    photo = BytesIO()
    Image.blend(turned, grain, alpha=0.06).save(photo, "JPEG", quality=40)
    return photo


def press(page: Image.Image, text: str) -> None:
    """Stamp a page in the lower right quarter: pale capitals in a frame, by a careless hand."""
    font = ImageFont.truetype(str(fontpkg.path(SANS, weight=700)), 34)
    width, height = (round(side) + 40 for side in font.getbbox(text)[2:])
    ink = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(ink)
    draw.rectangle((3, 3, width - 4, height - 4), outline=150, width=4)
    draw.text((20, 16), text, font=font, fill=150)
    ink = ink.rotate(9, expand=True, resample=Image.Resampling.BICUBIC)
    page.paste(60, (page.width - ink.width - 90, page.height - ink.height - 220), ink)


def truncate(pdf: bytes) -> bytes:
    """Keep the first third, like a download that broke off before the page tree was there."""
    return pdf[: len(pdf) // 3]
