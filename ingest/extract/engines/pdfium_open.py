"""Open PDFs with PDFium. Native code: only run it in a sandbox."""

from __future__ import annotations

import ctypes
import io
from collections.abc import Sequence

import pypdfium2
from pypdfium2 import raw

from ingest.extract.passwords import (
    encode_passwords,
    list_denied_permissions,
    locked_error,
    unsupported_encryption_error,
)

# As PDFium writes them, of the same length.
RIGHT_TO_LEFT_PAGES, LEFT_TO_RIGHT_PAGES = b"/Direction/R2L", b"/Direction/L2R"


def open_document(
    data: bytes, passwords: Sequence[str], known_password: bytes = b""
) -> tuple[pypdfium2.PdfDocument, bytes]:
    """Open a document; returns it with the password that opened it.

    `known_password` is tried first.

    Raises:
        DocumentError: No password opens it.
        ValueError: It is damaged.
    """
    for password in (known_password, *encode_passwords(passwords)):
        document = raw.FPDF_LoadMemDocument64(data, len(data), password)
        if document:
            if raw.FPDF_GetPageCount(document) > 0:
                return pypdfium2.PdfDocument(document), password
            raw.FPDF_CloseDocument(document)
            raise ValueError("it has no pages")
        error = raw.FPDF_GetLastError()
        if error == raw.FPDF_ERR_SECURITY:
            raise unsupported_encryption_error()
        if error != raw.FPDF_ERR_PASSWORD:
            reason = pypdfium2.internal.ErrorToStr.get(error, f"error {error}")
            raise ValueError(reason.rstrip("."))
    raise locked_error(passwords)


def read_denied_permissions(document: pypdfium2.PdfDocument) -> tuple[str, ...]:
    """Return the actions that the permissions of a document deny."""
    if raw.FPDF_GetSecurityHandlerRevision(document) < 0:
        return ()
    return list_denied_permissions(raw.FPDF_GetDocUserPermissions(document))


def reads_from_right(document: pypdfium2.PdfDocument) -> bool:
    """Return whether the pages of a document follow each other from right to left.

    PDFium then takes every line of it for one that is read from the right.
    """
    name = ctypes.create_string_buffer(len(b"R2L") + 1)
    raw.FPDF_VIEWERREF_GetName(document, b"Direction", name, len(name))
    return name.value == b"R2L"


def copy_for_reading(
    document: pypdfium2.PdfDocument, data: bytes, password: bytes
) -> tuple[pypdfium2.PdfDocument, bytes]:
    """Return a copy of a document whose pages follow each other from left to right, and its bytes.

    Returns the document itself if it cannot be copied.
    """
    buffer = io.BytesIO()
    try:
        document.save(buffer, flags=raw.FPDF_NO_INCREMENTAL)
        copied = buffer.getvalue().replace(RIGHT_TO_LEFT_PAGES, LEFT_TO_RIGHT_PAGES)
        copy = pypdfium2.PdfDocument(copied, password=password.decode("latin-1") or None)
    except pypdfium2.PdfiumError:
        return document, data
    if len(copy) != len(document):
        copy.close()
        return document, data
    document.close()
    return copy, copied


def copy_page(document: pypdfium2.PdfDocument, index: int) -> bytes:
    """Return a PDF of one page, with its content as it is in the file."""
    with pypdfium2.PdfDocument.new() as copy, io.BytesIO() as file:
        copy.import_pages(document, [index])
        copy.save(file)
        return file.getvalue()
