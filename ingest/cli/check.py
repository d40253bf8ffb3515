"""`ingest check`: whether the index is what its records say, and they what the roots hold."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from ingest.cli import exit_message as last_line
from ingest.cli import load_settings, run
from ingest.cli import output as show
from ingest.cli.exit_message import CommandExit
from ingest.commands.check.check import CheckEvent, CheckTotals, InProgress, Untaken, check_index
from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.repair import forget_root, forgotten_source, repair_index
from ingest.commands.check.scope import CheckContext
from ingest.config.connections import Connections, create_connections
from ingest.config.factory import (
    check_root_reachable,
    create_embedder,
    index_name,
    open_index,
    open_roots,
    open_services,
)
from ingest.config.settings import Settings
from ingest.errors import DocumentError, ServiceError
from ingest.index import RecordStore
from ingest.models import Outcome, RunEvent, SourceKey, SourceResult
from ingest.pipeline.totals import RunTotals
from ingest.sources import Root
from ingest.sources.folder import normalize_name

MAX_SHOWN_FINDINGS = 20  # findings of one kind, unless more is asked for
SIGNAL_EXIT_BASE = 128  # and more: the exit code of what a signal ended
FOUND_EXIT_CODE = DocumentError.exit_code


def main(options: argparse.Namespace) -> int | CommandExit:
    """Do what the options say; returns the exit code, and what it means unless it is 0."""
    settings = load_settings(options)
    execution = run.start_run(options, settings)
    to = create_connections(settings, execution.stop)
    write = bool(options.repair or options.forget) and is_filled(settings, to)
    names = options.roots or ([settings.root] if settings.root else [])
    with (
        run.handle_signals(execution.stop) as signals,
        ExitStack() as stack,
        open_roots(names, settings, to) as named,
        open_services(settings, execution.stop, write=write, to=to) as all_,
    ):
        opened = root_opener(stack, settings, to)
        scope = CheckContext(
            all_, execution, to.retry_policy, named, opened, bool(options.roots), options.read
        )
        for root in options.forget:
            scope = forget_and_report(scope, root, options)
        seen = check_and_report(scope, options)
        if options.repair and seen.findings and not signals:
            scope, totals = repair_and_report(scope, options)
            seen = check_and_report(scope, options, "left")
            seen.embedded, seen.tokens = totals.chunks, totals.tokens
        seen.stopped_early = execution.stop.is_requested()
        code = FOUND_EXIT_CODE if seen.findings else 0
        if seen.stopped_early:
            code = SIGNAL_EXIT_BASE + signals[0] if signals else ServiceError.exit_code
        run.report_limit(all_.budget)
        print_summary(seen, code, index_name(settings), options)
    return CommandExit(code, last_line.describe_check(code, seen.findings)) if code else 0


@dataclass(slots=True)
class CheckReport:
    """What a check came to."""

    run: str
    findings: Counter[FindingKind] = field(default_factory=Counter)
    remedies: dict[str, list[FindingKind]] = field(default_factory=dict)  # of which kinds
    in_progress_count: int = 0  # sources, and roots, that were passed over
    sources: int = 0
    chunks: int = 0
    embedded: int = 0  # chunks, by a repair
    tokens: int = 0  # in those
    stopped_early: bool = False  # not all was looked at
    untaken: list[Untaken] = field(default_factory=list)  # what no run could take

    def add(self, event: CheckEvent, index_place: str) -> None:
        """Count one event, of an index that a command has to name; "" where it need not."""
        if isinstance(event, CheckTotals):
            self.sources, self.chunks = event.sources, event.chunks
        elif isinstance(event, InProgress):
            self.in_progress_count += 1
        elif isinstance(event, Untaken):
            self.untaken.append(event)
        else:
            self.findings[event.kind] += 1
            kinds = self.remedies.setdefault(event.remedy(index_place), [])
            if event.kind not in kinds:
                kinds.append(event.kind)


def is_filled(settings: Settings, connections: Connections) -> bool:
    """Whether there is an index to be repaired: a repair makes none."""
    where = open_index(settings, create_embedder(settings, connections), connections)
    try:
        held = where.totals()
    finally:
        where.close()
    return bool(held.sources or held.chunks)


def root_opener(
    stack: ExitStack, settings: Settings, connections: Connections
) -> Callable[[str], Root]:
    """What opens a root by the name that an index has for it, until the stack is closed."""
    known: dict[str, Root] = {}

    def open_root(name: str) -> Root:
        if name not in known:
            found = stack.enter_context(open_roots([name], settings, connections))
            check_root_reachable(name, found)
            (known[name],) = found
        return known[name]

    return open_root


def source_at(index: RecordStore, name: str) -> SourceKey | None:
    """The root and the name of a source that is given as ROOT/NAME; None for no such source."""
    names = [name]
    if "://" in name:
        names.append(unquote(name))
    else:
        path = Path(name)
        paths = path.absolute(), path.parent.resolve() / path.name
        names += [normalize_name(path.as_posix()) for path in paths]
    places = {
        (root, name.removeprefix(f"{root}/"))
        for root in {record.root for record in index.records()}
        for name in names
        if name.startswith(f"{root}/")
    }
    return next((place for place in sorted(places) if index.record(*place)), None)


def forget_and_report(scope: CheckContext, root: str, options: argparse.Namespace) -> CheckContext:
    """Remove a root or one source, and say what that came to; the scope of a check after it."""
    # A program may have called a root of its own anything.
    known = "://" in root or any(True for _ in scope.index.records(root))
    name = root if known else Path(root).resolve().as_posix()
    place = None if known and "://" not in root else source_at(scope.index, root)
    totals = RunTotals()
    for event in forgotten_source(scope, *place) if place else forget_root(scope, name):
        totals.add(event)
        show_repair_event(event, options)
    if not options.quiet and not options.json:
        files = show.pluralize(totals.outcomes[Outcome.REMOVED], "file")
        print(
            f"Forgot:  {files}, {show.pluralize(totals.deleted, 'chunk')} of {show.escape_unprintable(name)}"
        )
    return replace(scope, has_written=True)


def repair_and_report(
    scope: CheckContext, options: argparse.Namespace
) -> tuple[CheckContext, RunTotals]:
    """Mend what was found; the scope of a check after it, and what it came to."""
    totals = RunTotals()
    for event in repair_index(scope):
        totals.add(event)
        show_repair_event(event, options)
    if totals.sources:
        scope.retry_policy.wait(scope.index.listing_lag)
    if not options.quiet and not options.json:
        embedded = f"{show.pluralize(totals.chunks, 'chunk')} embedded ({totals.tokens:,} tokens)"
        print(f"Repair:  {embedded}, {totals.deleted:,} deleted")
        for remark in show.format_remarks(totals, stopped=True):
            print(remark)
    return replace(scope, has_written=True), totals


def check_and_report(
    scope: CheckContext, options: argparse.Namespace, event_name: str = "finding"
) -> CheckReport:
    """One check, shown as it goes on: its findings, or those that are left."""
    seen = CheckReport(scope.run.id)
    root = ""
    for event in check_index(scope):
        seen.add(event, options.index or "")
        if not isinstance(event, CheckFinding):
            continue
        if options.json:
            more = {
                "event": event_name,
                **asdict(event),
                "remedy": event.remedy(options.index or ""),
            }
            print(json.dumps(more, ensure_ascii=False), flush=True)
        elif not options.quiet and (
            seen.findings[event.kind] <= MAX_SHOWN_FINDINGS or options.verbose
        ):
            if event.root != root:
                root = event.root
                print(f"Root:    {show.escape_unprintable(root)}")
            print(format_finding(event), flush=True)
    return seen


def not_taken(sources: Sequence[Untaken], most: int | None) -> Iterator[str]:
    """The sources that no run could take, of which the index is not to blame, as lines of text."""
    shown = sources[:most]
    for found in shown:
        code = f" [{found.code}]" if found.code else ""
        text = f"{show.escape_unprintable(found.source)}  {show.escape_unprintable(found.reason)}{code}"
        yield f"{found.outcome:<9} {text}"
    if len(shown) < len(sources):
        yield f"and {len(sources) - len(shown):,} more that could not be taken; -v shows all"


def format_finding(finding: CheckFinding) -> str:
    """A finding as a line of text."""
    about = f"{show.escape_unprintable(finding.source)}  " if finding.source else ""
    return f"{finding.kind:<9} {about}{show.escape_unprintable(finding.text)}"


def show_repair_event(event: RunEvent, options: argparse.Namespace) -> None:
    """What became of a source that was mended."""
    if options.json:
        if text := show.outcome_json(event):
            print(text, flush=True)
    elif isinstance(event, SourceResult) and not options.quiet:
        told = options.verbose or event.outcome is not Outcome.UNCHANGED
        if told:
            print(show.format_outcome(event), flush=True)


def print_summary(
    report: CheckReport, code: int, index_label: str, options: argparse.Namespace
) -> None:
    """What it all came to."""
    if options.json:
        for source in report.untaken:
            print(json.dumps({"event": "untaken", **asdict(source)}, ensure_ascii=False))
        counts = {
            "sources": report.sources,
            "chunks": report.chunks,
            "under_way": report.in_progress_count,
        }
        paid = {"chunks_embedded": report.embedded, "tokens_embedded": report.tokens}
        summary = {"event": "summary", "run": report.run, "findings": dict(report.findings)}
        print(json.dumps({**summary, **counts, **paid, "exit": code}))
        return
    if options.quiet:
        return
    hidden = (
        0
        if options.verbose
        else sum(max(0, n - MAX_SHOWN_FINDINGS) for n in report.findings.values())
    )
    if hidden:
        print(f"and {hidden:,} more; -v shows all")
    held = f"{show.pluralize(report.sources, 'file')}, {show.pluralize(report.chunks, 'chunk')}"
    print(f"Checked: {held} in {index_label}")
    if not (report.sources or report.chunks or report.findings or report.stopped_early):
        print("Nothing yet: ingest run fills it")
        return
    if report.in_progress_count:
        print(f"Passed:  {report.in_progress_count:,} sources and roots, because a run is writing")
    found = ", ".join(f"{count:,} {kind}" for kind, count in report.findings.items())
    early = " so far: stopped before all was looked at" if report.stopped_early else ""
    print(f"Found:   {found or 'nothing'}{early}")
    for text in not_taken(report.untaken, None if options.verbose else MAX_SHOWN_FINDINGS):
        print(text)
    for remedy, kinds in report.remedies.items():
        print(f"Mend:    {show.escape_unprintable(remedy)}  ({', '.join(kinds)})")
