"""The values of the fields of forms, as lines of text: what people filled in is not page content.

Read through pypdf: PDFium's own form filling runs scripts and is meant for one long-lived viewer.
Trees of fields may loop, so nothing is followed without end.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ingest.extract.annotations import CHARACTERS, HIDDEN, carried
from ingest.extract.cleaning import clean

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader
    from pypdf.generic import DictionaryObject

DEEP = 32  # fields within fields
MOST_LINES = 2000  # of an XFA form

# Bits of a field's flags: ISO 32000-2, tables 228, 229, 231.
SECRET, RADIO, BUTTON = 1 << 13, 1 << 15, 1 << 16
YES = frozenset({"yes", "on", "1", "true", "checked", "oui", "ja", "si", "x"})
LONG_ENOUGH = 4  # characters of a value that hardly stands on a page by chance

WAITING = re.compile(r"\W*please wait\W", re.IGNORECASE)
LEAF = re.compile(r"<([A-Za-z_][\w.:-]{0,100})(?:\s[^<>]{0,1000})?>([^<>]{1,20000})</\1\s*>")


def filled(page: PageObject, text: str) -> list[str]:
    """The fields on a page as "Name: value", those that have one that its text does not show."""
    shown = " ".join(text.split())
    lines = []
    for widget in carried(page):
        if widget.get("/Subtype") != "/Widget" or flag(widget.get("/F"), HIDDEN):
            continue
        chain = list(ancestors(widget))
        value = line(stated(chain))
        typed = inherited(chain, "/FT") == "/Tx" and len(value) >= LONG_ENOUGH
        if value and not (typed and value in shown):
            name = line(called(chain))
            lines.append(f"{name}: {value}" if name else value)
    return list(dict.fromkeys(lines))


def ancestors(widget: DictionaryObject) -> Iterator[DictionaryObject]:
    """A field and what it inherits from, the nearest first."""
    from pypdf.generic import DictionaryObject

    field: Any = widget
    for _ in range(DEEP):
        if not isinstance(field, DictionaryObject):
            return
        yield field
        if "/Parent" not in field:
            return
        field = field["/Parent"]


def inherited(chain: list[DictionaryObject], key: str) -> Any:
    """The nearest value of a key; None if there is none."""
    return next((field[key] for field in chain if key in field), None)


def called(chain: list[DictionaryObject]) -> str:
    """What a field is called for people, else for programs."""
    name = inherited(chain, "/TU") or inherited(chain, "/T") or ""
    return re.sub(r"\[\d+\]$", "", str(name))


def stated(chain: list[DictionaryObject]) -> str:
    """The value of a field as text; "" where there is none to show."""
    kind, flags = inherited(chain, "/FT"), inherited(chain, "/Ff")
    if kind == "/Btn":
        return "" if flag(flags, BUTTON) else ticked(chain, radio=flag(flags, RADIO))
    if kind == "/Ch":
        return chosen(inherited(chain, "/V"), dict(pairs(inherited(chain, "/Opt"))))
    if kind == "/Tx" and not flag(flags, SECRET):
        return text_of(inherited(chain, "/V"))
    return ""


def ticked(chain: list[DictionaryObject], *, radio: bool) -> str:
    """What a box that is ticked stands for; "" for one that is not."""
    state = chain[0].get("/AS") if "/AS" in chain[0] else inherited(chain, "/V")
    name = str(state or "").removeprefix("/")
    if not name or name.lower() == "off":
        return ""
    names = [shown for _, shown in pairs(inherited(chain, "/Opt"))]
    shown = names[int(name)] if name.isdecimal() and int(name) < len(names) else name
    return "yes" if not radio and shown.lower() in YES else shown


def pairs(options: Any) -> Iterator[tuple[str, str]]:
    """The values a field may have, and what each is called."""
    for item in options[:MOST_LINES] if isinstance(options, list) else ():
        option = item.get_object()
        both = option[:2] if isinstance(option, list) else [option]
        if both:
            yield text_of(both[0]), text_of(both[-1])


def chosen(value: Any, names: dict[str, str]) -> str:
    """The choices made, as they are shown."""
    several = value if isinstance(value, list) else [value]
    picked = (text_of(item) for item in several[:MOST_LINES])
    return ", ".join(names.get(item, item) for item in picked if item)


def text_of(value: Any) -> str:
    """A string, or a stream of one; "" for anything else."""
    from pypdf.generic import StreamObject

    value = value.get_object() if hasattr(value, "get_object") else value
    if isinstance(value, StreamObject):
        value = value.get_data()[: 4 * CHARACTERS].decode("utf-8", "ignore")
    return value[:CHARACTERS] if isinstance(value, str) else ""


def flag(flags: Any, bit: int) -> bool:
    """Whether a bit is set in what should be a number."""
    return isinstance(flags, int) and bool(flags & bit)


def line(text: str) -> str:
    """A value as one line."""
    return " ".join(clean(text).split())


def awaited(text: str) -> bool:
    """Whether a page only says that a viewer which knows XFA would show a form in its place."""
    return bool(WAITING.match(text))


def xfa(reader: PdfReader) -> list[str]:
    """What an XFA form was filled in with, as "name: value"."""
    from pypdf.generic import ArrayObject, DictionaryObject, StreamObject

    form = reader.root_object.get("/AcroForm")
    form = form.get_object() if form is not None else None
    parts = form.get("/XFA") if isinstance(form, DictionaryObject) else None
    parts = parts.get_object() if parts is not None else None
    stream = parts if isinstance(parts, StreamObject) else None
    for name, part in (
        zip(parts[::2], parts[1::2], strict=False) if isinstance(parts, ArrayObject) else ()
    ):
        if name == "datasets":
            stream = part.get_object()
    if not isinstance(stream, StreamObject):
        return []
    data = stream.get_data().decode("utf-8", "ignore")
    data = data.partition("<xfa:data>")[2].partition("</xfa:data>")[0] or data
    found = (
        (match[1].rpartition(":")[2], line(html.unescape(match[2])))
        for _, match in zip(range(MOST_LINES), LEAF.finditer(data), strict=False)
    )
    return list(dict.fromkeys(f"{name}: {value}" for name, value in found if value))
