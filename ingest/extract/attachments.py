"""The PDFs inside a PDF: attachments, the members of a portfolio, files pinned to a page.

Names depend on the order in which the document lists its files, and on nothing else, so that the
bytes of one can be found again by its name. They are a stranger's: nothing is opened by them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ingest.errors import DocumentError
from ingest.extract.annotations import carried
from ingest.extract.safe_call import spared
from ingest.models import Code

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

    from ingest.extract.document import Means

DEEPEST = 4  # PDFs inside PDFs
MOST = 1000  # PDFs in one
MOST_FILES = 10_000  # files of any kind in one
UNPACKED = 512 << 20  # bytes of all of them, to see which are PDFs
LONGEST = 200  # characters of a name

UNSAFE = re.compile(r"[/\\]")

File = tuple[str, Callable[[], bytes]]  # as the document names it, and what unpacks it


def named(files: Iterable[File]) -> Iterator[File]:
    """Files by names that are safe and each its own."""
    taken: set[str] = set()
    for number, (raw, unpack) in enumerate(files, 1):
        name = safe(raw) or f"attachment {number}.pdf"
        again = 1
        unique = name
        while unique in taken:
            again += 1
            unique = numbered(name, again)
        taken.add(unique)
        yield unique, unpack


def safe(raw: str) -> str:
    """A name without what a path, a terminal or an index would trip over."""
    name = unicodedata.normalize(
        "NFC", "".join(c for c in raw if unicodedata.category(c)[0] != "C")
    )
    name = " ".join(UNSAFE.sub("_", name).split())
    return "" if not name.strip(".") else shortened(name, LONGEST)


def shortened(name: str, length: int) -> str:
    """A name cut before its ending."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending) > LONGEST // 10:
        stem, dot, ending = name, "", ""
    return stem[: length - len(dot + ending)].rstrip() + dot + ending


def numbered(name: str, again: int) -> str:
    """The name for one more file that has it already."""
    mark = f" ({again})"
    short = shortened(name, LONGEST - len(mark))
    stem, dot, ending = short.rpartition(".")
    return f"{stem}{mark}{dot}{ending}" if stem else f"{short}{mark}"


def listed(reader: PdfReader, pinned: Iterable[PageObject]) -> list[str]:
    """The names of those files that are PDFs; `pinned` are the pages that may have some."""
    found: list[str] = []
    room = UNPACKED
    for name, unpack in named(files(reader, pinned)):
        data = spared(unpack, b"")
        if b"%PDF-" in data[:1024]:
            found.append(name)
        room -= len(data)
        if room < 0 or len(found) >= MOST:
            break
    return found


def embedded(data: bytes, means: Means, name: str) -> bytes:
    """The bytes of one of the PDFs inside a PDF, by the name it was listed with.

    Raises DocumentError if the outer one cannot be opened, or has no such file any more.
    """
    from ingest.extract.engines.pypdf import Pypdf

    try:
        reader = Pypdf(data, means.passwords).reader
        for found, unpack in named(files(reader, reader.pages)):
            if found == name:
                return bytes(unpack())
    except (DocumentError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - on hostile input the library raises anything
        reason = " ".join(str(error).split()).rstrip(".") or repr(error)
        raise DocumentError(f"cannot be taken out of its document ({reason})") from None
    raise DocumentError("is no longer in its document", Code.VANISHED)


def files(reader: PdfReader, pinned: Iterable[PageObject]) -> Iterator[File]:
    """All files of a document: those it lists, then those on its pages, each once."""
    seen: set[int] = set()
    for count, (raw, specification) in enumerate(specifications(reader, pinned)):
        stream = content(specification)
        if count >= MOST_FILES or stream is None or id(stream) in seen:
            continue
        seen.add(id(stream))
        yield raw, stream.get_data


def specifications(reader: PdfReader, pinned: Iterable[PageObject]) -> Iterator[tuple[str, Any]]:
    """File specifications, and what each file is called."""
    from pypdf.generic import DictionaryObject

    for key, specification in tree(reader):
        yield called(specification) or key, specification
    for page in pinned:
        for annotation in carried(page):
            if annotation.get("/Subtype") == "/FileAttachment":
                specification = resolved(annotation.get("/FS"))
                if isinstance(specification, DictionaryObject):
                    yield called(specification), specification


def tree(reader: PdfReader) -> Iterator[tuple[str, Any]]:
    """What the document lists as embedded, by its key there. The tree may loop."""
    from pypdf.generic import DictionaryObject

    names = resolved(reader.root_object.get("/Names"))
    waiting = [resolved(names.get("/EmbeddedFiles"))] if isinstance(names, DictionaryObject) else []
    seen: set[int] = set()
    while waiting and len(seen) < MOST_FILES:
        node = waiting.pop()
        if not isinstance(node, DictionaryObject) or id(node) in seen:
            continue
        seen.add(id(node))
        pairs = resolved(node.get("/Names"))
        pairs = pairs if isinstance(pairs, list) else []
        for key, value in zip(pairs[::2], pairs[1::2], strict=False):
            specification = resolved(value)
            if isinstance(specification, DictionaryObject):
                yield text(resolved(key)), specification
        kids = resolved(node.get("/Kids"))
        waiting += [resolved(kid) for kid in reversed(kids)] if isinstance(kids, list) else []


def called(specification: Any) -> str:
    """The name in a file specification; "" if there is none."""
    for key in ("/UF", "/F"):
        if name := text(resolved(specification.get(key))):
            return name
    return ""


def text(value: Any) -> str:
    """A string; "" for anything else."""
    return value if isinstance(value, str) else ""


def content(specification: Any) -> Any:
    """The stream of an embedded file; None where there is none."""
    from pypdf.generic import DictionaryObject, StreamObject

    embedded = resolved(specification.get("/EF"))
    for key in ("/UF", "/F") if isinstance(embedded, DictionaryObject) else ():
        stream = resolved(embedded.get(key))
        if isinstance(stream, StreamObject):
            return stream
    return None


def resolved(value: Any) -> Any:
    """What a reference leads to."""
    return value.get_object() if value is not None else None
