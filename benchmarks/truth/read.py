"""Read PDFs with the libraries that others use. Runs in its own environment: PyMuPDF is AGPL.

    read.py PDF ... > texts.json

Writes, for each PDF, the text by each library as it gives it to who asks for no more than the text.
PDFium's mark of a broken word is left out, and MuPDF is asked to join broken words, as it can:
without either they would come off worse.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable


def read_pdfium(file: str) -> str:
    """The text by PDFium."""
    import pypdfium2

    with pypdfium2.PdfDocument(file) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
    return "\n".join(pages).replace("\ufffe", "")


def read_mupdf(file: str) -> str:
    """The text by MuPDF."""
    import pymupdf

    with pymupdf.open(file) as document:
        flags = pymupdf.TEXTFLAGS_TEXT | pymupdf.TEXT_DEHYPHENATE
        return "\n".join(page.get_text("text", flags=flags) for page in document)


def read_pypdf(file: str) -> str:
    """The text by pypdf."""
    import pypdf

    return "\n".join(page.extract_text() for page in pypdf.PdfReader(file).pages)


def read_pdfplumber(file: str) -> str:
    """The text by pdfplumber."""
    import pdfplumber

    with pdfplumber.open(file) as document:
        return "\n".join(page.extract_text() for page in document.pages)


READERS: dict[str, Callable[[str], str]] = {
    "PDFium": read_pdfium,
    "MuPDF": read_mupdf,
    "pypdf": read_pypdf,
    "pdfplumber": read_pdfplumber,
}

if __name__ == "__main__":
    logging.disable()  # pdfplumber warns of each font that Chromium makes
    texts = {file: {name: read(file) for name, read in READERS.items()} for file in sys.argv[1:]}
    json.dump(texts, sys.stdout)
