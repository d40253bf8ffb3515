"""`ingest run`: update the index to match the roots. Also the parts that other commands share."""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from ingest.azure.token_hosts import MONITOR_SCOPE
from ingest.cli import exit_message, load_settings, log_mapped_code, logs, output
from ingest.cli.exit_message import CommandExit
from ingest.cli.progress import Display
from ingest.cli.signals import handle_signals
from ingest.config.connections import Connections, connections_of_run, create_connections
from ingest.config.embedding import embedder_locations, is_model_local, journal_folder
from ingest.config.factory import open_services
from ingest.config.index import index_name
from ingest.config.roots import resolve_roots
from ingest.config.run import create_recorder, create_run
from ingest.config.settings import Settings
from ingest.config.sources import open_event_queue, open_roots
from ingest.distributed import use_engine
from ingest.errors import ConfigError, IngestError, RootError
from ingest.index import IndexTotals
from ingest.models import RunEvent, SourceKey, Summary, __version__
from ingest.pipeline import exit_codes
from ingest.pipeline.context import Run, Services
from ingest.pipeline.diff import Stale, compare_root
from ingest.pipeline.ignored_files import IgnoredFiles
from ingest.pipeline.root import ingest_root
from ingest.pipeline.run import RunRecorder, run_exit_code, run_on_roots, summarized_index
from ingest.pipeline.totals import RunTotals
from ingest.redaction import redact
from ingest.runtime.budget import Budget
from ingest.runtime.formatting import format_dollars, pluralize
from ingest.runtime.request_ids import request_id_prefix
from ingest.runtime.telemetry import RunInfo, Telemetry, start_telemetry
from ingest.runtime.timing import CHARGED_TOKENS, Stopwatch
from ingest.sources import Root

log = logging.getLogger(__name__)

COUNT_TIMEOUT_SECONDS = 1.0


def main(options: argparse.Namespace) -> int | CommandExit:
    """Run the command; returns its exit code and a message."""
    if options.dry_run:
        from ingest.cli import plan  # which imports this module

        return plan.main(options)
    settings = load_settings(options)
    names = named_roots(options, settings)
    run = start_run(options, settings)
    started, missing = time.monotonic(), list[str]()
    with (
        handle_signals(run.stop, settings.deadline) as signals,
        observe_run(run, settings, names) as (connections, telemetry),
        Display(options, run.id, connections.times.current_wait) as display,
        open_roots(names, settings, connections, missing) as opened_roots,
        open_services(
            settings, run.stop, write=True, connections=connections, take_over=run.take_over
        ) as local_services,
        use_engine(settings, local_services, run) as services,
        open_event_queue(options.roots, settings, connections) as queue,
    ):
        roots = resolve_roots(opened_roots, services.index, settings, write=True)
        recorder = create_recorder(run, services, settings, connections, started)
        recorder.facts = run_facts(settings, names)
        totals = recorder.totals
        note_missing(missing, totals)
        with record_error(recorder, settings, signals, telemetry):
            recorder.mark_begun(roots)
            if queue:
                queue.hide()  # before anything is listed
            for event in run_and_show(roots, recorder, options, display):
                telemetry.on_event(event)
        code = exit_message.signal_exit_code(signals) or run_exit_code(run.stop, totals)
        message = exit_message.describe_run(code, totals, services.budget.limit_reached, run.id)
        summary = finish_run(recorder, code, telemetry, message)
        if queue and code in exit_codes.FINISHED:
            queue.delete_hidden()
        index_totals = summarized_index(summary, services.index)
    show_summary(recorder, summary, index_totals, settings, options)
    return CommandExit(code, message, True, map_exit_code(settings, recorder, summary))


