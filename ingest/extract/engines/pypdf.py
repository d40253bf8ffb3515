"""Read PDFs with pypdf, where PDFium cannot. Pure Python: it cannot crash the process."""

from __future__ import annotations

import io
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import pypdf

from ingest.extract.annotations import PageAnnotations, read_annotations_with_pypdf
from ingest.extract.limits import MAX_HEADINGS, MAX_OUTLINE_LEVELS
from ingest.extract.passwords import (
    encode_passwords,
    list_denied_permissions,
    locked_error,
    unsupported_encryption_error,
)
from ingest.models import ColourImage, Figure, GreyImage, Heading, PageShares

if TYPE_CHECKING:
    from ingest.extract.engines.pdfium_lines import DrawnLines

# pypdf logs every repair it makes, but problems are reported in a document's outcome.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


class Pypdf:
    """A PDF opened by pypdf. Raises DocumentError if no password opens it.

    `known_password` is one that another engine opened it with; it is tried first.
    """

    def __init__(self, data: bytes, passwords: Sequence[str], known_password: bytes = b"") -> None:
        try:
            self.reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
        except NotImplementedError:
            raise unsupported_encryption_error() from None
        self.password = known_password
        self.wants_figures = False  # it knows of none
        if self.reader.is_encrypted:
            self.password = unlock(self.reader, known_password, passwords)

    def __len__(self) -> int:
        return len(self.reader.pages)

    def text(self, index: int) -> str:
        return self.reader.pages[index].extract_text()

    def has_unseen_text(self, index: int) -> bool:  # noqa: ARG002 - it reads all text
        return False

    def has_hidden_text(self, index: int) -> bool:  # noqa: ARG002 - it looks at no colours
        return False

    def shows_text(self, index: int) -> bool:  # noqa: ARG002 - it renders nothing
        return False

    def has_no_text(self, index: int) -> bool:  # noqa: ARG002 - only its text shows that
        return False

    def has_graphics(self, index: int) -> bool:
        resources = self.reader.pages[index].get("/Resources", {})
        return bool(resources and resources.get_object().get("/XObject"))

    def render(self, index: int) -> GreyImage:
        raise NotImplementedError(f"pypdf cannot render page {index + 1}")

    def render_part(self, index: int, box: PageShares) -> ColourImage:
        raise NotImplementedError(f"pypdf cannot render page {index + 1}")

    def drawn_lines(self, index: int) -> DrawnLines:
        raise NotImplementedError(f"pypdf cannot render page {index + 1}")

    def annotations(self, index: int) -> PageAnnotations:
        return read_annotations_with_pypdf(self.reader.pages[index])

    def figures(self, index: int) -> Sequence[Figure]:  # noqa: ARG002 - it knows of none
        return ()

    def info(self) -> dict[str, str]:
        entries: Mapping[str, object] = self.reader.metadata or {}
        return {key.removeprefix("/"): str(value) for key, value in entries.items()}

    def denied_permissions(self) -> tuple[str, ...]:
        permissions = self.reader.user_access_permissions
        return () if permissions is None else list_denied_permissions(int(permissions))

    def may_have_form(self) -> bool:
        return "/AcroForm" in self.reader.root_object

    def may_have_attachments(self) -> bool:
        return "/Names" in self.reader.root_object

    def headings(self) -> list[Heading]:
        return list(itertools.islice(self.iter_outline(self.reader.outline, 1), MAX_HEADINGS))

    def iter_outline(self, outline: object, level: int) -> Iterator[Heading]:
        """Yield the entries of one level and all below it, which pypdf nests as lists in lists."""
        for entry in outline if isinstance(outline, list) else ():
            if isinstance(entry, list):
                if level < MAX_OUTLINE_LEVELS:
                    yield from self.iter_outline(entry, level + 1)
                continue
            index = self.reader.get_destination_page_number(entry)
            if index is not None and index >= 0:
                yield Heading(level, str(entry.title), index + 1)

    def labels(self) -> list[str]:
        labels = self.reader.page_labels
        numbers = map(str, itertools.count(1))
        # For a document without labels, pypdf returns the page numbers.
        return [] if all(a == b for a, b in zip(labels, numbers, strict=False)) else labels


def draws_no_text(data: bytes) -> bool:
    """Return whether the page of a PDF has content, none of which is text.

    Raises any exception of pypdf.
    """
    page = pypdf.PdfReader(io.BytesIO(data)).pages[0]
    return page.get_contents() is not None and not page.extract_text()


def unlock(reader: pypdf.PdfReader, known_password: bytes, passwords: Sequence[str]) -> bytes:
    """Decrypt a document; return the password that opened it. Raises DocumentError if none does."""
    for password in (known_password, *encode_passwords(passwords)):
        if reader.decrypt(password):
            return password
    raise locked_error(passwords)
