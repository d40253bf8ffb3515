"""PDF engines: PDFium, and pypdf as the fallback."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ingest.models import ColourImage, Figure, GreyImage, Heading, PageShares

if TYPE_CHECKING:
    from ingest.extract.annotations import PageAnnotations
    from ingest.extract.engines.pdfium_lines import DrawnLines

HEADER_BYTES = 1024  # viewers accept the header anywhere in these: ISO 32000, Annex H


def is_pdf(data: bytes) -> bool:
    """Return whether a file has the header of a PDF."""
    return b"%PDF-" in data[:HEADER_BYTES]


class PdfEngine(Protocol):
    """An open PDF. Methods may raise any exception of the underlying library.

    A page's `index` counts from 0.
    """

    # the password that opened the document; b"" where it needs none
    password: bytes

    # whether to look for figures on all pages, or only for those that the document has words for
    wants_figures: bool

    # number of pages
    def __len__(self) -> int: ...

    # text of a page; "" if it has none
    def text(self, index: int) -> str: ...

    # whether text() left out text of a page that no viewer shows: then no other engine may read it
    def has_unseen_text(self, index: int) -> bool: ...

    # whether text() has text of a page that a reader cannot see
    def has_hidden_text(self, index: int) -> bool: ...

    # whether a page shows letters, decoded or not
    def shows_text(self, index: int) -> bool: ...

    # whether a page has no text for certain, so that no other engine needs to read it
    def has_no_text(self, index: int) -> bool: ...

    # whether a page shows anything besides text: then OCR may find some
    def has_graphics(self, index: int) -> bool: ...

    # image of a page, for OCR
    def render(self, index: int) -> GreyImage: ...

    # a part of a page in colour, for a model to describe: (height, width, 3)
    def render_part(self, index: int, box: PageShares) -> ColourImage: ...

    # lines of a page, and images of them
    def drawn_lines(self, index: int) -> DrawnLines: ...

    # notes, form fields and attached files of a page; call text() for the page first
    def annotations(self, index: int) -> PageAnnotations: ...

    # figures of a page, as far as they were looked for; call text() for the page first
    def figures(self, index: int) -> Sequence[Figure]: ...

    # document information dictionary: "Title", "Author", ...
    def info(self) -> dict[str, str]: ...

    # actions that the permissions deny: "copy", "print", ...
    def denied_permissions(self) -> tuple[str, ...]: ...

    # whether it is worth looking for form fields
    def may_have_form(self) -> bool: ...

    # whether it is worth looking for embedded files
    def may_have_attachments(self) -> bool: ...

    # outline entries that lead to a page; without an outline, headings found by their type
    def headings(self) -> list[Heading]: ...

    # page labels; [] if the document defines none
    def labels(self) -> list[str]: ...
