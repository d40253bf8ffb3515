"""Parse and repair a PDF's metadata, which may hold anything; drop nonsense. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

from ingest.extract.cleaning import clean
from ingest.extract.garbled import garbled_share

MAX_ENTRY_CHARS = 500  # of a title or a name
MAX_GARBLED_ENTRY_SHARE = 0.1  # an entry with a larger share of garbage is dropped
EARLIEST_YEAR = 1980  # of a plausible date: no PDF is older than the machines to make one

PDF_DATE = re.compile(
    r"\s*(?:D:)?\s*(?P<year>\d{4})[-:/.]?(?P<month>\d\d)?[-:/.]?(?P<day>\d\d)?"
    r"[T ]?\s*(?P<hour>\d\d)?:?(?P<minute>\d\d)?:?(?P<second>\d\d)?(?:\.\d+)?"
    r"\s*(?P<zone>[Zz+-])?\s*(?P<hours>\d\d)?[':]?(?P<minutes>\d\d)?'?\s*",
    re.ASCII,
)

# Titles that programs make up: "Microsoft Word - letter.doc", "Untitled-1", "Slide 1", a file
# name; and titles without a letter.
GENERATED_TITLE = re.compile(
    r"""
    (?: microsoft\ (?:office\ )?(?:word|excel|powerpoint|publisher|visio|outlook)\b .*
    | \(?\s*(?: untitled | anonymous | no\ title | title
      | document | doc | dokument | unbenannt | sans\ titre
      | ohne\ titel | senza\ titolo | sin\ t[ií]tulo | powerpoint\ presentation | presentation
      | pr[äaé]sentation | slide | folie | book | sheet | scan | scanned\ document | image | print
      | page | layout | none | null | unknown | unnamed | new\ document | temp | tmp | test
      )[\s_-]*\(?\d*\)?\s*\)?
    | (?: file | https? | about | ms-its ):\S*
    | (?: [a-z]: )? [\\/] \S* | [^\s]* \\ [^\s]*
    | .* \.(?: pdf | docx? | docm | dotx? | rtf | odt | xlsx? | xlsm | csv | pptx? | ppsx? | odp
      | txt | html? | xml | p65 | pmd | indd | qxd | qxp | cdr | ai | eps | ps | dvi | tex | fm
      | pub | vsd | tiff? | jpe?g | png | bmp | gif | dwg | wpd | sxw | pages | md )
    | \W*
    | [\d\W_]+
    )
    """,
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
PLACEHOLDER_AUTHOR = re.compile(
    r"\(?(?:unknown|unspecified|user|administrator|admin|owner|author|anonymous|none|null|root"
    r"|default|guest|benutzer|utilisateur|unbekannt|n/?a|\W*)\)?",
    re.IGNORECASE,
)


def read_title(info: Mapping[str, str]) -> str:
    """Return the title of a document; "" if there is none or a program made it up."""
    text = clean_entry(info.get("Title", ""))
    return "" if GENERATED_TITLE.fullmatch(text) else text


def read_author(info: Mapping[str, str]) -> str:
    """Return the author of a document; "" if there is none or it is a placeholder."""
    text = clean_entry(info.get("Author", ""))
    return "" if PLACEHOLDER_AUTHOR.fullmatch(text) else text


def read_producer(info: Mapping[str, str]) -> str:
    """Return the program that produced the PDF, or else the one that created its source."""
    return clean_entry(info.get("Producer", "")) or clean_entry(info.get("Creator", ""))


def clean_entry(raw: str) -> str:
    """Return an entry as one line of clean text; "" if it is garbled."""
    text = " ".join(clean(repair_encoding(raw[: 4 * MAX_ENTRY_CHARS])).split())
    return text[:MAX_ENTRY_CHARS].rstrip() if garbled_share(text) <= MAX_GARBLED_ENTRY_SHARE else ""


def repair_encoding(text: str) -> str:
    """Decode a string again that is UTF-16 without a byte order mark, or UTF-8."""
    if "\0" in text:
        text = text.rstrip("\0")
        text += "\0" * (len(text) % 2)
        for codec, zeros in (("utf-16-be", text[::2]), ("utf-16-le", text[1::2])):
            if zeros and zeros.count("\0") * 5 >= len(zeros) * 4:
                return text.encode("latin-1", "replace").decode(codec, "ignore")
    if text.isascii() or not any(c in text for c in UTF8_LEADS):
        return text
    from pypdf.generic import encode_pdfdocencoding

    for encode in (
        encode_pdfdocencoding,
        lambda s: s.encode("cp1252"),
        lambda s: s.encode("latin-1"),
    ):
        try:
            return bytes(encode(text)).decode("utf-8")
        except UnicodeError:
            continue
    return text


# Lead bytes of UTF-8 sequences, decoded as Latin-1.
UTF8_LEADS = frozenset(map(chr, range(0xC2, 0xF5)))


def parse_pdf_date(raw: str) -> str:
    """Convert a PDF date to UTC, "2026-11-24T10:00:00Z"; "" if it is invalid or implausible.

    A time without a zone is taken as UTC. An invalid time becomes midnight.
    """
    match = PDF_DATE.fullmatch(repair_encoding(raw[:80]).replace("\0", ""))
    if not match:
        return ""
    part = {name: int(text) for name, text in match.groupdict().items() if text and text.isdigit()}
    try:
        day = datetime(part["year"], part.get("month", 1), part.get("day", 1), tzinfo=UTC)
    except ValueError:
        return ""
    try:
        clock = {name: part.get(name, 0) for name in ("hour", "minute", "second")}
        offset = timedelta(hours=part.get("hours", 0), minutes=part.get("minutes", 0))
        zone = timezone(-offset if match["zone"] == "-" else offset)
        day = day.replace(tzinfo=zone, **clock).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    if day.year < EARLIEST_YEAR or day > datetime.now(UTC) + timedelta(days=1):
        return ""
    return day.strftime("%Y-%m-%dT%H:%M:%SZ")
