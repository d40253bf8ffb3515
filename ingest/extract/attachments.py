"""Find the PDFs embedded in a PDF: attachments, portfolio members, files attached to a page.

A file's name depends on the order in which the document lists its files and on nothing else, so its
bytes can be found again by that name. Names are untrusted, and never used as paths.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from ingest.errors import DocumentError
from ingest.extract.annotations import iter_annotations
from ingest.extract.engines import is_pdf
from ingest.extract.safe_call import try_call_catching_oom
from ingest.models import Code

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

    from ingest.extract.document import ExtractOptions

MAX_ATTACHMENT_DEPTH = 4  # levels of PDFs inside PDFs
MAX_ATTACHED_PDFS = 1000  # in one document
MAX_ATTACHED_FILES = 10_000  # of any kind, in one document
MAX_UNPACKED_BYTES = 512 << 20  # of all files of a document, to see which are PDFs
MAX_NAME_CHARS = 200
MAX_CACHED_BYTES = 16 << 20  # of a PDF whose list of files is kept

UNSAFE_CHARS = re.compile(r"[/\\]")

EmbeddedFile = tuple[str, Callable[[], bytes]]  # its name, and a function that unpacks it


def name_attachments(files: Iterable[EmbeddedFile]) -> Iterator[EmbeddedFile]:
    """Rename files so that each name is safe and unique."""
    taken: set[str] = set()
    for number, (raw, unpack) in enumerate(files, 1):
        name = sanitize_name(raw) or f"attachment {number}.pdf"
        copy = 1
        unique = name
        while unique in taken:
            copy += 1
            unique = append_number(name, copy)
        taken.add(unique)
        yield unique, unpack


def sanitize_name(raw: str) -> str:
    """Remove from a name anything unsafe in a path, on a terminal or in an index."""
    name = unicodedata.normalize(
        "NFC", "".join(c for c in raw if unicodedata.category(c)[0] != "C")
    )
    name = " ".join(UNSAFE_CHARS.sub("_", name).split())
    return "" if not name.strip(". ") else shorten_name(name, MAX_NAME_CHARS)


def shorten_name(name: str, max_chars: int) -> str:
    """Shorten a name, but keep its ending."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > MAX_NAME_CHARS // 10:
        stem, dot, ending = name, "", ""
    return stem[: max_chars - len(dot + ending)].rstrip() + dot + ending


def append_number(name: str, number: int) -> str:
    """Append a number to a name, before its ending: "report (2).pdf"."""
    suffix = f" ({number})"
    short = shorten_name(name, MAX_NAME_CHARS - len(suffix))
    stem, dot, ending = short.rpartition(".")
    return f"{stem}{suffix}{dot}{ending}" if stem else f"{short}{suffix}"


def list_pdf_names(reader: PdfReader, pinning_pages: Iterable[PageObject]) -> list[str]:
    """List the names of the embedded files that are PDFs.

    `pinning_pages` are the pages that may have files attached.
    """
    found: list[str] = []
    bytes_left = MAX_UNPACKED_BYTES
    for name, unpack in name_attachments(iter_embedded_files(reader, pinning_pages)):
        data = try_call_catching_oom(unpack, b"")
        if is_pdf(data):
            found.append(name)
        bytes_left -= len(data)
        if bytes_left < 0 or len(found) >= MAX_ATTACHED_PDFS:
            break
    return found


