"""Extract the text and structure of a document, whatever its format. Runs inside a sandbox.

To support another format, give it an ending in `models.DOCUMENT_SUFFIXES` and an extractor here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ingest.extract.pdf import extract_pdf
from ingest.extract.sandbox.pool import OnPage
from ingest.models import Document, GreyImage, OcrResult


@dataclass(frozen=True, slots=True)
class ExtractOptions:
    """Options for reading a document."""

    extractor: str = "auto"  # the PDF engine to use: one of PDF_ENGINES
    passwords: tuple[str, ...] = field(default=(), repr=False)  # tried after the empty one
    hanging_pages: frozenset[int] = frozenset()  # pages not to read
    depth: int = 0  # number of documents it is nested in
    ocr: str = ""  # name of the OCR engine; "" for none
    recognise: Callable[[GreyImage], OcrResult] | None = None  # OCR engine of this process
    ocr_results: Mapping[int, OcrResult] = field(default_factory=dict)  # by page, made elsewhere
    verify_share: float = 0.0  # of the lines, to be compared with their images
    recognise_line: Callable[[GreyImage], OcrResult] | None = None  # local OCR, for that
    figures: bool = False  # look for figures that show words which are not text
    recognise_figure: Callable[[GreyImage], OcrResult] | None = None  # OCR engine of this process
    figure_results: Mapping[int, OcrResult] = field(
        default_factory=dict
    )  # by number, made elsewhere
    describes: bool = False  # look for figures that a model describes
    kind: str = "pdf"  # the format: a value of models.DOCUMENT_SUFFIXES


Extractor: TypeAlias = Callable[[bytes, ExtractOptions, OnPage], Document]

# By format: a value of models.DOCUMENT_SUFFIXES.
EXTRACTORS: dict[str, Extractor] = {"pdf": extract_pdf}


def ignore_progress(page: int, pages: int) -> None:
    """Do nothing: the progress callback of a caller that needs none."""


def extract(data: bytes, options: ExtractOptions, on_page: OnPage = ignore_progress) -> Document:
    """Extract the clean text and the structure of a document.

    Args:
        data: Content of the file.
        options: Format of the document, and how to read it.
        on_page: Called before each page is read with its number, from 1, and the number of pages;
            after the last one, with page 0, so that later failures are not blamed on that page.

    Raises:
        DocumentError: The file has another format, is damaged, or needs a password.
    """
    return EXTRACTORS[options.kind](data, options, on_page)
