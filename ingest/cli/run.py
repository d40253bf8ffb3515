"""`ingest run`: bring the index in step with the roots."""

from __future__ import annotations

import argparse
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from types import FrameType

from ingest.azure.credential import MONITOR_SCOPE
from ingest.azure.token_cache import TokenCache
from ingest.cli import exit_message as last_line
from ingest.cli import load_settings, log_mapped_code, logs, plan
from ingest.cli import output as show
from ingest.cli import watchdog as guard
from ingest.cli.exit_message import CommandExit
from ingest.commands.doctor.env_names import find_contradictions, find_misspellings
from ingest.config import factory
from ingest.config.connections import Connections, connections_of_run, create_connections
from ingest.config.factory import find_capacity, open_services
from ingest.config.index import index_name
from ingest.config.settings import Settings, environment_settings
from ingest.config.sources import open_roots
from ingest.distributed import use_engine
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.models import RunEvent, SourceKey, Summary, __version__
from ingest.pipeline import exit_codes as exits
from ingest.pipeline import run as execution
from ingest.pipeline.context import Run, Services
from ingest.pipeline.diff import Stale
from ingest.pipeline.ignored_files import IgnoredFiles
from ingest.pipeline.run import RunRecorder, save_run_summary, stop_at_deadline
from ingest.pipeline.stages import compare_root, ingest_root
from ingest.pipeline.totals import RunTotals
from ingest.runtime.budget import Budget
from ingest.runtime.cancellation import Cancellation
from ingest.runtime.request_ids import request_id_prefix
from ingest.runtime.telemetry import RunInfo, Telemetry, start_telemetry
from ingest.sources import Root

log = logging.getLogger(__name__)

COUNT_TIMEOUT_SECONDS = 1.0  # seconds


def main(options: argparse.Namespace) -> int | CommandExit:
    """Do what the options say; returns the exit code and what it means."""
    if options.dry_run:
        return plan.main(options)
    settings = load_settings(options)
    names = named_roots(options, settings)
    run = start_run(options, settings)
    began = time.monotonic()
    with (
        handle_signals(run.stop, settings.deadline) as signals,
        observe_run(run, settings) as (to, seen),
        open_roots(names, settings, to) as where,
        open_services(settings, run.stop, write=True, connections=to) as here,
        use_engine(settings, here, run) as all_,
    ):
        account = RunRecorder(run, all_, partial(find_capacity, all_, settings), began)
        totals = account.totals
        try:
            for event in run_and_show(where, account, options):
                seen.on_event(event)
        except IngestError as error:
            finish_run(account, error.exit_code, seen, str(error))
            raise
        code = process_exit_code(run.stop, signals, totals)
        words = last_line.describe_run(code, totals, all_.budget.limit_reached, run.id)
        summary = finish_run(account, code, seen, words)
        held = all_.index.totals()
    stopped = run.stop.is_requested()
    report_limit(all_.budget)
    if options.json:
        print(show.run_summary_json(summary, held, spent=spending_json(all_.budget)))
    elif not options.quiet:
        index = f"Index:   {index_name(settings)} holds {show.describe_index(held)}"
        remarks = show.format_remarks(totals, stopped=stopped)
        took = show.format_duration(summary, stopped=stopped)
        print("\n".join([*show.format_totals(totals), index, *took, *remarks]))
        if summary.exit == 0 and held.chunks and sys.stdout and sys.stdout.isatty():
            print(show.suggestion(options))
    return CommandExit(code, words, True, map_exit_code(settings, account, summary))


def map_exit_code(settings: Settings, account: RunRecorder, summary: Summary) -> int:
    """The exit code of the process, which the settings may want to be another than the run's."""
    problems = account.totals.problems
    code = exits.process_exit_code(summary.exit, settings.exit_ok, problems, account.run.id)
    log_mapped_code(summary.exit, code)
    return code


def run_and_show(
    roots: Sequence[Root], account: RunRecorder, options: argparse.Namespace
) -> Iterator[RunEvent]:
    """Every root brought in step: each event, once it was counted and people were told of it."""
    all_, run = account.services, account.run
    with show.Display(options) as display:
        if display.is_live:
            display.start_bar(count_to_read(roots, all_, run))
        for root in roots:
            for event in ingest_root(root, all_, run):
                account.add(event)
                display.show(event, account.totals, all_.times.current_wait())
                if options.json and (line := show.outcome_json(event)):
                    print(line, flush=True)
                yield event


def report_limit(budget: Budget) -> None:
    """Which limit ended a run, at which point, and what to do about it; nothing if none did."""
    if not budget.limit_reached:
        return
    money = budget.max_usd < math.inf and budget.usd is not None
    at = show.format_dollars(budget.usd or 0.0) if money else show.pluralize(budget.tokens, "token")
    begun = budget.tokens or budget.pages
    advice = "run again to go on" if begun else "nothing fits into it: raise it"
    print_notice(f"stopped at {at}: more would exceed {budget.limit_reached}; {advice}")


def spending_json(budget: Budget) -> dict[str, object]:
    """What a run did spend, for JSON, and the limit that ended it."""
    used = {"tokens": budget.tokens, "pages": budget.pages, "usd": budget.usd}
    return used | {"limit": budget.limit_reached}


