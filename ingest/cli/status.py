"""`ingest status`: show what the index holds, and what failed and why."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import NamedTuple

from ingest.cli import load_settings, open_index_and_model, output
from ingest.cli.exit_message import CommandExit, describe_age
from ingest.config.connections import create_connections
from ingest.config.index import index_name
from ingest.config.settings import Settings
from ingest.errors import DocumentError
from ingest.index import IndexTotals
from ingest.index.records import SPOILT_REASON
from ingest.models import NOT_INDEXED_OUTCOMES, KnownRoot, Outcome, Record, Summary
from ingest.pipeline.in_progress import IN_PROGRESS, is_held, list_records
from ingest.pipeline.results import first_reported_run
from ingest.pipeline.transaction import NO_TEXT_REASON, OCR_HINT
from ingest.runtime.formatting import (
    describe_state,
    escape_unprintable,
    format_bytes,
    format_figures,
    pluralize,
    to_json,
)
from ingest.sources.exclude import matches_any_glob

MAX_SHOWN_RUNS = 5
LATE_EXIT_CODE = DocumentError.exit_code  # a root was not run for longer than --max-age


def main(options: argparse.Namespace) -> int | CommandExit:
    """Run the command; returns its exit code, with a message if a root was not run for too long."""
    settings = load_settings(options)
    connections = create_connections(settings)
    with open_index_and_model(settings, connections, any_model=True) as (index, _):
        held = is_held(index)
        records = list(list_records(index, held=held))
        totals = index.totals()
        # Measuring them reads the whole file.
        measures = (options.verbose or options.json) and options.max_age is None
        parts = index.part_sizes() if measures else {}
        runs = index.runs(MAX_SHOWN_RUNS)
        roots = {root.name: without_current_run(root, held=held) for root in index.roots()}
    if options.json or not options.quiet:
        show(options, settings, Status(records, totals, parts, runs, roots))
    if options.max_age is None:
        return 0
    late = describe_late(roots.values(), options.max_age, time.time())
    return CommandExit(LATE_EXIT_CODE, late) if late else 0


class Status(NamedTuple):
    """Contents of an index, and its last runs."""

    records: list[Record]
    totals: IndexTotals
    parts: dict[str, int]  # bytes of each; empty if they are not known
    runs: list[Summary]
    roots: dict[str, KnownRoot]


def show(options: argparse.Namespace, settings: Settings, status: Status) -> None:
    """Print the status, as JSON or as text."""
    in_progress = [record for record in status.records if record.outcome == IN_PROGRESS]
    unfinished = [r for r in status.records if not r.fingerprint and r.outcome != IN_PROGRESS]
    if options.json:
        states = {"unfinished": len(unfinished), "in_progress": len(in_progress)}
        print_json(status, states)
        return
    records, totals, parts, runs, roots = status
    if records or totals.chunks:
        print(f"Index:   {index_name(settings)} holds {output.describe_index(totals)}")
    else:
        print(f"Index:   {index_name(settings)} is empty or does not exist: ingest run fills it")
    if totals.chunks and parts:
        print(f"Size:    {', '.join(f'{name} {format_bytes(n)}' for name, n in parts.items())}")
    for root, counts in count_by_root(records, roots).items():
        location = roots[root].location if root in roots else root
        name = root if location in ("", root) else f"{root} ({location})"
        counted = ", ".join(f"{n:,} {o}" for o, n in counts) or "no documents"
        print(f"Root:    {escape_unprintable(name)}  {counted}")
    for text in format_troubles(records, options):
        print(text)
    for text in format_figure_outcomes(records, verbose=options.verbose):
        print(text)
    for record in unfinished:
        name = escape_unprintable(record.source)
        why = SPOILT_REASON if record.spoilt else "a run was stopped while writing it"
        print(f"unfinished  {name}  {why}: the next run finishes it")
    for record in in_progress:
        name = escape_unprintable(record.source)
        print(f"{IN_PROGRESS}  {name}  a run is working on it")
    for text in format_left_alone(records, settings.exclude, runs[0] if runs else None, options):
        print(text)
    for each in roots.values():
        for text in format_marks(each, time.time()):
            print(text)
    for run in runs:
        print(f"Run:     {output.format_past_run(run)}")


def print_json(status: Status, states: dict[str, int]) -> None:
    """Print the status as JSON; `states`: number of sources in a state that is no outcome."""
    records, totals, parts, runs, roots = status
    for name in sorted({*roots, *(record.root for record in records)}):
        location = roots[name].location if name in roots else name
        known: dict[str, object] = {"name": name, "location": location}
        if name in roots:
            known |= {"last_good": roots[name].last_good, "begun": roots[name].begun}
        print(json.dumps({"event": "root", **known}))
    for record in records:
        fields = asdict(record)
        del fields["committed"], fields["pending"]
        fields["details"] = output.known_details(record.details)
        print(to_json({"event": "record", **fields}))
    for run in runs:
        print(json.dumps({"event": "run", **asdict(run)}))
    print(json.dumps({"event": "summary", **asdict(totals), "parts": parts, **states}))


def format_troubles(records: Iterable[Record], options: argparse.Namespace) -> Iterator[str]:
    """Format the sources that are not in the index as they should be, and the unread scans."""
    shown_outcomes = (
        (*NOT_INDEXED_OUTCOMES, Outcome.EMPTY) if options.verbose else NOT_INDEXED_OUTCOMES
    )
    scans: list[int] = []
    for record in records:
        scans += filter(None, [record.details.count_unread_scans()])
        if record.outcome not in shown_outcomes and not record.details.needs_attention:
            continue
        tried = f" (tried {record.attempts} times)" if record.attempts > 1 else ""
        code = f" [{record.code}]" if record.code else ""
        age = describe_age(first_reported_run(record))
        age = f"  {age}" if age else ""
        why = escape_unprintable(record.error) or NO_TEXT_REASON
        is_outdated = record.outcome in NOT_INDEXED_OUTCOMES and record.chunks > 0
        stays = f"  {output.EARLIER_VERSION_HINT}" if is_outdated else ""
        name = escape_unprintable(record.source)
        yield f"{describe_state(record):<9}{name}  {why}{code}{tried}{stays}{age}"
    if scans:
        files = pluralize(len(scans), "file")
        yield f"Scans:   {pluralize(sum(scans), 'page')} without text in {files}; {OCR_HINT}"


def format_figure_outcomes(records: Iterable[Record], *, verbose: bool) -> Iterator[str]:
    """Format the outcomes of the figures in the index, and in each source if `verbose`."""
    total: Counter[str] = Counter()
    for record in records:
        total.update(record.details.figure_outcomes)
        if verbose and record.details.figure_outcomes:
            name = escape_unprintable(record.source)
            yield f"figures  {name}  {format_figures(record.details.figure_outcomes)}"
    if total:
        yield f"Figures: {format_figures(total)}"


def without_current_run(root: KnownRoot, *, held: bool) -> KnownRoot:
    """Return a root without the run that works on it now, if one holds the index."""
    return replace(root, begun=root.begun[:-1]) if held else root


def format_marks(root: KnownRoot, now: float) -> Iterator[str]:
    """Format the age of a root's last complete run, and the runs that began and never ended."""
    name = escape_unprintable(root.name)
    if root.last_good:
        ended = root.last_good[:16].replace("T", " ")
        yield f"Last:    {name}  complete run {describe_seconds(good_age(root, now))} ago, {ended}"
    else:
        yield f"Last:    {name}  no complete run is recorded"
    for run in root.begun:
        why = "it was killed, or its host or disk failed"
        yield f"Began:   {name}  run {run} began and never ended: {why}"


