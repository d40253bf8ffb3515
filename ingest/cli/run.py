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

from ingest import __version__, execution, exits
from ingest.auth.credential import MONITOR
from ingest.auth.token_cache import TokenCache
from ingest.budget import Budget
from ingest.cli import configured, guard, last_line, logs, plan, say_given, show
from ingest.cli.last_line import Ended
from ingest.connect import index_name, roots, services
from ingest.connections import Connections, connections, watched
from ingest.doctor.names import contradictions, misspelt
from ingest.errors import ConfigError, IngestError, ServiceError
from ingest.exchanges import prefix
from ingest.execution import Account, ending, remember
from ingest.leftout import Aside
from ingest.model import Event, Key, Summary
from ingest.pipeline import compared, ingest
from ingest.plan import Stale
from ingest.report.totals import Totals
from ingest.scale import scaled
from ingest.services import Run, Services
from ingest.settings import Settings, documented
from ingest.sources import Root
from ingest.stop import Stop
from ingest.telemetry import About, Telemetry, telemetry

log = logging.getLogger(__name__)

A_MOMENT = 1.0  # seconds


def main(options: argparse.Namespace) -> int | Ended:
    """Do what the options say; returns the exit code and what it means."""
    if options.dry_run:
        return plan.main(options)
    settings = configured(options)
    names = named_roots(options, settings)
    run = new_run(options, settings)
    began = time.monotonic()
    with (
        stopping(run.stop, settings.deadline) as signals,
        looked_on(run, settings) as (to, seen),
        roots(names, settings, to) as where,
        services(settings, run.stop, write=True, to=to) as here,
        scaled(settings, here, run) as all_,
    ):
        account = Account(run, all_, settings, began)
        totals = account.totals
        try:
            for event in shown(where, account, options):
                seen.add(event)
        except IngestError as error:
            over(account, error.exit_code, seen, str(error))
            raise
        code = exit_code(run.stop, signals, totals)
        words = last_line.of_run(code, totals, all_.budget.reached, run.id)
        summary = over(account, code, seen, words)
        held = all_.index.totals()
    stopped = run.stop.requested()
    said_if_reached(all_.budget)
    if options.json:
        print(show.summary_json(summary, held, spent=spent(all_.budget)))
    elif not options.quiet:
        index = f"Index:   {index_name(settings)} holds {show.describe(held)}"
        remarks = show.remarks(totals, stopped=stopped)
        took = show.took(summary, stopped=stopped)
        print("\n".join([*show.summary(totals), index, *took, *remarks]))
        if summary.exit == 0 and held.chunks and sys.stdout and sys.stdout.isatty():
            print(show.suggestion(options))
    return Ended(code, words, True, given(account, summary))


def given(account: Account, summary: Summary) -> int:
    """The exit code of the process, which the settings may want to be another than the run's."""
    ok, problems = account.settings.exit_ok, account.totals.problems
    code = exits.given(summary.exit, ok, problems, account.run.id)
    say_given(summary.exit, code)
    return code


def shown(where: Sequence[Root], account: Account, options: argparse.Namespace) -> Iterator[Event]:
    """Every root brought in step: each event, once it was counted and people were told of it."""
    all_, run = account.services, account.run
    with show.Display(options) as display:
        if display.live:
            display.expect(to_read(where, all_, run))
        for root in where:
            for event in ingest(root, all_, run):
                account.add(event)
                display.show(event, account.totals, all_.times.waiting())
                if options.json and (line := show.as_json(event)):
                    print(line, flush=True)
                yield event


def said_if_reached(budget: Budget) -> None:
    """Which limit ended a run, at which point, and what to do about it; nothing if none did."""
    if not budget.reached:
        return
    money = budget.most_usd < math.inf and budget.usd is not None
    at = show.dollars(budget.usd or 0.0) if money else show.many(budget.tokens, "token")
    begun = budget.tokens or budget.pages
    advice = "run again to go on" if begun else "nothing fits into it: raise it"
    say(f"stopped at {at}: more would exceed {budget.reached}; {advice}")


def spent(budget: Budget) -> dict[str, object]:
    """What a run did spend, for JSON, and the limit that ended it."""
    used = {"tokens": budget.tokens, "pages": budget.pages, "usd": budget.usd}
    return used | {"limit": budget.reached}


def over(account: Account, code: int, seen: Telemetry, words: str) -> Summary:
    """The summary of a run that ends now, in words too: kept, traced and logged."""
    summary = account.summary(code)
    remember(summary, account.services.index)
    seen.over(summary)
    logs.note(f"exit {code}: {words}", "end", **asdict(summary))
    return summary


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
    run = execution.new_run(settings, retry_failed=options.retry_failed)
    logs.begin(run.id)
    named = {f.metadata["env"]: vars(options).get(f.name) for f in documented()}
    told = {name: value for name, value in named.items() if value}
    for trouble in (*misspelt(os.environ), *contradictions({**os.environ, **told})):
        log.warning("%s", trouble)
    return run


def exit_code(stop: Stop, signals: list[int], totals: Totals) -> int:
    """How the process ends: by a signal, by its deadline with work left, or as the totals say."""
    if signals:
        return 128 + signals[0]
    return execution.exit_code(stop, totals)


def to_read(where: Sequence[Root], all_: Services, run: Run) -> dict[Key, int] | None:
    """The documents that a run will look into, and their sizes in bytes.

    None if that takes longer than a moment to tell.
    """
    ends = time.monotonic() + A_MOMENT
    sizes: dict[Key, int] = {}
    for root in where:
        for change in compared(root, all_, run, Aside()):
            if isinstance(change, Stale):
                sizes[change.source.key] = change.source.size
            if time.monotonic() > ends:
                return None
    return sizes


@contextmanager
def stopping(stop: Stop, deadline: float | None = None) -> Iterator[list[int]]:
    """^C, SIGTERM and the deadline ask for an early end; a second signal does not ask.

    Yields the signals received. The deadline, in seconds from now, leaves time for the grace. If
    something is blocked, the process ends all the same some seconds after it should have.
    """
    received: list[int] = []
    heard: list[int] = []
    words = f"stopping; what is under way gets {stop.grace:g} s. ^C again stops at once"
    speaker = threading.Thread(target=say, args=[words], daemon=True)

    def ask(number: int, _: FrameType | None) -> None:
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
            guard.end_within(stop.grace + guard.LEEWAY, 128 + number)
            stop.request()
            speaker.start()
        else:
            guard.end_within(guard.AT_ONCE, 128 + number)

    def end() -> None:
        say("the deadline is near: stopping")

    if deadline is not None:
        guard.end_within(deadline + stop.grace + guard.LEEWAY, ServiceError.exit_code)
    before = {number: signal.signal(number, ask) for number in guard.SIGNALS}
    try:
        with guard.listening(hear), ending(stop, deadline, end):
            yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if speaker.ident is not None:
            speaker.join(guard.AT_ONCE)  # so that what is said of the end comes last


def say(text: str) -> None:
    """A word on stderr, in the name of the program."""
    logs.tell(logging.WARNING, text)
