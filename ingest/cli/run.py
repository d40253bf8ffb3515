"""`ingest run`: bring the index in step with the roots."""

from __future__ import annotations

import argparse
import logging
import math
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from types import FrameType

from ingest import __version__
from ingest.auth.credential import MONITOR
from ingest.auth.token_cache import TokenCache
from ingest.cli import configured, logs, plan, show
from ingest.connect import index_name, roots, services
from ingest.connections import Connections, connections, watched
from ingest.doctor.names import contradictions, misspelt
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.exchanges import prefix
from ingest.index import Index
from ingest.model import Summary
from ingest.pipeline import Run, Services, compared, ingest
from ingest.plan import Stale
from ingest.report.bottleneck import Capacity
from ingest.report.totals import Totals
from ingest.settings import Settings, documented
from ingest.sources import Root
from ingest.stop import Stop
from ingest.telemetry import About, Telemetry, telemetry

log = logging.getLogger(__name__)

A_MOMENT = 1.0  # seconds


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
    if options.dry_run:
        return plan.main(options)
    settings = configured(options)
    names = named_roots(options, settings)
    run = new_run(options, settings)
    totals = Totals()
    started = time.monotonic()
    with (
        stopping(run.stop, settings.deadline) as signals,
        looked_on(run, settings) as (to, seen),
        roots(names, settings, to) as where,
        services(settings, run.stop, write=True, to=to) as all_,
        show.Display(options) as display,
    ):

        def over(code: int) -> Summary:
            seconds = time.monotonic() - started
            summary = totals.summary(run.id, seconds, code, all_.times, capacity(all_, settings))
            remember(summary, all_.index)
            seen.over(summary)
            logs.note(f"the run is over, exit code {code}", "end", **asdict(summary))
            return summary

        if display.live:
            display.expect(to_read(where, all_, run))
        try:
            for root in where:
                for event in ingest(root, all_, run):
                    totals.add(event)
                    seen.add(event)
                    display.show(event, totals, all_.times.waiting())
                    if options.json and (line := show.as_json(event)):
                        print(line, flush=True)
        except IngestError as error:
            over(error.exit_code)
            raise
        summary = over(exit_code(run.stop, signals, totals))
        held = all_.index.totals()
    stopped = run.stop.requested()
    if options.json:
        print(show.summary_json(summary, held))
    elif not options.quiet:
        index = f"Index:   {index_name(settings)} holds {show.describe(held)}"
        remarks = show.remarks(totals, stopped=stopped)
        print(
            "\n".join(
                [*show.summary(totals), index, *show.took(summary, stopped=stopped), *remarks]
            )
        )
    return summary.exit


@contextmanager
def looked_on(run: Run, settings: Settings) -> Iterator[tuple[Connections, Telemetry]]:
    """The connections of a run, and the telemetry that the environment asks for."""
    to = connections(settings, run.stop)
    about = About(run.id, __version__, provider(settings))
    with telemetry(os.environ, about, partial(TokenCache, to.login, MONITOR)) as seen:
        more = {"trace": seen.trace} if seen.trace else {}
        logs.note(f"run {run.id} begins", "begin", requests=prefix(run.id) + "*", **more)
        yield watched(to, run.id, seen.watch, seen.exchanged), seen


def provider(settings: Settings) -> str:
    """Whose the embedding model is, in the words of OpenTelemetry's conventions."""
    if settings.embedder:
        return "local" if settings.embedder == "local" else "openai"
    return "azure.ai.openai" if settings.openai_endpoint else "local"


def capacity(all_: Services, settings: Settings) -> Capacity:
    """How much could be under way at once, and how much the quota allowed."""
    model, limits = all_.embedder, settings.openai_tpm
    most = sum(limits) * (max(1, len(settings.openai_endpoint)) if len(limits) == 1 else 1)
    allowed = model.allowed()
    return Capacity(
        all_.reader.at_once,
        model.at_once,
        all_.writing,
        allowed,
        own=bool(limits) and allowed >= most,
        recognising=all_.reader.waiting,
    )


def remember(summary: Summary, index: Index) -> None:
    """Keep what the run came to, if the index can."""
    try:
        index.remember(summary)
    except IngestError as error:
        log.info("what this run came to could not be kept: %s", error)


def named_roots(options: argparse.Namespace, settings: Settings) -> list[str]:
    """The roots of the command line, else that of the settings. Raises ConfigError for none."""
    arguments: list[str] = options.roots or ([settings.root] if settings.root else [])
    if not arguments:
        raise ConfigError("which PDFs? name a folder, as in: ingest run docs/ (or set INGEST_ROOT)")
    return arguments


def new_run(options: argparse.Namespace, settings: Settings) -> Run:
    """One execution, as the command line and the settings want it.

    Warns of settings that are misspelt: a run goes on without them, perhaps somewhere else.
    """
    id_ = time.strftime("%Y%m%dT%H%M%SZ-", time.gmtime()) + secrets.token_hex(3)
    logs.begin(id_)
    named = {f.metadata["env"]: vars(options).get(f.name) for f in documented()}
    told = {name: value for name, value in named.items() if value}
    for trouble in (*misspelt(os.environ), *contradictions({**os.environ, **told})):
        log.warning("%s", trouble)
    return Run(
        id=id_,
        prune=settings.prune,
        max_deletes=settings.max_deletes,
        retry_failed=options.retry_failed,
        passwords=bool(settings.passwords),
        # A deadline that is shorter than the grace still leaves half of it for work.
        stop=Stop(min(settings.grace_seconds, (settings.deadline or math.inf) / 2)),
    )


def exit_code(stop: Stop, signals: list[int], totals: Totals) -> int:
    """How the process ends: by a signal, by its deadline with work left, or as the totals say."""
    if signals:
        return 128 + signals[0]
    return ServiceError.exit_code if stop.requested() else totals.exit_code


def to_read(where: list[Root], all_: Services, run: Run) -> int | None:
    """How many documents a run will look into; None if counting them takes longer than a moment."""
    ends = time.monotonic() + A_MOMENT
    count = 0
    for root in where:
        for change in compared(root, all_, run):
            count += isinstance(change, Stale)
            if time.monotonic() > ends:
                return None
    return count


@contextmanager
def stopping(stop: Stop, deadline: float | None = None) -> Iterator[list[int]]:
    """^C, SIGTERM and the deadline ask for an early end; a second signal does not ask.

    Yields the signals received. The deadline, in seconds from now, leaves time for the grace.
    """
    received: list[int] = []

    def ask(number: int, _: FrameType | None) -> None:
        if received and number == signal.SIGTERM:
            sys.exit(128 + number)
        if received:
            raise KeyboardInterrupt
        received.append(number)
        stop.request()
        say(f"stopping; what is under way gets {stop.grace:g} s. ^C again stops at once")

    def end() -> None:
        stop.request()
        say("the deadline is near: stopping")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    timer = threading.Timer(max(0.0, (deadline or 0) - stop.grace), end)
    timer.daemon = True
    if deadline is not None:
        timer.start()
    try:
        yield received
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def say(text: str) -> None:
    """A word on stderr, in the name of the program."""
    logs.tell(logging.WARNING, text)
