"""`ingest status`: what the index holds, and what failed and why."""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from ingest.cli import load_settings
from ingest.cli import output as show
from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.index import index_name, open_index
from ingest.models import Outcome, Record, Summary
from ingest.pipeline.transaction import NO_TEXT_REASON, OCR_HINT
from ingest.runtime.formatting import describe_state
from ingest.sources.exclude import matches_any_glob

TROUBLE_OUTCOMES = (Outcome.FAILED, Outcome.SKIPPED)
MAX_SHOWN_RUNS = 5  # that are shown


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    settings = load_settings(options)
    to = create_connections(settings)
    where = open_index(settings, create_embedder(settings, to), to)
    try:
        records = list(where.records())
        held = where.totals()
        runs = where.runs(MAX_SHOWN_RUNS)
    finally:
        where.close()
    shown = (*TROUBLE_OUTCOMES, Outcome.EMPTY) if options.verbose else TROUBLE_OUTCOMES
    troubles = [r for r in records if r.outcome in shown or r.details.missing]
    unfinished = [record for record in records if not record.fingerprint]
    if options.json:
        for record in records:
            fields = asdict(record)
            del fields["committed"], fields["pending"]
            fields["details"] = show.known_details(record.details)
            print(json.dumps({"event": "record", **fields}, ensure_ascii=False))
        for run in runs:
            print(json.dumps({"event": "run", **asdict(run)}))
        print(json.dumps({"event": "summary", **asdict(held), "unfinished": len(unfinished)}))
        return 0
    print(f"Index:   {index_name(settings)} holds {show.describe_index(held)}")
    if not records:
        print("Nothing yet: ingest run fills it")
    for root, counts in count_by_root(records).items():
        print(
            f"Root:    {show.escape_unprintable(root)}  {', '.join(f'{n:,} {o}' for o, n in counts)}"
        )
    for record in troubles:
        tried = f" (tried {record.attempts} times)" if record.attempts > 1 else ""
        code = f" [{record.code}]" if record.code else ""
        why = record.error or NO_TEXT_REASON
        print(
            f"{describe_state(record):<9}{show.escape_unprintable(record.source)}  {why}{code}{tried}"
        )
    if scans := [record for record in records if record.details.scanned and not record.details.ocr]:
        pages = sum(len(record.details.scanned) for record in scans)
        files = show.pluralize(len(scans), "file")
        print(f"Scans:   {show.pluralize(pages, 'picture')} without text in {files}; {OCR_HINT}")
    for record in unfinished:
        name = show.escape_unprintable(record.source)
        print(f"unfinished  {name}  a run is in it, or ended in it: the next one goes on")
    for text in left_alone(records, settings.exclude, runs[0] if runs else None, options):
        print(text)
    for run in runs:
        print(f"Run:     {show.format_past_run(run)}")
    return 0


def left_alone(
    records: Sequence[Record],
    exclude: Sequence[str],
    last: Summary | None,
    options: argparse.Namespace,
) -> Iterator[str]:
    """What runs leave alone: files of other kinds, and excluded sources that the index has."""
    if last:
        yield from show.unread(last.other_kinds)
    globs = exclude or (last.exclude if last else ())
    kept = [record for record in records if matches_any_glob(globs, record.source)]
    if kept:
        remedy = "ingest check --forget ROOT/NAME removes one"
        yield f"Excluded: {len(kept):,} kept in the index; {remedy}"
    if options.verbose or len(kept) <= show.FEW:
        yield from (
            f"kept     {show.escape_unprintable(record.source)}  excluded" for record in kept
        )


def count_by_root(records: list[Record]) -> dict[str, list[tuple[str, int]]]:
    """How many sources of each root came out how."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        counts[record.root][describe_state(record)] += 1
    return {root: counter.most_common() for root, counter in counts.items()}
