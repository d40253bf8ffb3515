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
from ingest.extract.annotations import NONE
from ingest.extract.safe_call import attempted, spared
from ingest.models import Code, Details

if TYPE_CHECKING:
    from pypdf import PdfReader

    from ingest.extract.document import Engines

XMP = (b"dc:title", b"dc:creator")
MOST_PAGES = 1000  # of a form, as pypdf's list of a document's pages is slow to make
MOST_CHARACTERS = 1_000_000  # of all notes, and of all fields of a document

XFA_ONLY = "an XFA form, which only Adobe's programs can show: have them print it to a PDF"


def supplemented(engines: Engines, pages: Sequence[str]) -> tuple[str, ...]:
    """The pages with what people wrote on them and filled in, each after the page's own text.

    Raises DocumentError for a form that has nothing but a request to open it elsewhere.
    """
    first = engines.opened[0]
    marks = [attempted(partial(first.marks, index), NONE) for index in range(len(pages))]
    reader = spared(engines.reader, None) if attempted(first.form, False) else None
    fields: dict[int, list[str]] = {}
    if reader and len(pages) <= MOST_PAGES:
        for index, mark in enumerate(marks):
            if mark.fields:
                fields[index] = spared(partial(filled, reader, index, pages[index]), [])
    if reader and not any(fields.values()) and forms.awaited("".join(pages)):
        return (xfa(reader), *pages[1:])
    lines = ("\n".join(fields.get(index, ())) for index in range(len(pages)))
    notes = (unshown(mark.notes, page) for mark, page in zip(marks, pages, strict=True))
    return tuple(followed(followed(pages, lines), notes))


def unshown(notes: Sequence[str], text: str) -> str:
    """Notes as paragraphs, but for those that only repeat what the page says: marked passages."""
    shown = " ".join(text.split()) if notes else ""
    return "\n\n".join(note for note in notes if " ".join(note.split()) not in shown)


def followed(pages: Iterable[str], additions: Iterable[str]) -> Iterator[str]:
    """Each page with a paragraph more, as long as they do not outgrow the document."""
    room = MOST_CHARACTERS
    for page, addition in zip(pages, additions, strict=True):
        paragraph = addition[:room].strip()
        room -= len(paragraph)
        yield f"{page}\n\n{paragraph}".strip() if paragraph else page


def filled(reader: PdfReader, index: int, text: str) -> list[str]:
    """The filled fields of one page."""
    return forms.filled(reader.pages[index], text)


def xfa(reader: PdfReader) -> str:
    """What an XFA form was filled in with. Raises DocumentError if that is nothing."""
    nothing: list[str] = []
    lines = spared(partial(forms.xfa, reader), nothing)
    if not lines:
        raise DocumentError(XFA_ONLY, Code.NO_TEXT)
    return "\n".join(lines)


def about(engines: Engines) -> tuple[str, Details]:
    """A document's title, and what else it says of itself."""
    first = engines.opened[0]
    none: dict[str, str] = {}
    info = attempted(first.info, none)
    if not (info.get("Title") or info.get("Author")) and any(
        entry in engines.data for entry in XMP
    ):
        info = spared(partial(described, engines), none) | {k: v for k, v in info.items() if v}
    details = Details(
        author=attempted(partial(metadata.author, info), ""),
        created=attempted(partial(metadata.moment, info.get("CreationDate", "")), ""),
        modified=attempted(partial(metadata.moment, info.get("ModDate", "")), ""),
        producer=attempted(partial(metadata.producer, info), ""),
        forbids=attempted(first.forbids, ()),
    )
    return attempted(partial(metadata.title, info), ""), details


def described(engines: Engines) -> dict[str, str]:
    """What a document says of itself in XMP."""
    reader = engines.reader()
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


def attached(engines: Engines, count: int) -> tuple[str, ...]:
    """The names of the PDFs inside a document of so many pages."""
    first = engines.opened[0]
    marks = ((index, attempted(partial(first.marks, index), NONE)) for index in range(count))
    pinned = [index for index, mark in marks if mark.files]
    if not pinned and not attempted(first.files, False):
        return ()
    reader = spared(engines.reader, None)
    nothing: list[str] = []
    return tuple(spared(partial(listed, reader, pinned), nothing)) if reader else ()


def listed(reader: PdfReader, pinned: Sequence[int]) -> list[str]:
    """The same, given the pages that files are pinned to."""
    return attachments.listed(reader, (reader.pages[index] for index in pinned))
