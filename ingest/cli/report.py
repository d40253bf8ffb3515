"""`ingest report`: write an HTML report in one file."""

from __future__ import annotations

import argparse
import errno
import importlib.util
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ingest.cli import load_settings, open_index_and_model
from ingest.cli.progress import progress_logger
from ingest.commands.inspect.viewer import IndexAccess, inspect_sources
from ingest.commands.report.duplicates import find_duplicates
from ingest.commands.report.overview import Report, needs_action
from ingest.config.connections import create_connections
from ingest.config.factory import take_stored_model
from ingest.config.index import index_name
from ingest.config.recipe import create_recipe
from ingest.errors import ConfigError
from ingest.index import MAX_SAVED_RUNS, Index
from ingest.models import Summary
from ingest.pipeline.in_progress import is_held, list_records
from ingest.runtime.formatting import escape_unprintable, format_bytes, pluralize
from ingest.runtime.private_file import write_private_file

STDOUT_PATH = "-"
MAX_COMPARED_CHUNKS = 300_000  # to find duplicates: 0.5 GB to fetch, and 100 MB of memory
MAX_NAMED_RUNS = 5


def main(options: argparse.Namespace) -> int:
    """Run the command and return its exit code."""
    if not (importlib.util.find_spec("jinja2") and importlib.util.find_spec("pygal")):
        raise ConfigError("a report needs jinja2 and pygal: pip install '.[report]'")
    if options.json and options.out == STDOUT_PATH:
        raise ConfigError("--out - prints the report itself: leave out --json, or name a file")
    settings = load_settings(options)
    connections = create_connections(settings)
    with open_index_and_model(settings, connections, any_model=True) as (index, model):
        report = build_report(index, index_name(settings), options.run)
        recipe = create_recipe(settings, take_stored_model(model, index))
        access = IndexAccess(settings, connections, index, recipe)
        log_progress = progress_logger("document", quiet=options.quiet)
        views = inspect_sources(report.records, options.inspect, access, log_progress)
    from ingest.commands.report.page import render_report

    text = render_report(report, views)
    if options.out == STDOUT_PATH:
        print(text)
        return 0
    write_page(Path(options.out), text)
    needs_someone = sum(map(needs_action, report.records))
    fields = {"file": options.out, "bytes": len(text.encode()), "sources": len(report.records)}
    fields["inspected"] = len(views)
    if options.json:
        print(json.dumps({"event": "report", **fields, "needs_someone": needs_someone}))
    elif not options.quiet:
        trouble = (
            f", {needs_someone:,} of which need{'s' * (needs_someone == 1)} attention"
            if needs_someone
            else ""
        )
        print(
            f"Report:  {escape_unprintable(options.out)}, {format_bytes(fields['bytes'])}: "
            f"{pluralize(len(report.records), 'file')}{trouble}"
        )
    return 0


def build_report(index: Index, name: str, run: str | None) -> Report:
    """Collect the report on an index, or on one run. Raises ConfigError for an unknown run."""
    runs = index.runs(MAX_SAVED_RUNS)
    chosen = find_run(run, runs, name) if run else None
    records = [
        record
        for record in list_records(index, held=is_held(index))
        if not chosen or record.run == chosen.run
    ]
    totals = index.totals()
    if not (runs or records or totals.chunks):
        raise ConfigError(f"the index {name} is empty or does not exist: ingest run fills it")
    compares = totals.chunks <= MAX_COMPARED_CHUNKS
    return Report(
        index=name,
        chunks=totals.chunks,
        size=totals.size,
        records=records,
        runs=runs,
        run=chosen or (runs[0] if runs else None),
        is_single_run=chosen is not None,
        duplicates=find_duplicates(records, index.chunks()) if compares and not chosen else None,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def find_run(run: str, runs: Sequence[Summary], name: str) -> Summary:
    """Find the run whose id begins with `run`. Raises ConfigError for none or several."""
    matches = [summary for summary in runs if summary.run.startswith(run)]
    if len(matches) == 1:
        return matches[0]
    known = ", ".join(summary.run for summary in (matches or runs)[:MAX_NAMED_RUNS]) or "none"
    if matches:
        raise ConfigError(f"{len(matches)} runs begin with {run}: give more of the id ({known})")
    raise ConfigError(f"{name} has no run {run}; the last ones: {known}")


def write_page(path: Path, text: str) -> None:
    """Write the report. Raises ConfigError if the file cannot be written."""
    try:
        write_private_file(path, text)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise ConfigError(
            f"{path} cannot be written ({error.strerror}): name another file with --out"
        ) from None
