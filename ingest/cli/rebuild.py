"""`ingest rebuild`: the index made anew beside the one in use, and put in its place."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path

from ingest.cli import exit_message as last_line
from ingest.cli import load_settings, run
from ingest.cli import output as show
from ingest.cli.exit_message import CommandExit
from ingest.commands.eval.questions import Question, load_questions
from ingest.commands.rebuild.rebuild import (
    SwitchResult,
    open_generations,
    open_rebuild,
    switch_back,
    switch_index,
)
from ingest.commands.rebuild.verify import HIT_RANK, RebuildProgress
from ingest.config.connections import create_connections
from ingest.config.factory import find_capacity
from ingest.config.index import index_location, index_name
from ingest.config.settings import Settings
from ingest.errors import ConfigError, IngestError
from ingest.index import IndexTotals as Held
from ingest.index.generations import older_names
from ingest.pipeline.run import RunRecorder

COMPLETE_EXIT_CODES = (0, 3)  # exit codes of a run that took all that can be taken


def main(options: argparse.Namespace) -> int | CommandExit:
    """Do what the options say; returns the exit code, and of a rebuild what it means."""
    settings = load_settings(options)
    if options.alias:
        return create_alias(settings, options)
    if options.list:
        return list_generations(settings, options)
    if options.back:
        switch, held = switch_back(settings, create_connections(settings))
        print_output([switch_json(switch)], describe_switch(switch, settings, held), options)
        return 0
    asked = load_questions(Path(options.questions)) if options.questions else []
    return rebuild_and_report(settings, options, asked)


def rebuild_and_report(
    settings: Settings, options: argparse.Namespace, questions: Sequence[Question]
) -> CommandExit:
    """A new index filled, proven and shown to readers; returns how it ended."""
    execution = run.start_run(options, settings)
    began, switch = time.monotonic(), None
    with (
        run.handle_signals(execution.stop, settings.deadline) as signals,
        run.observe_run(execution, settings) as (to, seen),
        open_rebuild(settings, options.roots, execution, to) as work,
    ):
        account = RunRecorder(
            execution, work.services, partial(find_capacity, work.services, settings), began
        )
        totals = account.totals
        try:
            taken = RebuildProgress(frozenset(root.name for root in work.roots))
            for event in run.run_and_show(work.roots, account, options):
                taken.add(event)
                seen.on_event(event)
            code = run.process_exit_code(execution.stop, signals, totals)
            if code in COMPLETE_EXIT_CODES:
                switch = switch_index(work, taken, execution, questions, options.keep)
        except IngestError as error:
            run.finish_run(account, error.exit_code, seen, str(error))
            raise
        words = last_line.describe_run(
            code, totals, work.services.budget.limit_reached, execution.id
        )
        summary = run.finish_run(account, code, seen, words)
        held = work.services.index.totals()
        in_use = work.generations.current() == work.name
    stopped, budget = execution.stop.is_requested(), work.services.budget
    run.report_limit(budget)
    lines = [
        *show.format_totals(totals),
        *(
            describe_switch(switch, settings, held)
            if switch
            else [describe_unfinished(settings, held, in_use=in_use)]
        ),
        *show.format_duration(summary, stopped=stopped),
        *show.format_remarks(totals, stopped=stopped),
    ]
    print_output(
        [
            switch_json(switch),
            show.run_summary_json(summary, held, spent=run.spending_json(budget)),
        ],
        lines,
        options,
    )
    return CommandExit(code, words, True, run.map_exit_code(settings, account, summary))


def print_output(objects: Sequence[str], lines: Sequence[str], options: argparse.Namespace) -> None:
    """Print the JSON, or what people are told, or nothing."""
    if options.json:
        print("\n".join(objects))
    elif not options.quiet:
        print("\n".join(lines))


def list_generations(settings: Settings, options: argparse.Namespace) -> int:
    """Every generation, the newest first."""
    objects, lines = [], []
    with open_generations(settings, create_connections(settings)) as line:
        names, current = line.names(), line.current()
        for name in reversed(names):
            with closing(line.open(name)) as index:
                held = index.totals()
            kept = "kept" if name in older_names(names, current) else "newer"
            state = "in use" if name == current else kept
            about = {"event": "generation", "name": name, "state": state, **asdict(held)}
            objects.append(json.dumps(about))
            lines.append(f"{state:<7}  {name}  {show.describe_index(held)}")
    summary = {"event": "summary", "generations": len(names), "in_use": current}
    nothing = [f"There is no index in {index_name(settings)} yet: ingest run makes it"]
    print_output([*objects, json.dumps(summary)], lines or nothing, options)
    return 0


def create_alias(settings: Settings, options: argparse.Namespace) -> int:
    """An index that has a name of its own gets an alias."""
    if index_location(settings).is_local:
        raise ConfigError("--alias is for an index on Azure AI Search: a folder needs none")
    from ingest.index.azure.generations import AzureGenerations

    index, alias = settings.search_index, options.alias
    with open_generations(settings, create_connections(settings)) as line:
        assert isinstance(line, AzureGenerations)
        line.create_alias(alias)
    words = (
        f"{alias} stands for {index} now: set AZURE_SEARCH_INDEX={alias} here and in whatever "
        "asks the index, then ingest rebuild"
    )
    print_output([json.dumps({"event": "alias", "alias": alias, "index": index})], [words], options)
    return 0


def switch_json(switch: SwitchResult | None) -> str:
    """What was switched, or that nothing was, as a line of JSON."""
    return json.dumps({"event": "switched", **(asdict(switch) if switch else {"index": ""})})


def describe_unfinished(settings: Settings, totals: Held, *, in_use: bool) -> str:
    """How far a rebuild came that ended early: where there was no index, readers see it already."""
    where, so_far = index_name(settings), f"{show.describe_index(totals)} so far"
    if in_use:
        return f"Index:   {where} holds {so_far}"
    return f"Index:   {where} is as it was; the new one has {so_far}"


def describe_switch(result: SwitchResult, settings: Settings, totals: Held) -> list[str]:
    """What was switched, for people."""
    lines = [f"Index:   {index_name(settings)} holds {show.describe_index(totals)}"]
    kept = f", before: {result.before}" if result.before not in ("", *result.dropped) else ""
    lines.append(f"Switch:  {result.index} is in use{kept}")
    if result.dropped:
        lines.append(f"Dropped: {', '.join(result.dropped)}")
    if scores := result.scores:
        words = " by words, as it has another model" if scores.by_words else ""
        old = f"; {scores.old:.3f} before{words}" if scores.old is not None else ""
        among = f"{scores.questions} questions answered by the first {HIT_RANK} chunks"
        lines.append(f"Answers: {scores.new:.3f} of {among}{old}")
    return lines
