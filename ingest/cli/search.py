"""`ingest search`: search the index."""

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
from ingest.cli import load_settings, output
from ingest.index.sqlite.tokenize import fold_case, highlight, query_terms
from ingest.models import Hit
from ingest.runtime.formatting import escape_unprintable

MAX_COLUMNS = 100
INDENT = "    "
MAX_PASSAGE_LINES = 6  # without --full
MIN_MARKED_LETTERS = 4
BOLD, DIM, PLAIN = "\x1b[1;33m", "\x1b[2m", "\x1b[0m"


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
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
    """Format a hit: its source and pages, then its text with the query terms highlighted."""
    colour = output.supports_escapes(sys.stdout, os.environ)
    start_mark, end_mark = (BOLD, PLAIN) if colour else ("**", "**")
    dim_mark, plain = (DIM, PLAIN) if colour else ("", "")
    fields = hit.fields
    source = escape_unprintable(str(fields["source"]))
    yield f"{source}  {format_hit_pages(fields)}  {dim_mark}{hit.score:.4f}{plain}"
    headings = fields["headings"]
    if isinstance(headings, list) and headings:
        yield f"{dim_mark}{escape_unprintable(' › '.join(headings))}{plain}"
    width = min(MAX_COLUMNS, shutil.get_terminal_size().columns) - len(INDENT)
    passage = list(wrap_passage(str(fields["content"]), width)) or [""]
    shown = range(len(passage)) if whole else densest_lines(passage, words)
    for number in shown:
        gap = not whole and number == shown[0] and number > 0
        yield (
            INDENT + ("… " if gap else "") + highlight(passage[number], words, start_mark, end_mark)
        )
    if shown[-1] < len(passage) - 1:
        yield INDENT + "…"


def wrap_passage(text: str, width: int) -> Iterator[str]:
    """Wrap the text of a hit into lines; each row of a table begins a new one."""
    for is_table, lines in groupby(text.split("\n"), lambda line: line.startswith("|")):
        for part in lines if is_table else ("\n".join(lines),):
            yield from textwrap.wrap(part, width)


def densest_lines(passage: list[str], words: list[str]) -> range:
    """Range of MAX_PASSAGE_LINES lines with the most of the words; the first of equal ones."""
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
    """Count the words that occur in these lines."""
    return len(set(words) & {fold_case(term) for line in passage for term in query_terms(line)})


def words_to_mark(question: str) -> list[str]:
    """Terms of a query to highlight, without short ones, which are mostly grammar."""
    words = [fold_case(term) for term in query_terms(question)]
    return [w for w in words if len(w) >= MIN_MARKED_LETTERS or not w.isascii()] or words


def format_hit_pages(fields: dict[str, object]) -> str:
    """Format the pages of a hit, with the document's own label of the first."""
    first, last, label = fields["page_start"], fields["page_end"], fields["page_label"]
    text = f"page {first}" if first == last else f"pages {first}-{last}"
    return text if not label or label == str(first) else f"{text} ({label})"
