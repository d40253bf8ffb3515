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

from ingest.api import search
from ingest.cli import load_settings
from ingest.cli import output as show
from ingest.index.sqlite.tokenize import fold_case, highlight, query_terms
from ingest.models import Hit

MAX_COLUMNS = 100  # columns
INDENT = "    "
MAX_PASSAGE_LINES = 6  # of a passage, unless all is asked for
MIN_MARKED_LETTERS = 4  # letters
BOLD, DIM, PLAIN = "\x1b[1;33m", "\x1b[2m", "\x1b[0m"


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    settings = load_settings(options)
    question = " ".join(options.query)
    hits = search(question, mode=options.mode, top=options.top, settings=settings)
    if options.json:
        for hit in hits:
            print(
                json.dumps({"event": "hit", "score": hit.score, **hit.fields}, ensure_ascii=False)
            )
    elif hits:
        words = words_to_mark(question)
        print("\n\n".join("\n".join(format_hit(hit, words, whole=options.full)) for hit in hits))
    elif not options.quiet:
        print("Nothing found.")
    return 0


def format_hit(hit: Hit, words: list[str], *, whole: bool) -> Iterator[str]:
    """One answer for people: where it stands, then the passage with the words marked."""
    colour = show.escapes(sys.stdout, os.environ)
    before, after = (BOLD, PLAIN) if colour else ("**", "**")
    dim, plain = (DIM, PLAIN) if colour else ("", "")
    found = hit.fields
    yield f"{show.escape_unprintable(str(found['source']))}  {format_hit_pages(found)}  {dim}{hit.score:.4f}{plain}"
    headings = found["headings"]
    if isinstance(headings, list) and headings:
        yield f"{dim}{show.escape_unprintable(' › '.join(headings))}{plain}"
    width = min(MAX_COLUMNS, shutil.get_terminal_size().columns) - len(INDENT)
    passage = list(wrap_passage(str(found["content"]), width)) or [""]
    shown = range(len(passage)) if whole else densest_lines(passage, words)
    for number in shown:
        gap = not whole and number == shown[0] and number > 0
        yield INDENT + ("… " if gap else "") + highlight(passage[number], words, before, after)
    if shown[-1] < len(passage) - 1:
        yield INDENT + "…"


def wrap_passage(text: str, width: int) -> Iterator[str]:
    """A passage in lines of a width; each row of a table begins one."""
    for is_table, lines in groupby(text.split("\n"), lambda line: line.startswith("|")):
        for part in lines if is_table else ("\n".join(lines),):
            yield from textwrap.wrap(part, width)


def densest_lines(passage: list[str], words: list[str]) -> range:
    """The few lines in a row that hold the most of the words; the first ones if all are alike."""
    starts = range(max(1, len(passage) - MAX_PASSAGE_LINES + 1))
    best = max(
        starts,
        key=lambda start: (
            count_matches(passage[start : start + MAX_PASSAGE_LINES], words),
            -start,
        ),
    )
    return range(best, min(best + MAX_PASSAGE_LINES, len(passage)))


def count_matches(passage: list[str], words: list[str]) -> int:
    """How many of the words stand in these lines."""
    return len(set(words) & {fold_case(term) for line in passage for term in query_terms(line)})


def words_to_mark(question: str) -> list[str]:
    """The terms of a question that are worth marking: the short ones are mostly grammar."""
    words = [fold_case(term) for term in query_terms(question)]
    return [w for w in words if len(w) >= MIN_MARKED_LETTERS or not w.isascii()] or words


def format_hit_pages(fields: dict[str, object]) -> str:
    """Where an answer stands: its page or pages, and what the document calls the first."""
    first, last, label = fields["page_start"], fields["page_end"], fields["page_label"]
    text = f"page {first}" if first == last else f"pages {first}-{last}"
    return text if not label or label == str(first) else f"{text} ({label})"
