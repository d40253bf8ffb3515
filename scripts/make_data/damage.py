"""Turn good PDFs into the kinds that give an extractor trouble."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from random import Random

from PIL import Image
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


def scan(pdf: bytes) -> bytes:
    """Photograph the first page as an office scanner would: grey, askew, with grain, no text.

    It is dated 2000, as from a scanner whose clock nobody has set.
    """
    with PdfDocument(pdf) as document:
        page = document[0].render(scale=SCAN_DPI / 72, grayscale=True).to_pil()
    page = page.rotate(0.7, resample=Image.Resampling.BICUBIC, fillcolor=255)
    grain = Image.frombytes("L", page.size, Random("scan").randbytes(page.width * page.height))
    page = Image.blend(page, grain, alpha=0.06)
    photo = BytesIO()
    page.save(photo, "JPEG", quality=40)

    file = BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1, initialFontName="Helvetica")
    canvas.setTitle("Scan 0001")
    canvas.drawImage(ImageReader(photo), 0, 0, *A4)
    canvas.save()
    return file.getvalue()


def truncate(pdf: bytes) -> bytes:
    """Keep the first third, like a download that broke off before the page tree was there."""
    return pdf[: len(pdf) // 3]