def extract_attachment(data: bytes, options: ExtractOptions, name: str) -> bytes:
    """Return the bytes of an embedded PDF, by the name it was listed with.

    Raises:
        DocumentError: The outer PDF cannot be opened, or no longer has such a file.
    """
    is_cached = len(data) <= MAX_CACHED_BYTES
    find = find_embedded_files if is_cached else find_embedded_files.__wrapped__
    try:
        if unpack := find(data, options.passwords).get(name):
            return bytes(unpack())
    except (DocumentError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - on hostile input the library raises anything
        reason = " ".join(str(error).split()).rstrip(".") or repr(error)
        raise DocumentError(f"cannot be extracted from its document ({reason})") from None
    raise DocumentError("is no longer in its document", Code.VANISHED)


@lru_cache(maxsize=MAX_ATTACHMENT_DEPTH)
def find_embedded_files(
    data: bytes, passwords: tuple[str, ...]
) -> Mapping[str, Callable[[], bytes]]:
    """Find the embedded files of a PDF by name. The last results are kept for its other files.

    Call `find_embedded_files.cache_clear` before another document is read.
    """
    from ingest.extract.engines.pypdf import Pypdf

    reader = Pypdf(data, passwords).reader
    return dict(name_attachments(iter_embedded_files(reader, reader.pages)))


def unpack_stream(stream: Any) -> bytes:
    """Return the content of a stream, which pypdf would keep as long as its document."""
    data = bytes(stream.get_data())
    if hasattr(stream, "decoded_self"):
        stream.decoded_self = None
    return data


def iter_embedded_files(
    reader: PdfReader, pinning_pages: Iterable[PageObject]
) -> Iterator[EmbeddedFile]:
    """Yield all embedded files: those the document lists, then those on its pages, each once."""
    seen: set[int] = set()
    for count, (raw, specification) in enumerate(iter_file_specifications(reader, pinning_pages)):
        stream = find_file_stream(specification)
        if count >= MAX_ATTACHED_FILES or stream is None or id(stream) in seen:
            continue
        seen.add(id(stream))
        yield raw, partial(unpack_stream, stream)


def iter_file_specifications(
    reader: PdfReader, pinning_pages: Iterable[PageObject]
) -> Iterator[tuple[str, Any]]:
    """Yield the file specifications of a document, each with the file's name."""
    from pypdf.generic import DictionaryObject

    for key, specification in iter_name_tree(reader):
        yield read_file_name(specification) or key, specification
    for page in pinning_pages:
        for annotation in iter_annotations(page):
            if annotation.get("/Subtype") == "/FileAttachment":
                specification = resolve_reference(annotation.get("/FS"))
                if isinstance(specification, DictionaryObject):
                    yield read_file_name(specification), specification


def iter_name_tree(reader: PdfReader) -> Iterator[tuple[str, Any]]:
    """Yield the files that the document lists as embedded, with their keys. The tree may loop."""
    from pypdf.generic import DictionaryObject

    names = resolve_reference(reader.root_object.get("/Names"))
    pending = (
        [resolve_reference(names.get("/EmbeddedFiles"))]
        if isinstance(names, DictionaryObject)
        else []
    )
    seen: set[int] = set()
    while pending and len(seen) < MAX_ATTACHED_FILES:
        node = pending.pop()
        if not isinstance(node, DictionaryObject) or id(node) in seen:
            continue
        seen.add(id(node))
        pairs = resolve_reference(node.get("/Names"))
        pairs = pairs if isinstance(pairs, list) else []
        for key, value in zip(pairs[::2], pairs[1::2], strict=False):
            specification = resolve_reference(value)
            if isinstance(specification, DictionaryObject):
                yield text_or_empty(resolve_reference(key)), specification
        kids = resolve_reference(node.get("/Kids"))
        pending += (
            [resolve_reference(kid) for kid in reversed(kids)] if isinstance(kids, list) else []
        )


def read_file_name(specification: Any) -> str:
    """Return the file name in a file specification; "" if there is none."""
    for key in ("/UF", "/F"):
        if name := text_or_empty(resolve_reference(specification.get(key))):
            return name
    return ""


def text_or_empty(value: Any) -> str:
    """Return a string unchanged; "" for anything else."""
    return value if isinstance(value, str) else ""


def find_file_stream(specification: Any) -> Any:
    """Return the stream of an embedded file; None if there is none."""
    from pypdf.generic import DictionaryObject, StreamObject

    embedded = resolve_reference(specification.get("/EF"))
    for key in ("/UF", "/F") if isinstance(embedded, DictionaryObject) else ():
        stream = resolve_reference(embedded.get(key))
        if isinstance(stream, StreamObject):
            return stream
    return None


def resolve_reference(value: Any) -> Any:
    """Return the object that a reference points to."""
    return value.get_object() if value is not None else None
