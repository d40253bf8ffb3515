"""`ingest rebuild`: the index made anew beside the one in use, and put in its place."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from ingest.cli import configured, last_line, run, show
from ingest.cli.last_line import Ended
from ingest.connect import index_name, index_place
from ingest.connections import connections
from ingest.errors import ConfigError, IngestError
from ingest.evaluation.questions import Question, questions
from ingest.execution import Account
from ingest.index import Totals as Held
from ingest.index.generations import older
from ingest.proof import RANK, Taken
from ingest.rebuild import Switched, go_back, lineage, rebuilding, replace
from ingest.settings import Settings

DONE = (0, 3)  # exit codes of a run that took all that can be taken


def main(options: argparse.Namespace) -> int | Ended:
    """Do what the options say; returns the exit code, and of a rebuild what it means."""
    settings = configured(options)
    if options.alias:
        return name_anew(settings, options)
    if options.list:
        return list_all(settings, options)
    if options.back:
        switch, held = go_back(settings, connections(settings))
        tell([json_of(switch)], said(switch, settings, held), options)
        return 0
    asked = questions(Path(options.questions)) if options.questions else []
    return rebuild(settings, options, asked)


def rebuild(settings: Settings, options: argparse.Namespace, asked: Sequence[Question]) -> Ended:
    """A new index filled, proven and shown to readers; returns how it ended."""
    execution = run.new_run(options, settings)
    began, switch = time.monotonic(), None
    with (
        run.stopping(execution.stop, settings.deadline) as signals,
        run.looked_on(execution, settings) as (to, seen),
        rebuilding(settings, options.roots, execution, to) as work,
    ):
        account = Account(execution, work.services, settings, began)
        totals = account.totals
        try:
            taken = Taken(frozenset(root.name for root in work.roots))
            for event in run.shown(work.roots, account, options):
                taken.add(event)
                seen.add(event)
            code = run.exit_code(execution.stop, signals, totals)
            if code in DONE:
                switch = replace(work, taken, execution, asked, options.keep)
        except IngestError as error:
            run.over(account, error.exit_code, seen, str(error))
            raise
        words = last_line.of_run(code, totals, work.services.budget.reached, execution.id)
        summary = run.over(account, code, seen, words)
        held = work.services.index.totals()
        in_use = work.line.current() == work.name
    stopped, budget = execution.stop.requested(), work.services.budget
    run.said_if_reached(budget)
    lines = [
        *show.summary(totals),
        *(said(switch, settings, held) if switch else [left(settings, held, in_use=in_use)]),
        *show.took(summary, stopped=stopped),
        *show.remarks(totals, stopped=stopped),
    ]
    tell(
        [json_of(switch), show.summary_json(summary, held, spent=run.spent(budget))], lines, options
    )
    return Ended(code, words, True, run.given(account, summary))


def tell(objects: Sequence[str], lines: Sequence[str], options: argparse.Namespace) -> None:
    """Print the JSON, or what people are told, or nothing."""
    if options.json:
        print("\n".join(objects))
    elif not options.quiet:
        print("\n".join(lines))


def list_all(settings: Settings, options: argparse.Namespace) -> int:
    """Every generation, the newest first."""
    objects, lines = [], []
    with lineage(settings, connections(settings)) as line:
        names, current = line.names(), line.current()
        for name in reversed(names):
            with closing(line.opened(name)) as index:
                held = index.totals()
            kept = "kept" if name in older(names, current) else "newer"
            state = "in use" if name == current else kept
            about = {"event": "generation", "name": name, "state": state, **asdict(held)}
            objects.append(json.dumps(about))
            lines.append(f"{state:<7}  {name}  {show.describe(held)}")
    summary = {"event": "summary", "generations": len(names), "in_use": current}
    nothing = [f"There is no index in {index_name(settings)} yet: ingest run makes it"]
    tell([*objects, json.dumps(summary)], lines or nothing, options)
    return 0


def name_anew(settings: Settings, options: argparse.Namespace) -> int:
    """An index that has a name of its own gets an alias."""
    if "://" not in index_place(settings):
        raise ConfigError("--alias is for an index on Azure AI Search: a folder needs none")
    from ingest.index.alias import Alias

    index, alias = settings.search_index, options.alias
    with lineage(settings, connections(settings)) as line:
        assert isinstance(line, Alias)
        line.give(alias)
    words = (
        f"{alias} stands for {index} now: set AZURE_SEARCH_INDEX={alias} here and in whatever "
        "asks the index, then ingest rebuild"
    )
    tell([json.dumps({"event": "alias", "alias": alias, "index": index})], [words], options)
    return 0


def json_of(switch: Switched | None) -> str:
    """What was switched, or that nothing was, as a line of JSON."""
    return json.dumps({"event": "switched", **(asdict(switch) if switch else {"index": ""})})


def left(settings: Settings, held: Held, *, in_use: bool) -> str:
    """How far a rebuild came that ended early: where there was no index, readers see it already."""
    where, so_far = index_name(settings), f"{show.describe(held)} so far"
    if in_use:
        return f"Index:   {where} holds {so_far}"
    return f"Index:   {where} is as it was; the new one has {so_far}"


def said(switch: Switched, settings: Settings, held: Held) -> list[str]:
    """What was switched, for people."""
    lines = [f"Index:   {index_name(settings)} holds {show.describe(held)}"]
    kept = f", before: {switch.before}" if switch.before not in ("", *switch.dropped) else ""
    lines.append(f"Switch:  {switch.index} is in use{kept}")
    if switch.dropped:
        lines.append(f"Dropped: {', '.join(switch.dropped)}")
    if scores := switch.scores:
        words = " by words, as it has another model" if scores.by_words else ""
        old = f"; {scores.old:.3f} before{words}" if scores.old is not None else ""
        among = f"{scores.questions} questions answered by the first {RANK} chunks"
        lines.append(f"Answers: {scores.new:.3f} of {among}{old}")
    return lines
