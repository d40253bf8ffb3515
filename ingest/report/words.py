"""How names, numbers and states are said to people, on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.model import Outcome, Record

THOUSAND = 1000
MOST_KINDS = 8  # extensions that are named


def printable(name: str) -> str:
    """A name that cannot move the cursor, whatever characters a file was given."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def many(count: int, noun: str) -> str:
    """A number of things, as one says it."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """A number of bytes for people."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if value >= THOUSAND:
            value, unit = value / THOUSAND, larger
    return f"{value:.3g} {unit}"


def kinds(counts: Mapping[str, int]) -> str:
    """How many files of which other kinds were not read, in words."""
    total = sum(counts.values())
    by_number = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [f"{printable(name)} {count:,}" for name, count in by_number[:MOST_KINDS]]
    more = len(counts) - len(shown)
    rest = f", and {many(more, 'other kind')}" if more else ""
    were = "file of another kind was" if total == 1 else "files of other kinds were"
    return f"{total:,} {were} not read: {', '.join(shown)}{rest}"


def moment(stamp: str) -> str:
    """A time in UTC, ISO 8601, to the minute; "" for none."""
    return stamp[:16].replace("T", " ")


def said(record: Record) -> str:
    """A record's state: what is new or changed in one run is simply there in the next."""
    if record.outcome in (Outcome.NEW, Outcome.CHANGED):
        return "indexed"
    return record.outcome or "unfinished"
