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

from ingest.check import Checked, Event, Underway, Untaken, check
from ingest.check.finding import Finding, Kind
from ingest.check.repair import forgotten, forgotten_source, repaired
from ingest.check.scope import Scope
from ingest.cli import configured, last_line, run, show
from ingest.cli.last_line import Ended
from ingest.connect import embedder, index, index_name, reached, roots, services
from ingest.connections import Connections, connections
from ingest.errors import DocumentError, ServiceError
from ingest.index import Index
from ingest.model import Event as RunEvent
from ingest.model import Key, Outcome, Settled
from ingest.report.totals import Totals
from ingest.settings import Settings
from ingest.sources import Root
from ingest.sources.folder import normal

SHOWN = 20  # findings of one kind, unless more is asked for
SIGNAL = 128  # and more: the exit code of what a signal ended
FOUND = DocumentError.exit_code


def main(options: argparse.Namespace) -> int | Ended:
    """Do what the options say; returns the exit code, and what it means unless it is 0."""
    settings = configured(options)
    execution = run.new_run(options, settings)
    to = connections(settings, execution.stop)
    write = bool(options.repair or options.forget) and holds_anything(settings, to)
    names = options.roots or ([settings.root] if settings.root else [])
    with (
        run.stopping(execution.stop) as signals,
        ExitStack() as stack,
        roots(names, settings, to) as named,
        services(settings, execution.stop, write=write, to=to) as all_,
    ):
        opened = opener(stack, settings, to)
        scope = Scope(
            all_, execution, to.patience, named, opened, bool(options.roots), options.read
        )
        for root in options.forget:
            scope = forget(scope, root, options)
        seen = seen_in(scope, options)
        if options.repair and seen.findings and not signals:
            scope, totals = repair(scope, options)
            seen = seen_in(scope, options, "left")
            seen.embedded, seen.tokens = totals.chunks, totals.tokens
        seen.early = execution.stop.requested()
        code = FOUND if seen.findings else 0
        if seen.early:
            code = SIGNAL + signals[0] if signals else ServiceError.exit_code
        run.said_if_reached(all_.budget)
        tell(seen, code, index_name(settings), options)
    return Ended(code, last_line.of_check(code, seen.findings)) if code else 0


@dataclass(slots=True)
class Seen:
    """What a check came to."""

    run: str
    findings: Counter[Kind] = field(default_factory=Counter)
    remedies: dict[str, list[Kind]] = field(default_factory=dict)  # of which kinds
    under_way: int = 0  # sources, and roots, that were passed over
    sources: int = 0
    chunks: int = 0
    embedded: int = 0  # chunks, by a repair
    tokens: int = 0  # in those
    early: bool = False  # not all was looked at
    untaken: list[Untaken] = field(default_factory=list)  # what no run could take

    def add(self, event: Event, place: str) -> None:
        """Count one event, of an index that a command has to name; "" where it need not."""
        if isinstance(event, Checked):
            self.sources, self.chunks = event.sources, event.chunks
        elif isinstance(event, Underway):
            self.under_way += 1
        elif isinstance(event, Untaken):
            self.untaken.append(event)
        else:
            self.findings[event.kind] += 1
            kinds = self.remedies.setdefault(event.remedy(place), [])
            if event.kind not in kinds:
                kinds.append(event.kind)


def holds_anything(settings: Settings, to: Connections) -> bool:
    """Whether there is an index to be repaired: a repair makes none."""
    where = index(settings, embedder(settings, to), to)
    try:
        held = where.totals()
    finally:
        where.close()
    return bool(held.sources or held.chunks)


def opener(stack: ExitStack, settings: Settings, to: Connections) -> Callable[[str], Root]:
    """What opens a root by the name that an index has for it, until the stack is closed."""
    known: dict[str, Root] = {}

    def opened(name: str) -> Root:
        if name not in known:
            found = stack.enter_context(roots([name], settings, to))
            reached(name, found)
            (known[name],) = found
        return known[name]

    return opened


def source_at(index: Index, name: str) -> Key | None:
    """The root and the name of a source that is given as ROOT/NAME; None for no such source."""
    names = [name]
    if "://" in name:
        names.append(unquote(name))
    else:
        path = Path(name)
        paths = path.absolute(), path.parent.resolve() / path.name
        names += [normal(path.as_posix()) for path in paths]
    places = {
        (root, name.removeprefix(f"{root}/"))
        for root in {record.root for record in index.records()}
        for name in names
        if name.startswith(f"{root}/")
    }
    return next((place for place in sorted(places) if index.record(*place)), None)


