"""Read the extras of a PDF, besides its page content: notes, form fields, metadata, attachments.

An extra that cannot be read is left out and never costs the document its pages. Most documents
have none, which the engine that read the pages finds out quickly; pypdf is opened only for others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from ingest.errors import DocumentError
from ingest.extract import attachments, forms, metadata
from ingest.extract.annotations import NO_ANNOTATIONS
from ingest.extract.safe_call import try_call, try_call_catching_oom
from ingest.models import Code, Details

if TYPE_CHECKING:
    from pypdf import PdfReader

    from ingest.extract.engines.chain import EngineChain

XMP_KEYS = (b"dc:title", b"dc:creator")
MAX_FORM_PAGES = 1000  # forms of more pages are not read: pypdf is slow to list its pages
MIN_APPEARANCE_LETTERS = 2  # of a line; one letter is a tick or a bullet
MAX_EXTRA_CHARS = 1_000_000  # of all notes, and of all fields, of a document

XFA_ONLY_REASON = (
    "an XFA form, which only Adobe Acrobat and Reader show: print it to a PDF with one of them"
)


def append_extras(engines: EngineChain, pages: Sequence[str]) -> tuple[str, ...]:
    """Append form fields and notes to the text of the pages that they are on.

    Raises:
        DocumentError: The document is an XFA form that was not filled in.
    """
    first = engines.opened[0]
    annotations = [
        try_call(partial(first.annotations, index), NO_ANNOTATIONS) for index in range(len(pages))
    ]
    reader = (
        try_call_catching_oom(engines.pypdf_reader, None)
        if try_call(first.may_have_form, False) or any(one.has_fields for one in annotations)
        else None
    )
    fields: dict[int, list[str]] = {}
    if reader and len(pages) <= MAX_FORM_PAGES:
        for index, on_page in enumerate(annotations):
            if on_page.has_fields:
                fields[index] = try_call_catching_oom(
                    partial(read_page_fields, reader, index, pages[index]), []
                )
    if reader and not any(fields.values()) and forms.XFA_PLACEHOLDER.match("".join(pages)):
        return (read_xfa_text(reader), *pages[1:])
    lines = ("\n".join(fields.get(index, ())) for index in range(len(pages)))
    notes = (
        format_new_notes(on_page.notes, page)
        for on_page, page in zip(annotations, pages, strict=True)
    )
    noted = tuple(append_paragraphs(append_paragraphs(pages, lines), notes))
    shown = (
        format_new_lines(on_page.appearances, page)
        for on_page, page in zip(annotations, noted, strict=True)
    )
    return tuple(append_paragraphs(noted, shown))


def format_new_lines(lines: Sequence[str], text: str) -> str:
    """Format the lines that annotations show, without those that the text of the page has."""
    shown = " ".join(text.split()) if lines else ""
    flat = (" ".join(line.split()) for line in lines)
    return "\n".join(
        line
        for line in flat
        if line not in shown and sum(map(str.isalnum, line)) >= MIN_APPEARANCE_LETTERS
    )


def format_new_notes(notes: Sequence[str], text: str) -> str:
    """Format notes as paragraphs, without those that only repeat a passage of the page."""
    shown = " ".join(text.split()) if notes else ""
    return "\n\n".join(note for note in notes if " ".join(note.split()) not in shown)


def append_paragraphs(pages: Iterable[str], additions: Iterable[str]) -> Iterator[str]:
    """Append a paragraph to each page, up to MAX_EXTRA_CHARS in total."""
    chars_left = MAX_EXTRA_CHARS
    for page, addition in zip(pages, additions, strict=True):
        paragraph = addition[:chars_left].strip()
        chars_left -= len(paragraph)
        yield f"{page}\n\n{paragraph}".strip() if paragraph else page


def read_page_fields(reader: PdfReader, index: int, text: str) -> list[str]:
    """Return the filled form fields of one page as lines."""
    return forms.read_fields(reader.pages[index], text)


def read_xfa_text(reader: PdfReader) -> str:
    """Return the filled fields of an XFA form. Raises DocumentError if there are none."""
    no_lines: list[str] = []
    lines = try_call_catching_oom(partial(forms.read_xfa_fields, reader), no_lines)
    if not lines:
        raise DocumentError(XFA_ONLY_REASON, Code.NO_TEXT)
    return "\n".join(lines)


def read_title_and_details(engines: EngineChain) -> tuple[str, Details]:
    """Return a document's title and its other metadata."""
    first = engines.opened[0]
    empty: dict[str, str] = {}
    info = try_call(first.info, empty)
    if not (info.get("Title") or info.get("Author")) and any(
        entry in engines.data for entry in XMP_KEYS
    ):
        info = try_call_catching_oom(partial(read_xmp, engines), empty) | {
            k: v for k, v in info.items() if v
        }
    details = Details(
        author=try_call(partial(metadata.read_author, info), ""),
        created=try_call(partial(metadata.parse_pdf_date, info.get("CreationDate", "")), ""),
        modified=try_call(partial(metadata.parse_pdf_date, info.get("ModDate", "")), ""),
        producer=try_call(partial(metadata.read_producer, info), ""),
        forbids=try_call(first.denied_permissions, ()),
    )
    return try_call(partial(metadata.read_title, info), ""), details


def read_xmp(engines: EngineChain) -> dict[str, str]:
    """Read a document's XMP metadata, with the keys of the document information dictionary."""
    reader = engines.pypdf_reader()
    xmp = reader.xmp_metadata if reader else None
    if not xmp:
        return {}
    titles = xmp.dc_title or {}
    created = xmp.xmp_create_date
    return {
        "Title": titles.get("x-default") or next(iter(titles.values()), ""),
        "Author": ", ".join(xmp.dc_creator or ()),
        "CreationDate": created.isoformat() if created else "",
        "Producer": xmp.pdf_producer or "",
    }


def find_attachments(engines: EngineChain, count: int) -> tuple[str, ...]:
    """List the names of the PDFs embedded in a document of `count` pages."""
    first = engines.opened[0]
    annotations = (
        (index, try_call(partial(first.annotations, index), NO_ANNOTATIONS))
        for index in range(count)
    )
    pinning = [index for index, on_page in annotations if on_page.has_files]
    if not pinning and not try_call(first.may_have_attachments, False):
        return ()
    reader = try_call_catching_oom(engines.pypdf_reader, None)
    no_names: list[str] = []
    return (
        tuple(try_call_catching_oom(partial(list_attachments, reader, pinning), no_names))
        if reader
        else ()
    )


def list_attachments(reader: PdfReader, pinning_pages: Sequence[int]) -> list[str]:
    """List the embedded PDFs, given the indexes of the pages that have files attached."""
    return attachments.list_pdf_names(reader, (reader.pages[index] for index in pinning_pages))
