"""`ingest rebuild`: build a new index next to the live one, and switch over to it."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from ingest.cli import exit_message, load_settings, output
from ingest.cli.exit_message import CommandExit
from ingest.cli.progress import Display
from ingest.cli.run import (
    finish_run,
    map_exit_code,
    observe_run,
    record_error,
    report_limit,
    run_and_show,
    run_facts,
    spending_json,
    start_run,
)
from ingest.cli.signals import handle_signals
from ingest.commands.eval.questions import Question, load_questions
from ingest.commands.eval.weight import HIT_RANK
from ingest.commands.rebuild.rebuild import (
    SwitchResult,
    open_generations,
    open_rebuild,
    switch_back,
    switch_index,
)
from ingest.commands.rebuild.verify import RebuildProgress
from ingest.config.connections import create_connections
from ingest.config.index import index_location, index_name
from ingest.config.run import create_recorder
from ingest.config.settings import Settings
from ingest.errors import ConfigError
from ingest.index import IndexTotals
from ingest.index.generations import NoAliasError, older_names
from ingest.models import Summary
from ingest.pipeline.run import RunRecorder, run_exit_code, summarized_index

COMPLETE_EXIT_CODES = (0, 3)  # of a run that read every readable document


def main(options: argparse.Namespace) -> int | CommandExit:
    """Run the command; returns its exit code, with a message for a rebuild."""
    settings = load_settings(options)
    if options.alias:
        return create_alias(settings, options)
    if options.list:
        return list_generations(settings, options)
    if options.back:
        switch, totals = switch_back(settings, create_connections(settings))
        print_output([switch_json(switch)], describe_switch(switch, settings, totals), options)
        return 0
    questions = load_questions(Path(options.questions)) if options.questions else []
    return rebuild_and_report(settings, options, questions)


def rebuild_and_report(
    settings: Settings, options: argparse.Namespace, questions: Sequence[Question]
) -> CommandExit:
    """Fill a new index, verify it and switch over to it; returns the exit code and a message."""
    run = start_run(options, settings)
    started, switch = time.monotonic(), None
    names: list[str] = options.roots or [settings.root] * bool(settings.root)
    with (
        handle_signals(run.stop, settings.deadline) as signals,
        observe_run(run, settings, names) as (connections, telemetry),
        Display(options, run.id, connections.times.current_wait) as display,
        open_rebuild(settings, options.roots, run, connections) as context,
    ):
        recorder = create_recorder(run, context.services, settings, connections, started)
        recorder.facts = run_facts(settings, names)
        totals = recorder.totals
        with record_error(recorder, settings, signals, telemetry):
            recorder.mark_begun(context.roots)
            progress = RebuildProgress(
                frozenset(root.name for root in context.roots), run.allow_empty
            )
            for event in run_and_show(context.roots, recorder, options, display):
                progress.add(event)
                telemetry.on_event(event)
            code = exit_message.signal_exit_code(signals) or run_exit_code(run.stop, totals)
            if code in COMPLETE_EXIT_CODES:
                switch = switch_index(context, progress, run, questions, options.keep)
        message = exit_message.describe_run(
            code, totals, context.services.budget.limit_reached, run.id
        )
        summary = finish_run(recorder, code, telemetry, message)
        index_totals = summarized_index(summary, context.services.index)
        in_use = context.generations.current() == context.name
    report_limit(context.services.budget)
    index_lines = (
        describe_switch(switch, settings, index_totals)
        if switch
        else [describe_unfinished(settings, index_totals, in_use=in_use)]
    )
    spent = spending_json(context.services.budget)
    print_output(
        [switch_json(switch), output.run_summary_json(summary, index_totals, spent=spent)],
        format_end(recorder, summary, index_lines, settings),
        options,
    )
    return CommandExit(code, message, True, map_exit_code(settings, recorder, summary))


def format_end(
    recorder: RunRecorder, summary: Summary, index_lines: Sequence[str], settings: Settings
) -> list[str]:
    """Format the result of a rebuild, around the lines that describe the index."""
    totals, stopped = recorder.totals, recorder.run.stop.is_requested()
    return [
        *output.format_totals(totals),
        *index_lines,
        *output.format_duration(summary, stopped=stopped),
        *output.format_problems(summary),
        *output.format_remarks(totals, stopped=stopped),
        *output.format_model_advice(totals, settings),
    ]


def print_output(objects: Sequence[str], lines: Sequence[str], options: argparse.Namespace) -> None:
    """Print the JSON objects or the lines of text, as the options say."""
    if options.json:
        print("\n".join(objects))
    elif not options.quiet:
        print("\n".join(lines))


def list_generations(settings: Settings, options: argparse.Namespace) -> int:
    """Print every generation, newest first."""
    objects, lines = [], []
    with open_generations(settings, create_connections(settings)) as generations:
        try:
            names, current = generations.names(), generations.current()
        except NoAliasError:  # the index is the only one
            names, current = [settings.search_index], settings.search_index
        for name in reversed(names):
            with closing(generations.open(name)) as index:
                totals = index.totals()
            kept = "kept" if name in older_names(names, current) else "newer"
            state = "in use" if name == current else kept
            fields = {"event": "generation", "name": name, "state": state, **asdict(totals)}
            objects.append(json.dumps(fields))
            lines.append(f"{state:<7}  {name}  {output.describe_index(totals)}")
    summary = {"event": "summary", "generations": len(names), "in_use": current}
    nothing = [f"There is no index in {index_name(settings)} yet: ingest run creates it"]
    print_output([*objects, json.dumps(summary)], lines or nothing, options)
    return 0


def create_alias(settings: Settings, options: argparse.Namespace) -> int:
    """Create an alias for an index on Azure AI Search."""
    if index_location(settings).is_local:
        raise ConfigError("--alias is for an index on Azure AI Search: a folder needs none")
    from ingest.index.azure.generations import AzureGenerations

    index, alias = settings.search_index, options.alias
    with open_generations(settings, create_connections(settings)) as generations:
        assert isinstance(generations, AzureGenerations)
        generations.create_alias(alias)
    message = (
        f"{alias} is now an alias of {index}: set AZURE_SEARCH_INDEX={alias} here and in every "
        "program that searches the index, then run ingest rebuild"
    )
    print_output(
        [json.dumps({"event": "alias", "alias": alias, "index": index})], [message], options
    )
    return 0


def switch_json(switch: SwitchResult | None) -> str:
    """Format a switch as a line of JSON, with an empty index name if there was none."""
    return json.dumps({"event": "switched", **(asdict(switch) if switch else {"index": ""})})


def describe_unfinished(settings: Settings, totals: IndexTotals, *, in_use: bool) -> str:
    """Describe a rebuild that ended early; `in_use`: there was no index, so the new one is live."""
    where, so_far = index_name(settings), f"{output.describe_index(totals)} so far"
    if in_use:
        return f"Index:   {where} holds {so_far}"
    return f"Index:   {where} is unchanged; the new one has {so_far}"


def describe_switch(result: SwitchResult, settings: Settings, totals: IndexTotals) -> list[str]:
    """Format a switch as lines of text."""
    lines = [f"Index:   {index_name(settings)} holds {output.describe_index(totals)}"]
    kept = f", previously {result.before}" if result.before not in ("", *result.dropped) else ""
    lines.append(f"Switch:  {result.index} is in use{kept}")
    if result.dropped:
        lines.append(f"Dropped: {', '.join(result.dropped)}")
    if scores := result.scores:
        mode = " (text search only: it has another model)" if scores.by_words else ""
        old = f"; {scores.old:.3f} before{mode}" if scores.old is not None else ""
        among = f"{scores.questions} questions answered by the first {HIT_RANK} chunks"
        lines.append(f"Answers: {scores.new:.3f} of {among}{old}")
    return lines
