"""Formatting of names, numbers and states, for the terminal and the report page."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from ingest.models import FigureOutcome, Outcome, Record

UNIT_STEP = 1000
FIGURE_WORDS = {
    FigureOutcome.DESCRIBED: "described",
    FigureOutcome.DECORATION: "decoration",
    FigureOutcome.REFUSED: "refused",
    FigureOutcome.CUT_OFF: "cut off",
    FigureOutcome.FAILED: "failed (the next run tries again)",
}
MAX_SHOWN_EXTENSIONS = 8
# Control characters except tabs and line ends, overrides of the direction, halves of characters.
UNSAFE_CHARS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def escape_unprintable(name: str) -> str:
    """Escape control and other unprintable characters, so that a name cannot move the cursor."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)


def escape_controls(text: str) -> str:
    """Escape characters that move a cursor or reverse text; joiners, a part of words, stay."""
    return UNSAFE_CHARS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def to_json(fields: object) -> str:
    """Format a JSON object for one line of output, with characters of all languages."""
    return escape_controls(json.dumps(fields, ensure_ascii=False))


def pluralize(count: int, noun: str) -> str:
    """Format a count with its noun: "1 file", "2 files"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_bytes(count: int) -> str:
    """Format a number of bytes in three digits, with a decimal unit."""
    value, unit = float(count), "B"
    for larger in ("kB", "MB", "GB"):
        if value >= UNIT_STEP:
            value, unit = value / UNIT_STEP, larger
    return f"{value:.3g} {unit}"


def format_dollars(usd: float) -> str:
    """Format an amount of money: to the cent, or smaller ones with two significant digits."""
    if usd >= 1 or round(usd, 2) == usd:
        return f"${usd:,.2f}"
    return f"${float(f'{usd:.2g}'):.9f}".rstrip("0")


def format_unread_files(counts: Mapping[str, int]) -> str:
    """Describe the files that were not read, by number per extension."""
    total = sum(counts.values())
    by_count = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    shown = [
        f"{escape_unprintable(name)} {count:,}" for name, count in by_count[:MAX_SHOWN_EXTENSIONS]
    ]
    more = len(counts) - len(shown)
    rest = f", and {pluralize(more, 'other kind')}" if more else ""
    were = "file of another kind was" if total == 1 else "files of other kinds were"
    return f"{total:,} {were} not read: {', '.join(shown)}{rest}"


def format_figures(counts: Mapping[str, int]) -> str:
    """Describe the outcomes of figures: "4 described, 1 decoration, 1 refused"; "" for none."""
    known = [outcome for outcome in FigureOutcome if counts.get(outcome)]
    return ", ".join(f"{counts[outcome]:,} {FIGURE_WORDS[outcome]}" for outcome in known)


def shorten_timestamp(stamp: str) -> str:
    """Shorten an ISO 8601 timestamp to the minute; "" stays ""."""
    return stamp[:16].replace("T", " ")


def describe_state(record: Record) -> str:
    """Return a record's state: "indexed" for new or changed, otherwise its outcome."""
    if record.outcome in (Outcome.NEW, Outcome.CHANGED):
        return "indexed"
    return record.outcome or "unfinished"