@contextmanager
def record_error(
    recorder: RunRecorder, settings: Settings, signals: list[int], telemetry: Telemetry
) -> Iterator[None]:
    """Record the summary of a run that fails; the error raised also names its problems."""
    try:
        yield
    except IngestError as error:
        report_unwritten(recorder.services.times, settings)
        overdue = recorder.run.stop.is_overdue()
        ended = exit_message.combine_errors(error, recorder.totals, signals, is_overdue=overdue)
        finish_run(recorder, ended.exit_code, telemetry, str(ended))
        ended.is_logged = True
        raise ended from error.__cause__


def show_summary(
    recorder: RunRecorder,
    summary: Summary,
    index_totals: IndexTotals,
    settings: Settings,
    options: argparse.Namespace,
) -> None:
    """Print the results of a run, and the contents of the index."""
    budget, totals = recorder.services.budget, recorder.totals
    report_limit(budget)
    report_unwritten(recorder.services.times, settings)
    if options.json:
        print(output.run_summary_json(summary, index_totals, spent=spending_json(budget)))
    elif not options.quiet:
        stopped = recorder.run.stop.is_requested()
        index = f"Index:   {index_name(settings)} holds {output.describe_index(index_totals)}"
        remarks = output.format_problems(summary) + output.format_remarks(totals, stopped=stopped)
        remarks += output.format_model_advice(totals, settings)
        sandbox = recorder.services.reader.describe_sandbox() if options.verbose else ()
        remarks += [f"Sandbox: {', '.join(sandbox)}"] if sandbox else []
        took = output.format_duration(summary, stopped=stopped)
        print("\n".join([*output.format_totals(totals), index, *took, *remarks]))
        if summary.exit == 0 and index_totals.chunks and sys.stdout and sys.stdout.isatty():
            print(output.suggest_search(options))


def map_exit_code(settings: Settings, recorder: RunRecorder, summary: Summary) -> int:
    """Exit code of the process: the run's, or 0 if INGEST_EXIT_OK lists it."""
    problems = recorder.totals.problems
    code = exit_codes.process_exit_code(summary.exit, settings.exit_ok, problems, recorder.run.id)
    log_mapped_code(summary.exit, code)
    return code


def run_and_show(
    roots: Sequence[Root],
    recorder: RunRecorder,
    options: argparse.Namespace,
    display: Display,
) -> Iterator[RunEvent]:
    """Run the pipeline on every root; yields each event after recording and showing it."""
    services, run = recorder.services, recorder.run
    if display.is_live:
        display.start_bar(count_to_read(roots, services, run))
    try:
        for event in run_on_roots(ingest_root, roots, services, run, recorder.totals):
            recorder.add(event)
            display.show(event, recorder.totals)
            if options.json and (line := output.outcome_json(event, run.id)):
                print(line, flush=True)
            yield event
    finally:
        display.stop_bar()


def note_missing(missing: Sequence[str], totals: RunTotals) -> None:
    """Record the roots that could not be opened, and log a warning for each."""
    totals.unlisted += missing
    for reason in missing:
        log.warning("%s; the other roots are done", reason)


def report_limit(budget: Budget) -> None:
    """Log the limit that ended a run, if one did, and the remedy."""
    if not budget.limit_reached:
        return
    money = budget.max_usd < math.inf and budget.usd is not None
    at = (
        format_dollars(budget.usd or 0.0)
        if money
        else pluralize(budget.tokens + budget.chat.total, "token")
    )
    has_spent = budget.tokens or budget.pages or budget.chat.total
    advice = "run again to continue" if has_spent else "raise it: not even one request fits"
    logs.log_notice(f"stopped at {at}: more would exceed {budget.limit_reached}; {advice}")


def report_unwritten(times: Stopwatch, settings: Settings) -> None:
    """Log the tokens that a run paid for and did not write, if any."""
    lost = times.unwritten_tokens()
    if lost <= 0 or not times.counts[CHARGED_TOKENS]:
        return
    folder = journal_folder(settings)
    is_kept = folder is not None and folder.is_dir()
    remedy = (
        f"the next run on this machine takes the vectors from {settings.journal}"
        if is_kept
        else "the next run pays them again"
    )
    logs.log_notice(f"{pluralize(lost, 'token')} were paid for and not written: {remedy}")


