"""Text, outline and page labels by PDFium. Native code: only ever run it in a child process."""

from __future__ import annotations

import pypdfium2

from ingest.errors import NEEDS_PASSWORD, DocumentError
from ingest.model import Heading, Outcome

PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD in fpdfview.h


class Pdfium:
    """A PDF opened by PDFium. Raises DocumentError if it needs a password."""

    def __init__(self, data: bytes) -> None:
        try:
            self.document = pypdfium2.PdfDocument(data, password="")
        except pypdfium2.PdfiumError as error:
            if getattr(error, "err_code", None) == PASSWORD_ERROR:
                raise DocumentError(NEEDS_PASSWORD, Outcome.SKIPPED) from None
            raise ValueError(str(error).rpartition("(")[2].rstrip(").")) from None

    def __len__(self) -> int:
        return len(self.document)

    def text(self, index: int) -> str:
        page = self.document[index]
        text = page.get_textpage()
        try:
            return str(text.get_text_range())
        finally:
            text.close()
            page.close()

    def title(self) -> str:
        return str(self.document.get_metadata_value("Title"))

    def headings(self) -> list[Heading]:
        found = []
        for bookmark in self.document.get_toc():
            target = bookmark.get_dest()
            index = target.get_index() if target else None
            if index is not None:
                found.append(Heading(bookmark.level + 1, bookmark.get_title(), index + 1))
        return found

    def labels(self) -> list[str]:
        if not self.document.get_page_label(0):
            return []
        return [self.document.get_page_label(index) for index in range(len(self.document))]