def good_age(root: KnownRoot, now: float) -> float:
    """Return the seconds since a root's last complete run; infinite if none is recorded."""
    return now - datetime.fromisoformat(root.last_good).timestamp() if root.last_good else math.inf


def describe_seconds(seconds: float) -> str:
    """Describe an age in words, as in "3 hours"."""
    for unit, noun in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= unit:
            return pluralize(int(seconds // unit), noun)
    return pluralize(max(0, int(seconds)), "second")


def describe_late(roots: Collection[KnownRoot], max_age: float, now: float) -> str:
    """Describe the roots without a complete run for longer than `max_age` seconds; "" for none."""
    late = [
        f"the last complete run of {escape_unprintable(root.name)} "
        + (
            f"ended {describe_seconds(good_age(root, now))} ago"
            if root.last_good
            else "is not recorded"
        )
        for root in roots
        if good_age(root, now) > max_age
    ]
    if not roots:
        late = ["the index has no root yet, so no run has succeeded"]
    hint = f"expected within {describe_seconds(max_age)}; see that the job runs, and its log"
    return f"{'; '.join(late)}: {hint}" if late else ""


def format_left_alone(
    records: Sequence[Record],
    exclude: Sequence[str],
    last: Summary | None,
    options: argparse.Namespace,
) -> Iterator[str]:
    """Format the files left out of runs: other kinds, and excluded sources in the index."""
    if last:
        yield from output.format_unread(last.other_kinds)
    globs = exclude or (last.exclude if last else ())
    kept = [record for record in records if matches_any_glob(globs, record.source)]
    if kept:
        remedy = "ingest check --forget ROOT/NAME removes one"
        yield f"Exclude: {len(kept):,} kept in the index; {remedy}"
    if options.verbose or len(kept) <= output.MAX_NAMED_EXCLUDED:
        yield from (f"kept     {escape_unprintable(record.source)}  excluded" for record in kept)


def count_by_root(
    records: Iterable[Record], roots: Iterable[str]
) -> dict[str, list[tuple[str, int]]]:
    """Count the sources of each root by outcome, most frequent first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter, {root: Counter() for root in roots})
    for record in records:
        counts[record.root][describe_state(record)] += 1
    return {root: counter.most_common() for root, counter in counts.items()}
