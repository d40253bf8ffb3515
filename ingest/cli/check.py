"""`ingest check`: compare the index with its records, and the records with the roots."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

from ingest.cli import exit_message, load_settings, open_index_and_model, output
from ingest.cli.exit_message import CommandExit
from ingest.cli.run import report_limit, start_run
from ingest.cli.signals import handle_signals
from ingest.commands.check.check import CheckEvent, CheckTotals, InProgress, Untaken, check_index
from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.repair import forget_root, forget_source, repair_index
from ingest.commands.check.scope import CheckContext
from ingest.config.connections import Connections, create_connections
from ingest.config.factory import open_services
from ingest.config.images import open_images
from ingest.config.index import index_location, index_name
from ingest.config.location import Location
from ingest.config.roots import open_known_root, resolve_roots
from ingest.config.settings import Settings
from ingest.config.sources import open_roots
from ingest.errors import DocumentError, ServiceError
from ingest.index import Index, RecordStore
from ingest.models import Outcome, RunEvent, SourceKey, SourceResult
from ingest.pipeline.images.unused import delete_unused
from ingest.pipeline.totals import RunTotals
from ingest.runtime.formatting import escape_unprintable, pluralize, to_json
from ingest.sources import Root
from ingest.sources.folder import normalize_name

MAX_SHOWN_FINDINGS = 20  # findings of each kind; -v shows all
FOUND_EXIT_CODE = DocumentError.exit_code


def main(options: argparse.Namespace) -> int | CommandExit:
    """Run the command; returns its exit code, with a message unless it is 0."""
    settings = load_settings(options)
    run = start_run(options, settings)
    connections = create_connections(settings, run.stop)
    writes = bool(options.repair or options.forget) and is_filled(settings, connections)
    names = options.roots or ([settings.root] if settings.root else [])
    with (
        handle_signals(run.stop) as signals,
        ExitStack() as stack,
        open_roots(names, settings, connections) as opened_roots,
        open_services(
            settings, run.stop, write=writes, connections=connections, embeds=options.repair
        ) as opened_services,
    ):
        services = opened_services
        if services.images is None:  # they are only looked at
            images = stack.enter_context(open_images(settings, connections, write=False))
            services = replace(services, images=images)
        named_roots = resolve_roots(opened_roots, services.index, settings, write=False)
        open_root = root_opener(stack, services.index, settings, connections)
        scope = CheckContext(
            services,
            run,
            connections.retry_policy,
            named_roots,
            open_root,
            bool(options.roots),
            options.read,
            index_location(settings).is_service,
        )
        for root in options.forget:
            scope = forget_and_report(scope, root, options)
        report = check_and_report(scope, options)
        if options.repair and report.findings and not signals:
            scope, totals = repair_and_report(scope, options)
            report = check_and_report(scope, options, "left")
            report.embedded, report.tokens = totals.chunks, totals.tokens
        report.stopped_early = run.stop.is_requested()
        if writes and not report.stopped_early:
            services.index.reclaim_space()
        code = FOUND_EXIT_CODE if report.findings else 0
        if report.stopped_early:
            code = exit_message.signal_exit_code(signals) or ServiceError.exit_code
        report_limit(services.budget)
        print_summary(report, code, index_name(settings), options)
    return CommandExit(code, exit_message.describe_check(code, report.findings)) if code else 0


@dataclass(slots=True)
class CheckReport:
    """Totals of one check."""

    run: str
    findings: Counter[FindingKind] = field(default_factory=Counter)
    remedies: dict[str, list[FindingKind]] = field(default_factory=dict)  # command: kinds
    in_progress_count: int = 0  # sources and roots skipped, because a run is writing them
    sources: int = 0
    chunks: int = 0
    embedded: int = 0  # chunks that a repair embedded
    tokens: int = 0  # in those chunks
    stopped_early: bool = False  # before everything was checked
    untaken: list[Untaken] = field(default_factory=list)  # sources that no run could read

    def add(self, event: CheckEvent, index_place: str) -> None:
        """Count one event. `index_place` is the --index for remedies; "" for the default index."""
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
    """Return whether the index holds anything: a repair never creates an index."""
    with open_index_and_model(settings, connections, any_model=True) as (index, _):
        totals = index.totals()
    return bool(totals.sources or totals.chunks)


def root_opener(
    stack: ExitStack, index: Index, settings: Settings, connections: Connections
) -> Callable[[str], Root]:
    """Create a function that opens a root by its name in the index, until the stack is closed."""
    opened: dict[str, Root] = {}

    def open_root(name: str) -> Root:
        if name not in opened:
            found = open_known_root(name, index, settings, connections)
            opened[name] = stack.enter_context(found)
        return opened[name]

    return open_root


def source_at(index: RecordStore, name: str) -> SourceKey | None:
    """Find the source ROOT/NAME in the index; None if there is none."""
    names = [name]
    if not Location.parse(name).is_local:
        names.append(unquote(name))
    else:
        path = Path(name)
        paths = path.absolute(), path.parent.resolve() / path.name
        names += [normalize_name(path.as_posix()) for path in paths]
    matches = {
        (root, name.removeprefix(f"{root}/"))
        for root in {record.root for record in index.records()}
        for name in names
        if name.startswith(f"{root}/")
    }
    return next((match for match in sorted(matches) if index.record(*match)), None)


def forget_and_report(scope: CheckContext, root: str, options: argparse.Namespace) -> CheckContext:
    """Remove a root or a source, print the result, and return the context to check next."""
    # A custom root of a Python program may have any name.
    is_url = not Location.parse(root).is_local
    names = {entry.name for entry in scope.index.roots()}  # one without documents, too
    known = is_url or root in names or any(True for _ in scope.index.records(root))
    name = root if known else Path(root).resolve().as_posix()
    place = None if known and not is_url else source_at(scope.index, root)
    totals = RunTotals()
    for event in forget_source(scope, *place) if place else forget_root(scope, name):
        totals.add(event)
        show_repair_event(event, options)
    delete_unused(scope.services)
    if not options.quiet and not options.json:
        files = pluralize(totals.outcomes[Outcome.REMOVED], "file")
        print(
            f"Forgot:  {files}, {pluralize(totals.deleted, 'chunk')} of {escape_unprintable(name)}"
        )
    return replace(scope, has_written=True)


def repair_and_report(
    scope: CheckContext, options: argparse.Namespace
) -> tuple[CheckContext, RunTotals]:
    """Repair the findings and print the results; return the context to check next, and totals."""
    totals = RunTotals()
    for event in repair_index(scope):
        totals.add(event)
        show_repair_event(event, options)
    if totals.sources:
        scope.index.wait_until_listed()
    if not options.quiet and not options.json:
        embedded = f"{pluralize(totals.chunks, 'chunk')} embedded ({totals.tokens:,} tokens)"
        print(f"Repair:  {embedded}, {totals.deleted:,} deleted")
        for remark in output.format_remarks(totals, stopped=True):
            print(remark)
    return replace(scope, has_written=True), totals


def check_and_report(
    scope: CheckContext, options: argparse.Namespace, event_name: str = "finding"
) -> CheckReport:
    """Check the index, printing each finding; `event_name` names a finding in JSON."""
    report = CheckReport(scope.run.id)
    root = ""
    for event in check_index(scope):
        report.add(event, options.index or "")
        if not isinstance(event, CheckFinding):
            continue
        if options.json:
            fields = {
                "event": event_name,
                **asdict(event),
                "remedy": event.remedy(options.index or ""),
            }
            print(to_json(fields), flush=True)
        elif not options.quiet and (
            report.findings[event.kind] <= MAX_SHOWN_FINDINGS or options.verbose
        ):
            if event.root != root:
                root = event.root
                print(f"Root:    {escape_unprintable(root)}")
            print(format_finding(event), flush=True)
    return report


def format_untaken(sources: Sequence[Untaken], most: int | None) -> Iterator[str]:
    """Format the sources that no run could read, one per line."""
    shown = sources[:most]
    for source in shown:
        code = f" [{source.code}]" if source.code else ""
        text = f"{escape_unprintable(source.source)}  {escape_unprintable(source.reason)}{code}"
        stays = f"  {output.EARLIER_VERSION_HINT}" if source.chunks else ""
        yield f"{source.outcome:<9} {text}{stays}"
    if len(shown) < len(sources):
        yield f"and {len(sources) - len(shown):,} more that could not be read; -v shows all"


def format_finding(finding: CheckFinding) -> str:
    """Format a finding as a line of text."""
    about = f"{escape_unprintable(finding.source)}  " if finding.source else ""
    return f"{finding.kind:<9} {about}{escape_unprintable(finding.text)}"


def show_repair_event(event: RunEvent, options: argparse.Namespace) -> None:
    """Print the outcome of one repaired source."""
    if options.json:
        if text := output.outcome_json(event):
            print(text, flush=True)
    elif isinstance(event, SourceResult) and not options.quiet:
        is_shown = options.verbose or event.outcome is not Outcome.UNCHANGED or event.deleted
        if is_shown:
            print(output.format_outcome(event), flush=True)


def print_summary(
    report: CheckReport, code: int, index_label: str, options: argparse.Namespace
) -> None:
    """Print the summary."""
    if options.json:
        for source in report.untaken:
            print(to_json({"event": "untaken", **asdict(source)}))
        counts = {
            "sources": report.sources,
            "chunks": report.chunks,
            "under_way": report.in_progress_count,
        }
        spent = {"chunks_embedded": report.embedded, "tokens_embedded": report.tokens}
        summary = {"event": "summary", "run": report.run, "findings": dict(report.findings)}
        print(json.dumps({**summary, **counts, **spent, "exit": code}))
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
    counted = f"{pluralize(report.sources, 'file')}, {pluralize(report.chunks, 'chunk')}"
    print(f"Checked: {counted} in {index_label}")
    if not (report.sources or report.chunks or report.findings or report.stopped_early):
        print("The index is empty or does not exist: ingest run fills it")
        return
    if report.in_progress_count:
        print(f"Skipped: {report.in_progress_count:,} sources and roots, because a run is writing")
    found = ", ".join(f"{count:,} {kind}" for kind, count in report.findings.items())
    early = " so far: stopped before everything was checked" if report.stopped_early else ""
    print(f"Found:   {found or 'nothing'}{early}")
    for text in format_untaken(report.untaken, None if options.verbose else MAX_SHOWN_FINDINGS):
        print(text)
    for remedy, kinds in report.remedies.items():
        print(f"Fix:     {escape_unprintable(remedy)}  ({', '.join(kinds)})")
