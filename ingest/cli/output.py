"""Text and JSON forms of outcomes and totals."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ingest.cli import logs
from ingest.cli.exit_message import describe_age, describe_withheld
from ingest.config.embedding import suggest_multilingual
from ingest.config.settings import Settings
from ingest.index import IndexTotals
from ingest.models import (
    NOT_INDEXED_OUTCOMES,
    DeletionsWithheld,
    Details,
    LeftOut,
    Outcome,
    RunEvent,
    RunProgress,
    SourceResult,
    Summary,
)
from ingest.pipeline.exit_codes import FINISHED, is_known
from ingest.pipeline.totals import RunTotals
from ingest.pipeline.transaction import OCR_HINT
from ingest.runtime import formatting
from ingest.runtime.bottleneck import format_seconds
from ingest.runtime.formatting import escape_unprintable, format_bytes, pluralize, to_json

# Counts that are shown even if they are 0: people look for them.
ALWAYS_SHOWN = {Outcome.NEW, Outcome.CHANGED, Outcome.UNCHANGED, Outcome.REMOVED, Outcome.FAILED}
EARLIER_VERSION_HINT = "its earlier version stays searchable"
MAX_NAMED_EXCLUDED = 5  # excluded sources that are named without -v
MAX_EXACT_SECONDS = 120  # of a run whose duration is shown with a decimal


def supports_escapes(stream: Any, environment: Mapping[str, str]) -> bool:
    """Return whether a stream is a terminal with colours that NO_COLOR does not turn off."""
    able = environment.get("TERM") != "dumb" and not environment.get("NO_COLOR")
    return able and stream is not None and bool(stream.isatty())


def format_outcome(event: SourceResult, planned: str = "", run: str = "") -> str:
    """Format an outcome as a line of text; a plan says "to be " before the verbs.

    `run` is the id of the current run.
    """
    parts = [f"{event.outcome:<9} {escape_unprintable(event.source)}"]
    if event.reason:
        reason = escape_unprintable(event.reason)
        parts.append(f"{reason} [{event.code}]" if event.code else reason)
    if event.outcome in NOT_INDEXED_OUTCOMES and event.chunks:
        parts.append(EARLIER_VERSION_HINT)
    if not event.harmless and is_known(event, run):
        parts.append(f"known {describe_age(event.details.since, run)}")
    if event.embedded:
        chunks = f"{event.embedded:,} of {event.chunks:,} chunks {planned}embedded"
        tokens = f", {pluralize(event.tokens, 'token')}" if planned else ""
        parts.append(f"{pluralize(event.pages, 'page')}, {chunks}{tokens}")
    if event.deleted:
        parts.append(f"{pluralize(event.deleted, 'chunk')} {planned}deleted")
    if figures := formatting.format_figures(event.details.figure_outcomes):
        parts.append(f"figures: {figures}")
    return "  ".join(parts)


def outcome_json(event: RunEvent, run: str = "") -> str | None:
    """Format an event as a line of JSON; None for progress, and for files left out.

    `run` is the id of the current run.
    """
    if isinstance(event, RunProgress | LeftOut):
        return None
    if isinstance(event, DeletionsWithheld):
        return to_json({"event": "kept", **logs.run_field(), **asdict(event)})
    return to_json({"event": "source", **logs.run_field(), **outcome_fields(event, run)})


def outcome_fields(event: SourceResult, run: str = "") -> dict[str, Any]:
    """Fields of an outcome for JSON, without unknown details; `known` is null without a problem."""
    known = None if event.harmless else is_known(event, run)
    return {**asdict(event), "details": known_details(event.details), "known": known}


def known_details(details: Details) -> dict[str, Any]:
    """Details of a document that are known."""
    return {name: value for name, value in asdict(details).items() if value}


def run_summary_json(summary: Summary, totals: IndexTotals, **more: object) -> str:
    """Format a run's summary as a line of JSON."""
    return json.dumps({"event": "summary", **asdict(summary), "index": asdict(totals), **more})


def format_duration(summary: Summary, *, stopped: bool) -> list[str]:
    """Format how long a run took, and what slowed it down."""
    early = ", stopped early: run again to continue" if stopped else ""
    why = [f"Slowed:  {summary.bottleneck}"] if summary.bottleneck else []
    retries = f", {summary.retries:,} of the requests repeated" if summary.retries else ""
    seconds = summary.seconds
    took = f"{seconds:.1f} s" if seconds < MAX_EXACT_SECONDS else format_seconds(seconds)
    return [f"Took:    {took}{retries}{early}", *why]