def forget(scope: Scope, root: str, options: argparse.Namespace) -> Scope:
    """Remove a root or one source, and say what that came to; the scope of a check after it."""
    # A program may have called a root of its own anything.
    known = "://" in root or any(True for _ in scope.index.records(root))
    name = root if known else Path(root).resolve().as_posix()
    place = None if known and "://" not in root else source_at(scope.index, root)
    totals = Totals()
    for event in forgotten_source(scope, *place) if place else forgotten(scope, name):
        totals.add(event)
        show_event(event, options)
    if not options.quiet and not options.json:
        files = show.many(totals.outcomes[Outcome.REMOVED], "file")
        print(f"Forgot:  {files}, {show.many(totals.deleted, 'chunk')} of {show.printable(name)}")
    return replace(scope, wrote=True)


def repair(scope: Scope, options: argparse.Namespace) -> tuple[Scope, Totals]:
    """Mend what was found; the scope of a check after it, and what it came to."""
    totals = Totals()
    for event in repaired(scope):
        totals.add(event)
        show_event(event, options)
    if totals.sources:
        scope.patience.wait(scope.index.lag)
    if not options.quiet and not options.json:
        embedded = f"{show.many(totals.chunks, 'chunk')} embedded ({totals.tokens:,} tokens)"
        print(f"Repair:  {embedded}, {totals.deleted:,} deleted")
        for remark in show.remarks(totals, stopped=True):
            print(remark)
    return replace(scope, wrote=True), totals


def seen_in(scope: Scope, options: argparse.Namespace, name: str = "finding") -> Seen:
    """One check, shown as it goes on: its findings, or those that are left."""
    seen = Seen(scope.run.id)
    root = ""
    for event in check(scope):
        seen.add(event, options.index or "")
        if not isinstance(event, Finding):
            continue
        if options.json:
            more = {"event": name, **asdict(event), "remedy": event.remedy(options.index or "")}
            print(json.dumps(more, ensure_ascii=False), flush=True)
        elif not options.quiet and (seen.findings[event.kind] <= SHOWN or options.verbose):
            if event.root != root:
                root = event.root
                print(f"Root:    {show.printable(root)}")
            print(line(event), flush=True)
    return seen


def not_taken(sources: Sequence[Untaken], most: int | None) -> Iterator[str]:
    """The sources that no run could take, of which the index is not to blame, as lines of text."""
    shown = sources[:most]
    for found in shown:
        code = f" [{found.code}]" if found.code else ""
        text = f"{show.printable(found.source)}  {show.printable(found.reason)}{code}"
        yield f"{found.outcome:<9} {text}"
    if len(shown) < len(sources):
        yield f"and {len(sources) - len(shown):,} more that could not be taken; -v shows all"


def line(finding: Finding) -> str:
    """A finding as a line of text."""
    about = f"{show.printable(finding.source)}  " if finding.source else ""
    return f"{finding.kind:<9} {about}{show.printable(finding.text)}"


def show_event(event: RunEvent, options: argparse.Namespace) -> None:
    """What became of a source that was mended."""
    if options.json:
        if text := show.as_json(event):
            print(text, flush=True)
    elif isinstance(event, Settled) and not options.quiet:
        told = options.verbose or event.outcome is not Outcome.UNCHANGED
        if told:
            print(show.line(event), flush=True)


def tell(seen: Seen, code: int, where: str, options: argparse.Namespace) -> None:
    """What it all came to."""
    if options.json:
        for source in seen.untaken:
            print(json.dumps({"event": "untaken", **asdict(source)}, ensure_ascii=False))
        counts = {"sources": seen.sources, "chunks": seen.chunks, "under_way": seen.under_way}
        paid = {"chunks_embedded": seen.embedded, "tokens_embedded": seen.tokens}
        summary = {"event": "summary", "run": seen.run, "findings": dict(seen.findings)}
        print(json.dumps({**summary, **counts, **paid, "exit": code}))
        return
    if options.quiet:
        return
    hidden = 0 if options.verbose else sum(max(0, n - SHOWN) for n in seen.findings.values())
    if hidden:
        print(f"and {hidden:,} more; -v shows all")
    held = f"{show.many(seen.sources, 'file')}, {show.many(seen.chunks, 'chunk')}"
    print(f"Checked: {held} in {where}")
    if not (seen.sources or seen.chunks or seen.findings or seen.early):
        print("Nothing yet: ingest run fills it")
        return
    if seen.under_way:
        print(f"Passed:  {seen.under_way:,} sources and roots, because a run is writing")
    found = ", ".join(f"{count:,} {kind}" for kind, count in seen.findings.items())
    early = " so far: stopped before all was looked at" if seen.early else ""
    print(f"Found:   {found or 'nothing'}{early}")
    for text in not_taken(seen.untaken, None if options.verbose else SHOWN):
        print(text)
    for remedy, kinds in seen.remedies.items():
        print(f"Mend:    {show.printable(remedy)}  ({', '.join(kinds)})")
