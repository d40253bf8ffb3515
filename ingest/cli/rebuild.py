"""`ingest rebuild`: the index made anew beside the one in use, and put in its place."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ingest.cli import configured, run, show
from ingest.connect import embedder, generations, index_name, index_place, roots, services
from ingest.connections import Connections, connections
from ingest.errors import BusyError, ConfigError, IngestError
from ingest.evaluation.questions import Question, questions
from ingest.index import Index
from ingest.index import Totals as Held
from ingest.index.generations import Generations, Successor, older
from ingest.model import Summary
from ingest.pipeline import Run, Services
from ingest.rebuild import RANK, Scores, Taken, inherit, losses, no_worse, permit, whole
from ingest.report.totals import Totals
from ingest.settings import Settings
from ingest.sources import Root

DONE = (0, 3)  # exit codes of a run that took all that can be taken


@dataclass(frozen=True, slots=True)
class Work:
    """What a rebuild works with."""

    line: Generations
    before: str  # the generation in use; "" if there is none
    name: str  # the one being filled
    roots: list[Root]
    services: Services
    wait: Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Switched:
    """What readers see from now on."""

    index: str  # the generation in use
    before: str  # the one that was; "" if there was none
    dropped: list[str]
    scores: Scores | None = None


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    settings = configured(options)
    if options.alias:
        return name_anew(settings, options)
    if options.list:
        return list_all(settings, options)
    if options.back:
        return go_back(settings, options)
    asked = questions(Path(options.questions)) if options.questions else []
    return rebuild(settings, options, asked)


def rebuild(settings: Settings, options: argparse.Namespace, asked: Sequence[Question]) -> int:
    """A new index filled, proven and shown to readers; returns the exit code."""
    execution = run.new_run(options, settings)
    totals, started, switch = Totals(), time.monotonic(), None
    with (
        run.stopping(execution.stop, settings.deadline) as signals,
        at_work(settings, options, execution) as work,
    ):
        all_ = work.services

        def over(code: int) -> Summary:
            seconds, capacity = time.monotonic() - started, run.capacity(all_, settings)
            summary = totals.summary(execution.id, seconds, code, all_.times, capacity)
            run.remember(summary, all_.index)
            return summary

        try:
            taken = Taken(frozenset(root.name for root in work.roots))
            for event in run.shown(work.roots, all_, execution, totals, options):
                taken.add(event)
            code = run.exit_code(execution.stop, signals, totals)
            if code in DONE:
                scores = proven(work, taken, execution, asked)
                work.line.switch(work.name)
                switch = Switched(work.name, work.before, trimmed(work.line, options.keep), scores)
        except IngestError as error:
            over(error.exit_code)
            raise
        summary, held = over(code), all_.index.totals()
    if options.json:
        print(json_of(switch))
        print(show.summary_json(summary, held))
    elif not options.quiet:
        stopped = execution.stop.requested()
        lines = [
            *show.summary(totals),
            *said(switch, settings, held),
            *show.took(summary, stopped=stopped),
            *show.remarks(totals, stopped=stopped),
        ]
        print("\n".join(lines))
    return summary.exit


@contextmanager
def at_work(settings: Settings, options: argparse.Namespace, execution: Run) -> Iterator[Work]:
    """All that a rebuild needs; the index in use is held meanwhile, and only read."""
    to = connections(settings, execution.stop)
    with ExitStack() as opened:
        line = opened.enter_context(lineage(settings, to))
        before = line.current()
        earlier = opened.enter_context(held(line, before)) if before else None
        names = named_roots(options, settings, earlier)
        where = opened.enter_context(roots(names, settings, to))
        name, index = line.next()
        successor = Successor(index, earlier)
        all_ = opened.enter_context(
            services(settings, execution.stop, write=True, to=to, successor=successor)
        )
        if earlier:
            inherit(earlier, index)
        yield Work(line, before, name, where, all_, to.patience.wait)


@contextmanager
def lineage(settings: Settings, to: Connections) -> Iterator[Generations]:
    """The generations of the index of the settings."""
    with (
        closing(embedder(settings, to)) as model,
        closing(generations(settings, model, to)) as line,
    ):
        yield line


@contextmanager
def held(line: Generations, name: str) -> Iterator[Index]:
    """The generation in use, with everybody else kept from writing to it."""
    with closing(line.opened(name)) as index:
        index.hold()
        if line.current() != name:
            raise BusyError("another rebuild has just ended: run again")
        yield index


def named_roots(
    options: argparse.Namespace, settings: Settings, earlier: Index | None
) -> list[str]:
    """The roots of the command line, else those of the index. Raises ConfigError for none."""
    if not options.roots and earlier:
        known = list(dict.fromkeys(record.root for record in earlier.records()))
        if known:
            return known
    return run.named_roots(options, settings)


def proven(work: Work, taken: Taken, execution: Run, asked: Sequence[Question]) -> Scores | None:
    """How well the new index answers, once it is known to be whole and to lack nothing.

    Raises ServiceError or ConfigError if it is not what readers should see.
    """
    all_ = work.services
    whole(all_, taken.documents, work.wait)
    if all_.earlier:
        lost = list(losses(all_.earlier, all_.index, taken))
        sources = all_.earlier.totals().sources
        permit(lost, sources, prune=execution.prune, most=execution.max_deletes)
    return no_worse(all_, asked) if asked else None


def trimmed(line: Generations, keep: int) -> list[str]:
    """The names of the generations that were dropped: all but the last few before this one."""
    before = older(line.names(), line.current())
    surplus = before[: max(0, len(before) - keep)]
    for name in surplus:
        line.drop(name)
    return surplus


def go_back(settings: Settings, options: argparse.Namespace) -> int:
    """Readers see the generation before; the one they saw stays."""
    to = connections(settings)
    with lineage(settings, to) as line:
        name = line.current()
        before = older(line.names(), name)
        if not before:
            raise ConfigError(
                f"there is no index before that of {index_name(settings)} to go back to: "
                "ingest rebuild --list shows what is kept"
            )
        with held(line, name):
            line.switch(before[-1])
            with closing(line.opened(before[-1])) as index:
                holds = index.totals()
    switch = Switched(before[-1], name, [])
    if options.json:
        print(json_of(switch))
    elif not options.quiet:
        print("\n".join(said(switch, settings, holds)))
    return 0


def list_all(settings: Settings, options: argparse.Namespace) -> int:
    """Every generation, the newest first."""
    to = connections(settings)
    with lineage(settings, to) as line:
        names, current = line.names(), line.current()
        for name in reversed(names):
            with closing(line.opened(name)) as index:
                holds = index.totals()
            state = "in use" if name == current else "kept" if name in older(names, current) else "newer"
            if options.json:
                about = {"name": name, "state": state or "not in use yet", **asdict(holds)}
                print(json.dumps({"event": "generation", **about}))
            else:
                print(f"{state or 'begun':<7}  {name}  {show.describe(holds)}")
    if not names and not options.json:
        print(f"There is no index in {index_name(settings)} yet: ingest run makes it")
    return 0


def name_anew(settings: Settings, options: argparse.Namespace) -> int:
    """An index that has a name of its own gets an alias."""
    if "://" not in index_place(settings):
        raise ConfigError("--alias is for an index on Azure AI Search: a folder needs none")
    from ingest.index.alias import Alias

    to = connections(settings)
    with lineage(settings, to) as line:
        assert isinstance(line, Alias)
        line.give(options.alias)
    if options.json:
        print(
            json.dumps({"event": "alias", "alias": options.alias, "index": settings.search_index})
        )
    elif not options.quiet:
        print(
            f"{options.alias} stands for {settings.search_index} now: set AZURE_SEARCH_INDEX="
            f"{options.alias} here and in whatever asks the index, then ingest rebuild"
        )
    return 0


def json_of(switch: Switched | None) -> str:
    """What was switched, or that nothing was, as a line of JSON."""
    return json.dumps({"event": "switched", **(asdict(switch) if switch else {"index": ""})})


def said(switch: Switched | None, settings: Settings, holds: Held) -> list[str]:
    """The same for people."""
    where = index_name(settings)
    if switch is None:
        return [f"Index:   {where} is as it was; the new one has {show.describe(holds)} so far"]
    lines = [f"Index:   {where} holds {show.describe(holds)}"]
    kept = f", before: {switch.before}" if switch.before not in ("", *switch.dropped) else ""
    lines.append(f"Switch:  {switch.index} is in use{kept}")
    if switch.dropped:
        lines.append(f"Dropped: {', '.join(switch.dropped)}")
    if scores := switch.scores:
        words = " (asked by words: it has vectors of another model)" if scores.by_words else ""
        old = f", {scores.old:.3f} before{words}" if scores.old is not None else ""
        lines.append(
            f"Answers: {scores.new:.3f} of {scores.questions} questions among the first {RANK} "
            f"chunks{old}"
        )
    return lines