def finish_run(account: RunRecorder, code: int, observer: Telemetry, words: str) -> Summary:
    """The summary of a run that ends now, in words too: kept, traced and logged."""
    summary = account.summary(code)
    save_run_summary(summary, account.services.index)
    observer.on_summary(summary)
    logs.log_machine_event(f"exit {code}: {words}", "end", **asdict(summary))
    return summary


@contextmanager
def observe_run(run: Run, settings: Settings) -> Iterator[tuple[Connections, Telemetry]]:
    """The connections of a run, and the telemetry that the environment asks for."""
    to = create_connections(settings, run.stop)
    about = RunInfo(run.id, __version__, model_provider(settings))
    with start_telemetry(
        os.environ, about, partial(TokenCache, to.credential, MONITOR_SCOPE)
    ) as seen:
        more = {"trace": seen.trace_id} if seen.trace_id else {}
        logs.log_machine_event(
            f"run {run.id} begins", "begin", requests=request_id_prefix(run.id) + "*", **more
        )
        yield connections_of_run(to, run.id, seen.observer, seen.on_response), seen


def model_provider(settings: Settings) -> str:
    """Whose the embedding model is, in the words of OpenTelemetry's conventions."""
    if settings.embedder:
        return "local" if settings.embedder == "local" else "openai"
    return "azure.ai.openai" if settings.openai_endpoint else "local"


def named_roots(options: argparse.Namespace, settings: Settings) -> list[str]:
    """The roots of the command line, else that of the settings. Raises ConfigError for none."""
    arguments: list[str] = options.roots or ([settings.root] if settings.root else [])
    if not arguments:
        raise ConfigError("which PDFs? name a folder, as in: ingest run docs/ (or set INGEST_ROOT)")
    return arguments


def start_run(options: argparse.Namespace, settings: Settings) -> Run:
    """One execution, as the command line and the settings want it.

    Warns of settings that are misspelt: a run goes on without them, perhaps somewhere else.
    """
    run = factory.create_run(settings, retry_failed=options.retry_failed)
    logs.set_run(run.id)
    named = {f.metadata["env"]: vars(options).get(f.name) for f in environment_settings()}
    told = {name: value for name, value in named.items() if value}
    for trouble in (*find_misspellings(os.environ), *find_contradictions({**os.environ, **told})):
        log.warning("%s", trouble)
    return run


def process_exit_code(stop: Cancellation, signals: list[int], totals: RunTotals) -> int:
    """How the process ends: by a signal, by its deadline with work left, or as the totals say."""
    if signals:
        return 128 + signals[0]
    return execution.run_exit_code(stop, totals)


def count_to_read(
    roots: Sequence[Root], services: Services, run: Run
) -> dict[SourceKey, int] | None:
    """The documents that a run will look into, and their sizes in bytes.

    None if that takes longer than a moment to tell.
    """
    ends = time.monotonic() + COUNT_TIMEOUT_SECONDS
    sizes: dict[SourceKey, int] = {}
    for root in roots:
        for change in compare_root(root, services, run, IgnoredFiles()):
            if isinstance(change, Stale):
                sizes[change.source.key] = change.source.size
            if time.monotonic() > ends:
                return None
    return sizes


@contextmanager
def handle_signals(stop: Cancellation, deadline: float | None = None) -> Iterator[list[int]]:
    """^C, SIGTERM and the deadline ask for an early end; a second signal does not ask.

    Yields the signals received. The deadline, in seconds from now, leaves time for the grace. If
    something is blocked, the process ends all the same some seconds after it should have.
    """
    received: list[int] = []
    heard: list[int] = []
    words = f"stopping; what is under way gets {stop.grace_seconds:g} s. ^C again stops at once"
    speaker = threading.Thread(target=print_notice, args=[words], daemon=True)

    def on_signal(number: int, _: FrameType | None) -> None:
        # No word from here: the main thread may be blocked on the very stream.
        received.append(number)
        if len(received) == 1:
            stop.request()
        elif number == signal.SIGTERM:
            sys.exit(128 + number)
        else:
            raise KeyboardInterrupt

    def hear(number: int) -> None:
        heard.append(number)
        if len(heard) == 1:
            guard.end_within(stop.grace_seconds + guard.EXTRA_SECONDS, 128 + number)
            stop.request()
            speaker.start()
        else:
            guard.end_within(guard.FORCED_EXIT_SECONDS, 128 + number)

    def on_deadline() -> None:
        print_notice("the deadline is near: stopping")

    if deadline is not None:
        guard.end_within(
            deadline + stop.grace_seconds + guard.EXTRA_SECONDS, ServiceError.exit_code
        )
    before = {number: signal.signal(number, on_signal) for number in guard.SIGNALS}
    try:
        with guard.listening(hear), stop_at_deadline(stop, deadline, on_deadline):
            yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if speaker.ident is not None:
            speaker.join(guard.FORCED_EXIT_SECONDS)  # so that what is said of the end comes last


def print_notice(text: str) -> None:
    """A word on stderr, in the name of the program."""
    logs.log_event(logging.WARNING, text)
