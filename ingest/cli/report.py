"""`ingest report`: a page to look at, in one file."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ingest.cli import load_settings
from ingest.cli import output as show
from ingest.commands.inspect.viewer import IndexAccess, inspect_sources
from ingest.commands.report.duplicates import find_duplicates
from ingest.commands.report.overview import Report, needs_action
from ingest.config.connections import create_connections
from ingest.config.factory import create_embedder, create_recipe, index_name, open_index
from ingest.errors import ConfigError
from ingest.index import MAX_SAVED_RUNS, Index
from ingest.models import Summary

STDOUT_PATH = "-"
MAX_COMPARED_CHUNKS = 300_000  # whose texts are compared: 0.5 GB to fetch, and 100 MB to remember
MAX_NAMED_RUNS = 5  # runs


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    if not (importlib.util.find_spec("jinja2") and importlib.util.find_spec("pygal")):
        raise ConfigError("a report needs two packages more: pip install '.[report]'")
    if options.json and options.out == STDOUT_PATH:
        raise ConfigError("--out - writes the page itself: leave out --json, or name a file")
    settings = load_settings(options)
    to = create_connections(settings)
    model = create_embedder(settings, to)
    where = open_index(settings, model, to)
    try:
        report = build_report(where, index_name(settings), options.run)
        access = IndexAccess(settings, to, where, create_recipe(settings, model))
        views = inspect_sources(report.records, options.inspect, access)
    finally:
        where.close()
    from ingest.commands.report.page import render_report

    text = render_report(report, views)
    if options.out == STDOUT_PATH:
        print(text)
        return 0
    write_page(Path(options.out), text)
    needing = sum(map(needs_action, report.records))
    said = {"file": options.out, "bytes": len(text.encode()), "sources": len(report.records)}
    said["inspected"] = len(views)
    if options.json:
        print(json.dumps({"event": "report", **said, "needs_someone": needing}))
    elif not options.quiet:
        trouble = f", {needing:,} of which somebody has to look at" if needing else ""
        print(
            f"Report:  {show.escape_unprintable(options.out)}, {show.format_bytes(said['bytes'])}: "
            f"{show.pluralize(len(report.records), 'file')}{trouble}"
        )
    return 0


def build_report(index: Index, name: str, run: str | None) -> Report:
    """What there is to show of an index, or of one of its runs. Raises ConfigError for no such."""
    runs = index.runs(MAX_SAVED_RUNS)
    chosen = find_run(run, runs, name) if run else None
    records = [record for record in index.records() if not chosen or record.run == chosen.run]
    held = index.totals()
    compared = held.chunks <= MAX_COMPARED_CHUNKS
    return Report(
        index=name,
        chunks=held.chunks,
        size=held.size,
        records=records,
        runs=runs,
        run=chosen or (runs[0] if runs else None),
        is_single_run=chosen is not None,
        duplicates=find_duplicates(records, index.chunks()) if compared and not chosen else None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def find_run(run: str, runs: Sequence[Summary], name: str) -> Summary:
    """The run whose id begins like this. Raises ConfigError if that is none, or several."""
    found = [summary for summary in runs if summary.run.startswith(run)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} runs begin with {run}: write more of the id")
    known = ", ".join(summary.run for summary in runs[:MAX_NAMED_RUNS]) or "none"
    raise ConfigError(f"{name} remembers no run {run}; the last ones: {known}")


def write_page(path: Path, text: str) -> None:
    """The page on disk. Raises ConfigError if it cannot be there."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise ConfigError(f"--out {path} cannot be written: {error.strerror}") from None
