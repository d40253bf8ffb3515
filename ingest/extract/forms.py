"""Read the filled fields of AcroForm and XFA forms, whose values are not part of the page content.

Uses pypdf: PDFium's form filling runs scripts and is meant for one long-lived viewer. Trees of
fields may loop, so depth is limited.
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

MAX_FIELD_DEPTH = 32  # levels of fields within fields
MAX_FORM_ITEMS = 2000  # fields of an XFA form; options or choices of a field

# Bits of a field's flags: ISO 32000-2, tables 228, 229, 231.
PASSWORD_FLAG, RADIO_FLAG, PUSHBUTTON_FLAG = 1 << 13, 1 << 15, 1 << 16
YES_VALUES = frozenset({"yes", "on", "1", "true", "checked", "oui", "ja", "si", "x"})
MIN_DISTINCT_CHARS = 4  # a shorter value may be in the page's text by chance

# The page for viewers without XFA.
XFA_PLACEHOLDER = re.compile(r"\W*please wait\W", re.IGNORECASE)
XFA_LEAF = re.compile(r"<([A-Za-z_][\w.:-]{0,100})(?:\s[^<>]{0,1000})?>([^<>]{1,20000})</\1\s*>")


def read_fields(page: PageObject, text: str) -> list[str]:
    """Return the filled fields of a page as "Name: value", except those its text already shows."""
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
    """Yield a field and the fields it inherits from, the nearest first."""
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
    """Return the nearest value of a key; None if there is none."""
    return next((field[key] for field in chain if key in field), None)


def read_field_name(chain: list[DictionaryObject]) -> str:
    """Return the name of a field that users see, or else its internal name."""
    name = get_inherited(chain, "/TU") or get_inherited(chain, "/T") or ""
    return re.sub(r"\[\d+\]$", "", str(name))


def read_field_value(chain: list[DictionaryObject]) -> str:
    """Return the value of a field as text; "" if it has none or is a password."""
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
    """Return the value of a checkbox or radio button; "" if it is off."""
    state = chain[0].get("/AS") if "/AS" in chain[0] else get_inherited(chain, "/V")
    name = str(state or "").removeprefix("/")
    if not name or name.lower() == "off":
        return ""
    names = [shown for _, shown in iter_options(get_inherited(chain, "/Opt"))]
    shown = names[int(name)] if name.isdecimal() and int(name) < len(names) else name
    return "yes" if not radio and shown.lower() in YES_VALUES else shown


def iter_options(options: Any) -> Iterator[tuple[str, str]]:
    """Yield the values that a field may have, each with its label."""
    for item in options[:MAX_FORM_ITEMS] if isinstance(options, list) else ():
        option = item.get_object()
        pair = option[:2] if isinstance(option, list) else [option]
        if pair:
            yield read_string(pair[0]), read_string(pair[-1])


def format_choices(value: Any, names: dict[str, str]) -> str:
    """Format the selected choices by their labels, separated by commas."""
    values = value if isinstance(value, list) else [value]
    selected = (read_string(item) for item in values[:MAX_FORM_ITEMS])
    return ", ".join(names.get(item, item) for item in selected if item)


def read_string(value: Any) -> str:
    """Return the text of a string or a stream; "" for anything else."""
    from pypdf.generic import StreamObject

    value = value.get_object() if hasattr(value, "get_object") else value
    if isinstance(value, StreamObject):
        value = value.get_data()[: 4 * MAX_NOTE_CHARS].decode("utf-8", "ignore")
    return value[:MAX_NOTE_CHARS] if isinstance(value, str) else ""


def has_flag(flags: Any, bit: int) -> bool:
    """Return whether a bit is set; False if the flags are not a number."""
    return isinstance(flags, int) and bool(flags & bit)


def collapse_whitespace(text: str) -> str:
    """Return a value as one line."""
    return " ".join(clean(text).split())


def read_xfa_fields(reader: PdfReader) -> list[str]:
    """Return the filled fields of an XFA form as "name: value"."""
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