def format_past_run(summary: Summary) -> str:
    """Format one of the last runs as a line of text."""
    counts = ", ".join(f"{n:,} {name}" for name, n in summary.outcomes.items() if n)
    if summary.exit not in FINISHED:
        counts = escape_unprintable(summary.reason) or counts
    ended = summary.ended[:16].replace("T", " ")
    parts = [
        f"{ended}  exit {summary.exit}  {format_seconds(summary.seconds)}",
        f"{counts or 'no documents'}; {summary.tokens_embedded:,} tokens embedded",
        summary.bottleneck,
    ]
    return "  ".join(part for part in parts if part)


def format_totals(totals: RunTotals, planned: str = "") -> list[str]:
    """Format the totals of a run; a plan says "to be " before the verbs."""
    counts = [
        f"{totals.outcomes[o]:,} {o}" for o in Outcome if o in ALWAYS_SHOWN or totals.outcomes[o]
    ]
    embedded = f"{totals.chunks:,} {planned}embedded ({totals.tokens:,} tokens)"
    embedded += f", {totals.reused:,} with reused vectors" if totals.reused else ""
    pages = [
        f"{totals.pages:,} read",
        f"{totals.empty_pages:,} without text" if totals.empty_pages else "",
        f"{pluralize(totals.scanned, 'scan')} ({OCR_HINT})" if totals.scanned else "",
        f"{totals.missing:,} could not be read" if totals.missing else "",
        f"{totals.undecoded:,} not decoded" if totals.undecoded else "",
        f"{totals.doubtful:,} with doubtful text" if totals.doubtful else "",
        f"{totals.hidden:,} with hidden text" if totals.hidden else "",
    ]
    figures = formatting.format_figures(totals.figures)
    return [
        f"Files:   {', '.join(counts)}",
        f"Pages:   {', '.join(filter(None, pages))}",
        *([f"Figures: {figures}"] if figures else []),
        f"Chunks:  {embedded}, {totals.deleted:,} {planned}deleted",
    ]


def format_remarks(totals: RunTotals, *, stopped: bool) -> list[str]:
    """Format the remarks on a run: withheld deletions, and files that were left out."""
    nothing = "No PDFs found, and nothing removed from the index."
    kept = [f"Kept:    {describe_withheld(each)}" for each in totals.kept]
    left_out = format_unread(totals.other_kinds)
    left_out += format_excluded(
        sum(o.excluded for o in totals.left_out), sum(o.kept for o in totals.left_out)
    )
    return [*([] if totals.sources or stopped else [nothing]), *kept, *left_out]


def format_problems(summary: Summary) -> list[str]:
    """Format how many of the problems are known; nothing if none is."""
    known, problems = summary.known_problems, summary.new_problems + summary.known_problems
    told = f"Known:   {known:,} of {pluralize(problems, 'problem')}, from earlier days"
    return [told] if known else []


def format_model_advice(totals: RunTotals, settings: Settings) -> list[str]:
    """Format the recommendation of another local model; nothing if there is none."""
    advice = suggest_multilingual(totals.languages, settings)
    return [f"Model:   {advice}"] if advice else []


def format_unread(kinds: Mapping[str, int]) -> list[str]:
    """Format how many files of other kinds were not read; nothing if there are none."""
    return [f"Unread:  {formatting.format_unread_files(kinds)}"] if kinds else []


def format_excluded(left_out: int, kept: int) -> list[str]:
    """Format how many sources were excluded; nothing if there are none."""
    if not (left_out or kept):
        return []
    return [f"Exclude: {pluralize(left_out, 'file')} left out; {kept:,} kept in the index"]


def format_left_out(event: LeftOut, *, verbose: bool = True) -> Iterator[str]:
    """Format the files of a root that are left out, one per line; a few unless verbose."""
    if verbose:
        count = sum(event.kinds.values())
        yield from (f"unread    {escape_unprintable(name)}" for name in event.unread)
        if count > len(event.unread):
            yield f"unread    and {count - len(event.unread):,} more"
    if not verbose and event.kept > MAX_NAMED_EXCLUDED:
        return
    yield from (f"kept      {escape_unprintable(name)}  excluded" for name in event.kept_names)
    if event.kept > len(event.kept_names):
        yield f"kept      and {event.kept - len(event.kept_names):,} more"


def suggest_search(options: argparse.Namespace) -> str:
    """Suggest a command that searches the index of this run, for the same shell."""
    script, here = Path(__file__).resolve().parents[2] / "scripts" / "ingest", Path.cwd()
    start = "ingest"
    if script.exists():  # in a checkout, where the command may not be installed
        near = script.is_relative_to(here)
        start = f"./{script.relative_to(here)}" if near else str(script)
    given = {"--index": options.index, "--embedder": options.embedder}
    flags = [word for flag, value in given.items() if value for word in (flag, value)]
    return f'Try:     {shlex.join([start, "search", *flags])} "your question"'


def describe_index(totals: IndexTotals) -> str:
    """Describe how much an index holds, with its size if that is known."""
    size = "" if totals.size < 0 else f", {format_bytes(totals.size)}"
    return totals.describe() + size
