"""`ingest report`: a page to look at, in one file."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ingest.cli import configured
from ingest.cli import output as show
from ingest.commands.inspect.viewer import Access, inspected
from ingest.commands.report.duplicates import duplicates
from ingest.commands.report.overview import Report, needs_someone
from ingest.config.connections import connections
from ingest.config.factory import embedder, index, index_name, recipe
from ingest.errors import ConfigError
from ingest.index import RUNS_KEPT, Index
from ingest.models import Summary

STDOUT = "-"
MOST_CHUNKS = 300_000  # whose texts are compared: 0.5 GB to fetch, and 100 MB to remember
NAMED = 5  # runs


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    if not (importlib.util.find_spec("jinja2") and importlib.util.find_spec("pygal")):
        raise ConfigError("a report needs two packages more: pip install '.[report]'")
    if options.json and options.out == STDOUT:
        raise ConfigError("--out - writes the page itself: leave out --json, or name a file")
    settings = configured(options)
    to = connections(settings)
    model = embedder(settings, to)
    where = index(settings, model, to)
    try:
        report = reported(where, index_name(settings), options.run)
        access = Access(settings, to, where, recipe(settings, model))
        views = inspected(report.records, options.inspect, access)
    finally:
        where.close()
    from ingest.commands.report.page import page

    text = page(report, views)
    if options.out == STDOUT:
        print(text)
        return 0
    write(Path(options.out), text)
    needing = sum(map(needs_someone, report.records))
    said = {"file": options.out, "bytes": len(text.encode()), "sources": len(report.records)}
    said["inspected"] = len(views)
    if options.json:
        print(json.dumps({"event": "report", **said, "needs_someone": needing}))
    elif not options.quiet:
        trouble = f", {needing:,} of which somebody has to look at" if needing else ""
        print(
            f"Report:  {show.printable(options.out)}, {show.size(said['bytes'])}: "
            f"{show.many(len(report.records), 'file')}{trouble}"
        )
    return 0


def reported(where: Index, name: str, run: str | None) -> Report:
    """What there is to show of an index, or of one of its runs. Raises ConfigError for no such."""
    runs = where.runs(RUNS_KEPT)
    chosen = named(run, runs, name) if run else None
    records = [record for record in where.records() if not chosen or record.run == chosen.run]
    held = where.totals()
    compared = held.chunks <= MOST_CHUNKS
    return Report(
        index=name,
        chunks=held.chunks,
        size=held.size,
        records=records,
        runs=runs,
        run=chosen or (runs[0] if runs else None),
        chosen=chosen is not None,
        duplicates=duplicates(records, where.stored()) if compared and not chosen else None,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def named(run: str, runs: Sequence[Summary], name: str) -> Summary:
    """The run whose id begins like this. Raises ConfigError if that is none, or several."""
    found = [summary for summary in runs if summary.run.startswith(run)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(f"{len(found)} runs begin with {run}: write more of the id")
    known = ", ".join(summary.run for summary in runs[:NAMED]) or "none"
    raise ConfigError(f"{name} remembers no run {run}; the last ones: {known}")


def write(path: Path, text: str) -> None:
    """The page on disk. Raises ConfigError if it cannot be there."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise ConfigError(f"--out {path} cannot be written: {error.strerror}") from None
