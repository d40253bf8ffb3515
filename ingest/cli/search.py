"""`ingest search`: ask the index."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from itertools import groupby

from ingest.cli import configured, show
from ingest.index.words import folded, marked, terms
from ingest.library import search
from ingest.model import Hit

WIDEST = 100  # columns
INDENT = "    "
LINES = 6  # of a passage, unless all is asked for
WORTH_MARKING = 4  # letters
BOLD, DIM, PLAIN = "\x1b[1;33m", "\x1b[2m", "\x1b[0m"


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    settings = configured(options)
    question = " ".join(options.query)
    hits = search(question, mode=options.mode, top=options.top, settings=settings)
    if options.json:
        for hit in hits:
            print(
                json.dumps({"event": "hit", "score": hit.score, **hit.fields}, ensure_ascii=False)
            )
    elif hits:
        words = telling(question)
        print("\n\n".join("\n".join(lines(hit, words, whole=options.full)) for hit in hits))
    elif not options.quiet:
        print("Nothing found.")
    return 0


def lines(hit: Hit, words: list[str], *, whole: bool) -> Iterator[str]:
    """One answer for people: where it stands, then the passage with the words marked."""
    colour = show.escapes(sys.stdout, os.environ)
    before, after = (BOLD, PLAIN) if colour else ("**", "**")
    dim, plain = (DIM, PLAIN) if colour else ("", "")
    found = hit.fields
    yield f"{show.printable(str(found['source']))}  {pages(found)}  {dim}{hit.score:.4f}{plain}"
    headings = found["headings"]
    if isinstance(headings, list) and headings:
        yield f"{dim}{show.printable(' › '.join(headings))}{plain}"
    width = min(WIDEST, shutil.get_terminal_size().columns) - len(INDENT)
    passage = list(wrapped(str(found["content"]), width)) or [""]
    shown = range(len(passage)) if whole else densest(passage, words)
    for number in shown:
        gap = not whole and number == shown[0] and number > 0
        yield INDENT + ("… " if gap else "") + marked(passage[number], words, before, after)
    if shown[-1] < len(passage) - 1:
        yield INDENT + "…"


def wrapped(text: str, width: int) -> Iterator[str]:
    """A passage in lines of a width; each row of a table begins one."""
    for is_table, lines in groupby(text.split("\n"), lambda line: line.startswith("|")):
        for part in lines if is_table else ("\n".join(lines),):
            yield from textwrap.wrap(part, width)


def densest(passage: list[str], words: list[str]) -> range:
    """The few lines in a row that hold the most of the words; the first ones if all are alike."""
    starts = range(max(1, len(passage) - LINES + 1))
    best = max(starts, key=lambda start: (found(passage[start : start + LINES], words), -start))
    return range(best, min(best + LINES, len(passage)))


def found(passage: list[str], words: list[str]) -> int:
    """How many of the words stand in these lines."""
    return len(set(words) & {folded(term) for line in passage for term in terms(line)})


def telling(question: str) -> list[str]:
    """The terms of a question that are worth marking: the short ones are mostly grammar."""
    words = [folded(term) for term in terms(question)]
    return [w for w in words if len(w) >= WORTH_MARKING or not w.isascii()] or words


def pages(fields: dict[str, object]) -> str:
    """Where an answer stands: its page or pages, and what the document calls the first."""
    first, last, label = fields["page_start"], fields["page_end"], fields["page_label"]
    text = f"page {first}" if first == last else f"pages {first}-{last}"
    return text if not label or label == str(first) else f"{text} ({label})"
