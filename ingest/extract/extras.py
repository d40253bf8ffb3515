"""Beside what the pages show: what is written on them, filled in, attached, and said of the whole.

None of it may cost a document its pages: whatever fails is left out. Most documents have none of
it, and the engine that has read the pages says so for next to nothing; only then pypdf is opened.
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

    from ingest.extract.pdf import EngineChain

XMP_KEYS = (b"dc:title", b"dc:creator")
MAX_FORM_PAGES = 1000  # of a form, as pypdf's list of a document's pages is slow to make
MAX_EXTRA_CHARS = 1_000_000  # of all notes, and of all fields of a document

XFA_ONLY_REASON = "an XFA form, which only Adobe's programs can show: have them print it to a PDF"


def append_extras(engines: EngineChain, pages: Sequence[str]) -> tuple[str, ...]:
    """The pages with what people wrote on them and filled in, each after the page's own text.

    Raises DocumentError for a form that has nothing but a request to open it elsewhere.
    """
    first = engines.opened[0]
    marks = [
        try_call(partial(first.annotations, index), NO_ANNOTATIONS) for index in range(len(pages))
    ]
    reader = (
        try_call_catching_oom(engines.pypdf_reader, None)
        if try_call(first.may_have_form, False)
        else None
    )
    fields: dict[int, list[str]] = {}
    if reader and len(pages) <= MAX_FORM_PAGES:
        for index, mark in enumerate(marks):
            if mark.has_fields:
                fields[index] = try_call_catching_oom(
                    partial(read_page_fields, reader, index, pages[index]), []
                )
    if reader and not any(fields.values()) and forms.is_xfa_placeholder("".join(pages)):
        return (read_xfa_text(reader), *pages[1:])
    lines = ("\n".join(fields.get(index, ())) for index in range(len(pages)))
    notes = (format_new_notes(mark.notes, page) for mark, page in zip(marks, pages, strict=True))
    return tuple(append_paragraphs(append_paragraphs(pages, lines), notes))


def format_new_notes(notes: Sequence[str], text: str) -> str:
    """Notes as paragraphs, but for those that only repeat what the page says: marked passages."""
    shown = " ".join(text.split()) if notes else ""
    return "\n\n".join(note for note in notes if " ".join(note.split()) not in shown)


def append_paragraphs(pages: Iterable[str], additions: Iterable[str]) -> Iterator[str]:
    """Each page with a paragraph more, as long as they do not outgrow the document."""
    room = MAX_EXTRA_CHARS
    for page, addition in zip(pages, additions, strict=True):
        paragraph = addition[:room].strip()
        room -= len(paragraph)
        yield f"{page}\n\n{paragraph}".strip() if paragraph else page


def read_page_fields(reader: PdfReader, index: int, text: str) -> list[str]:
    """The filled fields of one page."""
    return forms.read_fields(reader.pages[index], text)


def read_xfa_text(reader: PdfReader) -> str:
    """What an XFA form was filled in with. Raises DocumentError if that is nothing."""
    nothing: list[str] = []
    lines = try_call_catching_oom(partial(forms.read_xfa_fields, reader), nothing)
    if not lines:
        raise DocumentError(XFA_ONLY_REASON, Code.NO_TEXT)
    return "\n".join(lines)


def read_title_and_details(engines: EngineChain) -> tuple[str, Details]:
    """A document's title, and what else it says of itself."""
    first = engines.opened[0]
    none: dict[str, str] = {}
    info = try_call(first.info, none)
    if not (info.get("Title") or info.get("Author")) and any(
        entry in engines.data for entry in XMP_KEYS
    ):
        info = try_call_catching_oom(partial(read_xmp, engines), none) | {
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
    """What a document says of itself in XMP."""
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
    """The names of the PDFs inside a document of so many pages."""
    first = engines.opened[0]
    marks = (
        (index, try_call(partial(first.annotations, index), NO_ANNOTATIONS))
        for index in range(count)
    )
    pinned = [index for index, mark in marks if mark.has_files]
    if not pinned and not try_call(first.may_have_attachments, False):
        return ()
    reader = try_call_catching_oom(engines.pypdf_reader, None)
    nothing: list[str] = []
    return (
        tuple(try_call_catching_oom(partial(list_attachments, reader, pinned), nothing))
        if reader
        else ()
    )


def list_attachments(reader: PdfReader, pinning_pages: Sequence[int]) -> list[str]:
    """The same, given the pages that files are pinned to."""
    return attachments.list_pdf_names(reader, (reader.pages[index] for index in pinning_pages))
