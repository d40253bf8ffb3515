"""The values of the fields of forms, as lines of text: what people filled in is not page content.

Read through pypdf: PDFium's own form filling runs scripts and is meant for one long-lived viewer.
Trees of fields may loop, so nothing is followed without end.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ingest.extract.annotations import HIDDEN_FLAG, MAX_NOTE_CHARS, iter_annotations
from ingest.extract.cleaning import clean

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader
    from pypdf.generic import DictionaryObject

MAX_FIELD_DEPTH = 32  # fields within fields
MAX_FORM_ITEMS = 2000  # of an XFA form

# Bits of a field's flags: ISO 32000-2, tables 228, 229, 231.
PASSWORD_FLAG, RADIO_FLAG, PUSHBUTTON_FLAG = 1 << 13, 1 << 15, 1 << 16
YES_VALUES = frozenset({"yes", "on", "1", "true", "checked", "oui", "ja", "si", "x"})
MIN_DISTINCT_CHARS = 4  # characters of a value that hardly stands on a page by chance

XFA_PLACEHOLDER = re.compile(r"\W*please wait\W", re.IGNORECASE)
XFA_LEAF = re.compile(r"<([A-Za-z_][\w.:-]{0,100})(?:\s[^<>]{0,1000})?>([^<>]{1,20000})</\1\s*>")


def read_fields(page: PageObject, text: str) -> list[str]:
    """The fields on a page as "Name: value", those that have one that its text does not show."""
    shown = " ".join(text.split())
    lines = []
    for widget in iter_annotations(page):
        if widget.get("/Subtype") != "/Widget" or has_flag(widget.get("/F"), HIDDEN_FLAG):
            continue
        chain = list(ancestors(widget))
        value = collapse_whitespace(read_field_value(chain))
        typed = get_inherited(chain, "/FT") == "/Tx" and len(value) >= MIN_DISTINCT_CHARS
        if value and not (typed and value in shown):
            name = collapse_whitespace(read_field_name(chain))
            lines.append(f"{name}: {value}" if name else value)
    return list(dict.fromkeys(lines))


def ancestors(widget: DictionaryObject) -> Iterator[DictionaryObject]:
    """A field and what it inherits from, the nearest first."""
    from pypdf.generic import DictionaryObject

    field: Any = widget
    for _ in range(MAX_FIELD_DEPTH):
        if not isinstance(field, DictionaryObject):
            return
        yield field
        if "/Parent" not in field:
            return
        field = field["/Parent"]


def get_inherited(chain: list[DictionaryObject], key: str) -> Any:
    """The nearest value of a key; None if there is none."""
    return next((field[key] for field in chain if key in field), None)


def read_field_name(chain: list[DictionaryObject]) -> str:
    """What a field is called for people, else for programs."""
    name = get_inherited(chain, "/TU") or get_inherited(chain, "/T") or ""
    return re.sub(r"\[\d+\]$", "", str(name))


def read_field_value(chain: list[DictionaryObject]) -> str:
    """The value of a field as text; "" where there is none to show."""
    kind, flags = get_inherited(chain, "/FT"), get_inherited(chain, "/Ff")
    if kind == "/Btn":
        return (
            ""
            if has_flag(flags, PUSHBUTTON_FLAG)
            else read_button_value(chain, radio=has_flag(flags, RADIO_FLAG))
        )
    if kind == "/Ch":
        return format_choices(
            get_inherited(chain, "/V"), dict(iter_options(get_inherited(chain, "/Opt")))
        )
    if kind == "/Tx" and not has_flag(flags, PASSWORD_FLAG):
        return read_string(get_inherited(chain, "/V"))
    return ""


def read_button_value(chain: list[DictionaryObject], *, radio: bool) -> str:
    """What a box that is ticked stands for; "" for one that is not."""
    state = chain[0].get("/AS") if "/AS" in chain[0] else get_inherited(chain, "/V")
    name = str(state or "").removeprefix("/")
    if not name or name.lower() == "off":
        return ""
    names = [shown for _, shown in iter_options(get_inherited(chain, "/Opt"))]
    shown = names[int(name)] if name.isdecimal() and int(name) < len(names) else name
    return "yes" if not radio and shown.lower() in YES_VALUES else shown


def iter_options(options: Any) -> Iterator[tuple[str, str]]:
    """The values a field may have, and what each is called."""
    for item in options[:MAX_FORM_ITEMS] if isinstance(options, list) else ():
        option = item.get_object()
        both = option[:2] if isinstance(option, list) else [option]
        if both:
            yield read_string(both[0]), read_string(both[-1])


def format_choices(value: Any, names: dict[str, str]) -> str:
    """The choices made, as they are shown."""
    several = value if isinstance(value, list) else [value]
    picked = (read_string(item) for item in several[:MAX_FORM_ITEMS])
    return ", ".join(names.get(item, item) for item in picked if item)


def read_string(value: Any) -> str:
    """A string, or a stream of one; "" for anything else."""
    from pypdf.generic import StreamObject

    value = value.get_object() if hasattr(value, "get_object") else value
    if isinstance(value, StreamObject):
        value = value.get_data()[: 4 * MAX_NOTE_CHARS].decode("utf-8", "ignore")
    return value[:MAX_NOTE_CHARS] if isinstance(value, str) else ""


def has_flag(flags: Any, bit: int) -> bool:
    """Whether a bit is set in what should be a number."""
    return isinstance(flags, int) and bool(flags & bit)


def collapse_whitespace(text: str) -> str:
    """A value as one line."""
    return " ".join(clean(text).split())


def is_xfa_placeholder(text: str) -> bool:
    """Whether a page only says that a viewer which knows XFA would show a form in its place."""
    return bool(XFA_PLACEHOLDER.match(text))


def read_xfa_fields(reader: PdfReader) -> list[str]:
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
        (match[1].rpartition(":")[2], collapse_whitespace(html.unescape(match[2])))
        for _, match in zip(range(MAX_FORM_ITEMS), XFA_LEAF.finditer(data), strict=False)
    )
    return list(dict.fromkeys(f"{name}: {value}" for name, value in found if value))