def spending_json(budget: Budget) -> dict[str, object]:
    """Tokens, pages and dollars that a run spent, for JSON, and the limit that ended it.

    The lost tokens, which the other figures include, are of requests without an answer.
    """
    used: dict[str, object] = {"tokens": budget.tokens, "pages": budget.pages, "usd": budget.usd}
    if budget.chat.total:
        used["figures"] = {"sent": budget.chat.sent, "answered": budget.chat.answered}
    lost = budget.lost_tokens + budget.open_tokens
    return used | {"lost_tokens": lost, "limit": budget.limit_reached}


def finish_run(recorder: RunRecorder, code: int, observer: Telemetry, message: str) -> Summary:
    """Save, trace and log the summary of a run that has ended; return it."""
    summary = replace(recorder.summary(code), reason=redact(message))
    recorder.save(summary)
    observer.on_summary(summary)
    fields: dict[str, Any] = asdict(summary) | recorder.log_fields()
    is_news = summary.new_problems > 0
    logs.log_machine_event(f"exit {code}: {message}", "end", is_news=is_news, **fields)
    return summary


@contextmanager
def observe_run(
    run: Run, settings: Settings, names: Sequence[str]
) -> Iterator[tuple[Connections, Telemetry]]:
    """Start the configured telemetry; yield it with the run's connections."""
    connections = create_connections(settings, run.stop)
    info = RunInfo(run.id, __version__, model_provider(settings))
    token = partial(connections.token_for, scope=MONITOR_SCOPE)
    with start_telemetry(os.environ, info, token) as telemetry:
        trace = {"trace": telemetry.trace_id} if telemetry.trace_id else {}
        fields: dict[str, Any] = run_facts(settings, names) | trace
        requests = request_id_prefix(run.id) + "*"
        logs.log_machine_event(f"run {run.id} begins", "begin", requests=requests, **fields)
        yield (
            connections_of_run(connections, run.id, telemetry.observer, telemetry.on_response),
            telemetry,
        )


def run_facts(settings: Settings, names: Sequence[str]) -> dict[str, object]:
    """Facts about a run, for the first and the last line of its log."""
    return {
        "version": __version__,
        "roots": list(names),
        "index_name": index_name(settings),
        "embedder": ", ".join(embedder_locations(settings)),
    }


def model_provider(settings: Settings) -> str:
    """Provider of the embedding model, as OpenTelemetry's semantic conventions name it."""
    if is_model_local(settings):
        return "local"
    return "openai" if settings.embedder else "azure.ai.openai"


def named_roots(options: argparse.Namespace, settings: Settings) -> list[str]:
    """Roots of the command line, else of the settings. Raises ConfigError if there is none."""
    arguments: list[str] = options.roots or ([settings.root] if settings.root else [])
    if not arguments:
        raise ConfigError(
            "no root is given: name a folder, as in: ingest run docs/ (or set INGEST_ROOT)"
        )
    return arguments


def start_run(options: argparse.Namespace, settings: Settings) -> Run:
    """Create a run from the command line and the settings."""
    take_over = vars(options).get("take_over", False)  # only some commands have it
    run = create_run(settings, retry_failed=options.retry_failed, take_over=take_over)
    logs.set_run(run.id)
    return run


def count_to_read(
    roots: Sequence[Root], services: Services, run: Run
) -> dict[SourceKey, int] | None:
    """Sizes in bytes of the documents that a run will read.

    None if listing them takes longer than COUNT_TIMEOUT_SECONDS.
    """
    deadline = time.monotonic() + COUNT_TIMEOUT_SECONDS
    sizes: dict[SourceKey, int] = {}
    for root in roots:
        with suppress(RootError):  # the run reports it
            for change in compare_root(root, services, run, IgnoredFiles()):
                if isinstance(change, Stale):
                    sizes[change.source.key] = change.source.size
                if time.monotonic() > deadline:
                    return None
    return sizes
