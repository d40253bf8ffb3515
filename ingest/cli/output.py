"""What a run looks like while it goes on, and when it is over."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.cli import logs
from ingest.index import IndexTotals as Held
from ingest.models import (
    DeletionsWithheld,
    Details,
    LeftOut,
    Outcome,
    RunEvent,
    RunProgress,
    SourceKey,
    SourceResult,
    Summary,
)
from ingest.pipeline.totals import RunTotals
from ingest.pipeline.transaction import OCR_HINT
from ingest.runtime.bottleneck import format_seconds
from ingest.runtime.formatting import escape_unprintable as escape_unprintable  # noqa: PLC0414 - others say them as show does
from ingest.runtime.formatting import format_bytes as format_bytes  # noqa: PLC0414 - others say them as show does
from ingest.runtime.formatting import format_unread_files
from ingest.runtime.formatting import pluralize as pluralize  # noqa: PLC0414 - others say them as show does

if TYPE_CHECKING:
    from typing import Self

# Counts that are shown even where they are 0: a person looks for them.
ALWAYS_SHOWN = {Outcome.NEW, Outcome.CHANGED, Outcome.UNCHANGED, Outcome.REMOVED, Outcome.FAILED}
PACE_SECONDS, PACE_SHARE = 3.0, 0.05  # with less than both behind it, a pace says nothing
MINUTE, HOUR = 60, 3600  # seconds
FEW = 5  # excluded sources that are named unasked
PROGRESS_LOG_SECONDS = 10.0  # seconds between signs of life in a log


class Display:
    """Progress on stderr: a live line on a terminal, lines in a log."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.quiet: bool = options.quiet
        self.verbose: int = options.verbose
        self.bar: Any = None
        self.is_live = not (options.quiet or logs.is_machine_log()) and escapes(
            sys.stderr, os.environ
        )
        self.last_line = self.began = time.monotonic()
        self.pages = self.chunks = 0
        self.waiting: dict[SourceKey, int] = {}  # bytes of documents that are still to be settled
        self.most = self.rest = 0  # bytes to read, in all and still

    def __enter__(self) -> Self:
        return self

    def start_bar(self, sizes: dict[SourceKey, int] | None) -> None:
        """Begin the live line; if it is known which documents are to be read, with an end."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self.bar = Progress(
            BarColumn(bar_width=10),
            MofNCompleteColumn(),
            TextColumn("documents {task.fields[pages]:,} pages {task.fields[chunks]:,} chunks"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[waiting]}"),
            console=Console(stderr=True),
            transient=True,
        )
        total = None if sizes is None else len(sizes)
        self.bar.add_task("", total=total, pages=0, chunks=0, left="", waiting="")
        self.waiting = sizes or {}
        self.most = self.rest = sum(self.waiting.values())
        self.began = time.monotonic()
        self.bar.start()

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()

    def show(self, event: RunEvent, totals: RunTotals, waiting: str = "") -> None:
        """One more event has happened; embedding is waiting for something, or nothing."""
        if isinstance(event, RunProgress):
            self.pages += event.pages
            self.chunks += event.chunks
        elif isinstance(event, LeftOut):
            for text in left_alone(event) if self.verbose else ():
                self.write_line(text, logging.INFO, "unread")
        elif isinstance(event, SourceResult):
            self.rest -= self.waiting.pop((event.root, event.source), 0)
            if self.is_shown(event):
                level = logging.INFO if event.harmless else logging.WARNING
                self.write_line(format_outcome(event), level, "source", **outcome_fields(event))
        waits = f"waits for {waiting}" if waiting else ""
        if self.bar:
            read = (
                totals.sources
                - totals.outcomes[Outcome.UNCHANGED]
                - totals.outcomes[Outcome.REMOVED]
            )
            self.bar.update(
                0,
                completed=read,
                pages=self.pages,
                chunks=self.chunks,
                left=left(time.monotonic() - self.began, self.most - self.rest, self.rest),
                waiting=waits,
            )
        elif time.monotonic() - self.last_line > PROGRESS_LOG_SECONDS:
            self.write_line(
                f"{totals.sources:,} documents, {self.pages:,} pages, {self.chunks:,} chunks so far"
                + (f", {waits}" if waits else ""),
                logging.INFO,
                "progress",
                sources=totals.sources,
                pages=self.pages,
                chunks=self.chunks,
                waiting=waiting,
            )

    def is_shown(self, event: SourceResult) -> bool:
        """Whether a person who asked for this much wants to hear of it."""
        if not event.harmless or event.outcome is Outcome.EMPTY:
            return True
        return self.verbose > (event.outcome is Outcome.UNCHANGED)

    def write_line(self, text: str, level: int, event: str, **fields: Any) -> None:
        """A line above the live one, or in the log."""
        self.last_line = time.monotonic()
        if self.quiet:
            return
        if self.bar:
            self.bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
        else:
            logs.log_event(level, text, event=event, **fields)


def escapes(stream: Any, environment: Mapping[str, str]) -> bool:
    """Whether a stream gets escape sequences: a terminal that knows them, if nobody objects."""
    able = environment.get("TERM") != "dumb" and not environment.get("NO_COLOR")
    return able and stream is not None and bool(stream.isatty())


def left(seconds: float, done: int, rest: int) -> str:
    """The time that the rest will take at the pace until now, roughly; "" before there is one."""
    if not rest or seconds < PACE_SECONDS or done < PACE_SHARE * (done + rest):
        return ""
    more = seconds * rest / done
    for unit, name in ((HOUR, "h"), (MINUTE, "min")):
        if more >= unit:
            return f"about {round(more / unit)} {name} left"
    return f"about {max(10, round(more, -1)):.0f} s left"


def format_outcome(event: SourceResult, planned: str = "") -> str:
    """One outcome as a line of text; `planned` goes before what has not happened yet."""
    parts = [f"{event.outcome:<9} {escape_unprintable(event.source)}"]
    if event.reason:
        parts.append(f"{event.reason} [{event.code}]" if event.code else event.reason)
    if event.embedded:
        chunks = f"{event.embedded:,} of {event.chunks:,} chunks {planned}embedded"
        tokens = f", {pluralize(event.tokens, 'token')}" if planned else ""
        parts.append(f"{pluralize(event.pages, 'page')}, {chunks}{tokens}")
    if event.deleted:
        parts.append(f"{pluralize(event.deleted, 'chunk')} {planned}deleted")
    return "  ".join(parts)


def outcome_json(event: RunEvent) -> str | None:
    """One outcome as a line of JSON; None for what is only progress, or counted in the summary."""
    if isinstance(event, RunProgress | LeftOut):
        return None
    if isinstance(event, DeletionsWithheld):
        return json.dumps(
            {"event": "kept", **logs.run_field(), **asdict(event)}, ensure_ascii=False
        )
    return json.dumps(
        {"event": "source", **logs.run_field(), **outcome_fields(event)}, ensure_ascii=False
    )


def outcome_fields(event: SourceResult) -> dict[str, Any]:
    """One outcome as fields of an object, without details that are not known."""
    return {**asdict(event), "details": known_details(event.details)}


def known_details(details: Details) -> dict[str, Any]:
    """What is known of a document, without what is not."""
    return {name: value for name, value in asdict(details).items() if value}


def run_summary_json(summary: Summary, totals: Held, **more: object) -> str:
    """The whole run as a line of JSON."""
    return json.dumps({"event": "summary", **asdict(summary), "index": asdict(totals), **more})


def format_duration(summary: Summary, *, stopped: bool) -> list[str]:
    """How long a run took, and why so long."""
    early = ", stopped early: run again to go on" if stopped else ""
    why = [f"Slowed:  {summary.bottleneck}"] if summary.bottleneck else []
    return [f"Took {summary.seconds:.1f} s{early}", *why]


def format_past_run(summary: Summary) -> str:
    """One of the last runs in a line."""
    counts = ", ".join(f"{n:,} {name}" for name, n in summary.outcomes.items() if n)
    parts = [
        f"{summary.ended[:16].replace('T', ' ')}  exit {summary.exit}  {format_seconds(summary.seconds)}",
        f"{counts or 'nothing settled'}; {summary.tokens_embedded:,} tokens embedded",
        summary.bottleneck,
    ]
    return "  ".join(part for part in parts if part)


def format_totals(totals: RunTotals, planned: str = "") -> list[str]:
    """The whole run in a few lines; `planned` goes before what has not happened yet."""
    counts = [
        f"{totals.outcomes[o]:,} {o}" for o in Outcome if o in ALWAYS_SHOWN or totals.outcomes[o]
    ]
    embedded = f"{totals.chunks:,} {planned}embedded ({totals.tokens:,} tokens)"
    embedded += f", {totals.reused:,} with the vectors they had" if totals.reused else ""
    pages = [
        f"{totals.pages:,} read",
        f"{totals.empty_pages:,} without text" if totals.empty_pages else "",
        f"{pluralize(totals.scanned, 'picture')} ({OCR_HINT})" if totals.scanned else "",
        f"{totals.missing:,} could not be read" if totals.missing else "",
        f"{totals.doubtful:,} recognised, but not for sure" if totals.doubtful else "",
    ]
    return [
        f"Files:   {', '.join(counts)}",
        f"Pages:   {', '.join(filter(None, pages))}",
        f"Chunks:  {embedded}, {totals.deleted:,} {planned}deleted",
    ]


def format_remarks(totals: RunTotals, *, stopped: bool) -> list[str]:
    """What somebody has to act on, or may wonder about."""
    nothing = "No PDFs found, and nothing removed from the index."
    kept = [
        f"Kept:    {pluralize(k.sources, 'source')} gone from {escape_unprintable(k.root)}: {k.reason}"
        for k in totals.kept
    ]
    left = unread(totals.other_kinds)
    left += excluded(sum(o.excluded for o in totals.left_out), sum(o.kept for o in totals.left_out))
    return [*([] if totals.sources or stopped else [nothing]), *kept, *left]


def unread(kinds: Mapping[str, int]) -> list[str]:
    """How many files of other kinds were not read; nothing where there are none."""
    return [f"Unread:  {format_unread_files(kinds)}"] if kinds else []


def excluded(left_out: int, kept: int) -> list[str]:
    """How many sources were left out; nothing where there are none."""
    if not (left_out or kept):
        return []
    return [f"Excluded: {pluralize(left_out, 'file')} left out; {kept:,} kept in the index"]


def left_alone(event: LeftOut, *, verbose: bool = True) -> Iterator[str]:
    """What was left alone in a root, as lines of text; only few things unless much is wanted."""
    if verbose:
        count = sum(event.kinds.values())
        yield from (f"unread    {escape_unprintable(name)}" for name in event.unread)
        if count > len(event.unread):
            yield f"unread    and {count - len(event.unread):,} more"
    if not verbose and event.kept > FEW:
        return
    yield from (f"kept      {escape_unprintable(name)}  excluded" for name in event.kept_names)
    if event.kept > len(event.kept_names):
        yield f"kept      and {event.kept - len(event.kept_names):,} more"


def suggestion(options: argparse.Namespace) -> str:
    """A search in the index that a run has filled, as a command for the same shell."""
    script, here = Path(__file__).resolve().parents[2] / "scripts" / "ingest", Path.cwd()
    start = "ingest"
    if script.exists():  # in a checkout, where the command may not be installed
        near = script.is_relative_to(here)
        start = f"./{script.relative_to(here)}" if near else str(script)
    chosen = {"--index": options.index, "--embedder": options.embedder}
    flags = [word for flag, value in chosen.items() if value for word in (flag, value)]
    return f'Try:     {shlex.join([start, "search", *flags])} "your question"'


def format_dollars(usd: float) -> str:
    """An amount of money: in cents, or where those say nothing in two digits."""
    if usd >= 1 or round(usd, 2) == usd:
        return f"${usd:,.2f}"
    return f"${float(f'{usd:.2g}'):.9f}".rstrip("0")


def describe_index(totals: Held) -> str:
    """How much an index holds."""
    text = f"{pluralize(totals.sources, 'file')}, {pluralize(totals.chunks, 'chunk')}"
    return text if totals.size < 0 else f"{text}, {format_bytes(totals.size)}"
