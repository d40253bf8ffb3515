"""`ingest status`: what the index holds, and what failed and why."""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from ingest.cli import configured, show
from ingest.connect import embedder, index, index_name
from ingest.connections import connections
from ingest.draft import NO_TEXT, READ
from ingest.model import Outcome, Record, Summary
from ingest.report.words import said
from ingest.sources.exclude import excluded

TROUBLES = (Outcome.FAILED, Outcome.SKIPPED)
LAST_RUNS = 5  # that are shown


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    settings = configured(options)
    to = connections(settings)
    where = index(settings, embedder(settings, to), to)
    try:
        records = list(where.records())
        held = where.totals()
        runs = where.runs(LAST_RUNS)
    finally:
        where.close()
    shown = (*TROUBLES, Outcome.EMPTY) if options.verbose else TROUBLES
    troubles = [r for r in records if r.outcome in shown or r.details.missing]
    unfinished = [record for record in records if not record.fingerprint]
    if options.json:
        for record in records:
            fields = asdict(record)
            del fields["committed"], fields["pending"]
            fields["details"] = show.known(record.details)
            print(json.dumps({"event": "record", **fields}, ensure_ascii=False))
        for run in runs:
            print(json.dumps({"event": "run", **asdict(run)}))
        print(json.dumps({"event": "summary", **asdict(held), "unfinished": len(unfinished)}))
        return 0
    print(f"Index:   {index_name(settings)} holds {show.describe(held)}")
    if not records:
        print("Nothing yet: ingest run fills it")
    for root, counts in by_root(records).items():
        print(f"Root:    {show.printable(root)}  {', '.join(f'{n:,} {o}' for o, n in counts)}")
    for record in troubles:
        tried = f" (tried {record.attempts} times)" if record.attempts > 1 else ""
        code = f" [{record.code}]" if record.code else ""
        why = record.error or NO_TEXT
        print(f"{said(record):<9}{show.printable(record.source)}  {why}{code}{tried}")
    if scans := [record for record in records if record.details.scanned and not record.details.ocr]:
        pages = sum(len(record.details.scanned) for record in scans)
        files = show.many(len(scans), "file")
        print(f"Scans:   {show.many(pages, 'picture')} without text in {files}; {READ}")
    for record in unfinished:
        name = show.printable(record.source)
        print(f"unfinished  {name}  a run is in it, or ended in it: the next one goes on")
    for text in left_alone(records, settings.exclude, runs[0] if runs else None, options):
        print(text)
    for run in runs:
        print(f"Run:     {show.past(run)}")
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
    kept = [record for record in records if excluded(globs, record.source)]
    if kept:
        remedy = "ingest check --forget ROOT/NAME removes one"
        yield f"Excluded: {len(kept):,} kept in the index; {remedy}"
    if options.verbose or len(kept) <= show.FEW:
        yield from (f"kept     {show.printable(record.source)}  excluded" for record in kept)


def by_root(records: list[Record]) -> dict[str, list[tuple[str, int]]]:
    """How many sources of each root came out how."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        counts[record.root][said(record)] += 1
    return {root: counter.most_common() for root, counter in counts.items()}
