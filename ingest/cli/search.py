"""`ingest search`: search the index."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from collections.abc import Iterator

from ingest.api import search
from ingest.chunk.offsets import HEADING_SEPARATOR
from ingest.cli import load_settings, output
from ingest.commands.search.excerpts import words_to_mark
from ingest.commands.search.passages import Passages, tidy, wrap
from ingest.index.sqlite.tokenize import highlight
from ingest.models import Hit, Permissions
from ingest.runtime.formatting import escape_controls, escape_unprintable, to_json

log = logging.getLogger(__name__)

MAX_COLUMNS = 100
INDENT = "    "
BOLD, DIM, PLAIN = "\x1b[1;33m", "\x1b[2m", "\x1b[0m"


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    settings = load_settings(options)
    question = " ".join(options.query)
    is_anybody = options.oid is None and options.groups is None
    person = None if is_anybody else Permissions(options.oid or (), options.groups or ())
    hits = search(
        question,
        mode=options.mode,
        top=options.top,
        settings=settings,
        person=person,
        figures=options.figure_filter,
    )
    if hits and (missing := hits[0].missing_words):
        named = " or ".join(f'"{word}"' for word in missing)
        log.warning("no document contains %s; the nearest are:", named)
    if options.json:
        for hit in hits:
            print(to_json(hit_json(hit)))
    elif hits:
        words = words_to_mark(question)
        with_root = len({hit.fields["root"] for hit in hits}) > 1
        print(
            "\n\n".join(
                "\n".join(format_hit(hit, words, with_root=with_root, whole=options.full))
                for hit in hits
            )
        )
    elif not options.quiet:
        print("Nothing found.")
    return 0


def hit_json(hit: Hit) -> dict[str, object]:
    """JSON object of a hit: where the answer stands, then the chunk's fields."""
    place = {"page": hit.page, "heading": hit.heading, "excerpt": hit.excerpt}
    place |= {"figure": hit.figure, "outdated": hit.outdated}
    place |= {"missing_words": hit.missing_words}
    return {"event": "hit", "score": hit.score, **place, "also_in": hit.also_in, **hit.fields}


def format_hit(hit: Hit, words: list[str], *, with_root: bool, whole: bool) -> Iterator[str]:
    """Format a hit: its source and page, its heading, and its excerpt or, `whole`, its text."""
    colour = output.supports_escapes(sys.stdout, os.environ)
    start_mark, end_mark = (BOLD, PLAIN) if colour else ("**", "**")
    dim_mark, plain = (DIM, PLAIN) if colour else ("", "")
    fields = hit.fields
    source = f"{fields['root']}/{fields['source']}" if with_root else str(fields["source"])
    page = escape_unprintable(format_pages(fields) if whole else format_page(hit))
    yield f"{escape_unprintable(source)}  {page}  {dim_mark}{hit.score:.4f}{plain}"
    if hit.heading:
        heading = highlight(escape_unprintable(hit.heading), words, start_mark, end_mark + dim_mark)
        yield f"{dim_mark}{heading}{plain}"
    width = min(MAX_COLUMNS, shutil.get_terminal_size().columns) - len(INDENT)
    for line in wrap(full_text(hit) if whole else text_below_heading(hit), width):
        yield INDENT + highlight(escape_controls(line), words, start_mark, end_mark)
    if hit.outdated:
        reason = escape_unprintable(hit.outdated)
        yield f"{INDENT}{dim_mark}text of an earlier version: {reason}{plain}"
    if hit.also_in:
        copies = escape_unprintable(", ".join(hit.also_in))
        yield f"{INDENT}{dim_mark}also in {copies}{plain}"


def text_below_heading(hit: Hit) -> str:
    """Return the excerpt of a hit without first lines that are in the heading above it."""
    headings = hit.heading.split(HEADING_SEPARATOR)
    lines = hit.excerpt.split("\n")
    while len(lines) > 1 and lines[0].removeprefix("… ") in headings:
        del lines[0]
    return "\n".join(lines)


def full_text(hit: Hit) -> str:
    """Return the whole text of a hit; a generated one below the name of its figure."""
    text = tidy(Passages.of(hit.fields).text)
    return f"[{hit.figure}]\n{text}" if hit.figure else text


def format_page(hit: Hit) -> str:
    """Format the page of an excerpt, with the document's own label if that is known."""
    return with_label(f"page {hit.page}", str(hit.page), str(hit.fields["page_label"] or ""))


def format_pages(fields: dict[str, object]) -> str:
    """Format the pages of a chunk, with the document's own labels of the first and the last."""
    ends = list(dict.fromkeys((str(fields["page_start"]), str(fields["page_end"]))))
    labels = fields.get("page_labels")
    label = "-".join(labels[:: max(1, len(labels) - 1)]) if isinstance(labels, list) else ""
    numbers = "-".join(ends)
    return with_label(f"page{'s' * (len(ends) > 1)} {numbers}", numbers, label)


def with_label(text: str, numbers: str, label: str) -> str:
    """Add a label to the numbers of pages, unless it says the same."""
    return text if label in ("", numbers) else f"{text} ({label})"
