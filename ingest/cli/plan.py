"""`ingest plan`: what a run would do, to the chunk and the token, and what that would cost."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ingest.cli import configured, last_line, run, show
from ingest.cli.last_line import Ended
from ingest.connect import index_place, roots, services
from ingest.connections import connections
from ingest.estimate import Estimate, Spending, estimate
from ingest.execution import capacity
from ingest.forecast import Recorded, Request, forecast
from ingest.model import LeftOut, Outcome, Settled
from ingest.prices import FREE, PAGES, TOKENS, Price
from ingest.report.bottleneck import amount, duration
from ingest.report.totals import Totals
from ingest.roles import SEARCH_SERVICE

UNPRICED = "which model is it (AZURE_OPENAI_EMBEDDING_MODEL), or what does it cost (INGEST_PRICES)?"
SCARCE = 0.1  # of what is free: growth by less is not worth a word


def main(options: argparse.Namespace) -> int | Ended:
    """Do what the options say; returns the exit code, and what it means unless it is 0."""
    settings = configured(options)
    names = run.named_roots(options, settings)
    execution = run.new_run(options, settings)
    to = connections(settings, execution.stop)
    totals = Totals()
    started = time.monotonic()
    with (
        run.stopping(execution.stop) as signals,
        roots(names, settings, to) as where,
        services(settings, execution.stop, write=False, to=to) as all_,
    ):
        spending = Spending(all_.budget)
        for root in where:
            for event in forecast(root, all_, execution):
                spending.add(event, all_.reader.unsent())
                if isinstance(event, Request | Recorded):
                    continue
                totals.add(event)
                if options.json and (line := show.as_json(event)):
                    print(line, flush=True)
                elif isinstance(event, LeftOut):
                    told_aside(event, options)
                elif isinstance(event, Settled) and told(event, options):
                    print(show.line(event, "to be "))
        held = all_.index.totals()
        foreseen = estimate(spending, all_, remote="://" in index_place(settings))
    code = 128 + signals[0] if signals else totals.exit_code
    if options.json:
        took = time.monotonic() - started
        summary = totals.summary(execution.id, took, code, all_.times, capacity(all_, settings))
        pages = foreseen.pages
        print(show.summary_json(summary, held, pages_to_recognise=pages, plan=known(foreseen)))
    elif not options.quiet:
        lines = [*show.summary(totals, "to be "), *said(foreseen)]
        lines += show.remarks(totals, stopped=bool(signals))
        print("\n".join([*lines, *(["Stopped early: this is not all of it"] if signals else [])]))
    return Ended(code, last_line.of_plan(code, totals)) if code else 0


def told(event: Settled, options: argparse.Namespace) -> bool:
    """Whether a plan shows a source: what changes always, the rest on request."""
    if options.quiet or options.json:
        return False
    return event.outcome is not Outcome.UNCHANGED or options.verbose > 0


def told_aside(event: LeftOut, options: argparse.Namespace) -> None:
    """Show what a run would leave alone in a root."""
    if not (options.quiet or options.json):
        for text in show.left_alone(event, verbose=options.verbose > 0):
            print(text)


def known(foreseen: Estimate) -> dict[str, Any]:
    """An estimate for JSON, which has no infinity: what is not known is null."""

    def plain(items: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: None if value == math.inf else value for name, value in items}

    return asdict(foreseen, dict_factory=plain)


def said(foreseen: Estimate) -> Iterator[str]:
    """An estimate for people; nothing of what there is nothing of."""
    if foreseen.requests:
        yield f"Time:    {taking(foreseen)}"
    yield from costs(foreseen)
    if foreseen.pages:
        pages = show.many(foreseen.pages, "page")
        yield f"Scans:   {pages} to be sent and paid for; what they say comes on top of this"
    if foreseen.chunks or foreseen.records:
        yield f"Growth:  {growth(foreseen)}"
    if foreseen.memory:
        yield f"Memory:  {memory(foreseen)}"
    if foreseen.exceeds:
        done = f"{foreseen.before:,} of {show.many(foreseen.documents, 'document')}"
        yield f"Limit:   {foreseen.exceeds} would stop the run after about {done}"


def taking(foreseen: Estimate) -> str:
    """How long embedding takes, and in how many requests."""
    pace, local = foreseen.pace, foreseen.rates.embedding is FREE
    requests = "" if local else f"; about {show.many(foreseen.requests, 'request')}"
    if foreseen.seconds is None or pace is None:
        why = "nothing was embedded here before" if local else "no quota is set (AZURE_OPENAI_TPM)"
        return f"not known, {why}{requests}"
    if pace.measured:
        by = f"at the pace of the last runs, {amount(pace.tokens)} tokens a minute"
    elif pace.tokens < math.inf:
        by = f"at {amount(pace.tokens)} tokens a minute (AZURE_OPENAI_TPM)"
    else:
        by = f"at {amount(pace.requests)} requests a minute (AZURE_OPENAI_RPM)"
    return f"about {duration(foreseen.seconds)} of embedding, {by}{requests}"


def costs(foreseen: Estimate) -> Iterator[str]:
    """What is to be paid, each at its price and the date of that."""
    rates = foreseen.rates
    if foreseen.tokens and rates.embedding is None:
        yield f"Cost:    not known: {UNPRICED}"
    elif foreseen.tokens and rates.embedding and rates.embedding is not FREE:
        usd = show.dollars(rates.usd(foreseen.tokens, 0) or 0.0)
        yield f"Cost:    {usd} for the tokens, {priced(rates.embedding, f'{TOKENS:,}')}"
    if foreseen.pages and rates.recognising:
        usd = show.dollars(rates.usd(0, foreseen.pages) or 0.0)
        yield f"Cost:    {usd} for the scans, {priced(rates.recognising, f'{PAGES:,} pages')}"


def priced(price: Price, per: str) -> str:
    """A price with its date."""
    kind = "list price of" if price.listed else "INGEST_PRICES of"
    return f"at {show.dollars(price.usd)} for {per} ({price.model}, {kind} {price.dated})"


def growth(foreseen: Estimate) -> str:
    """What comes to the index, and whether there is room for it."""
    text = f"{foreseen.chunks:+,} chunks, {foreseen.records:+,} records"
    if foreseen.size:
        text += f", about {show.size(foreseen.size)}"
    scarce = foreseen.size > SCARCE * foreseen.room.disk
    return f"{text} of {show.size(int(foreseen.room.disk))} free" if scarce else text


def memory(foreseen: Estimate) -> str:
    """What comes to the vectors that a service holds in memory, and how much it may hold."""
    room = foreseen.room
    more = "less" if foreseen.memory < 0 else "more"
    text = f"about {show.size(abs(foreseen.memory))} {more} for vectors"
    if room.memory == math.inf:
        return f"{text}; the service's limit is told to who has the role {SEARCH_SERVICE.name}"
    used, most = show.size(int(room.memory_used)), show.size(int(room.memory))
    over = room.memory_used + foreseen.memory > room.memory
    return f"{text}; {used} of {most} in use{': more than fits' if over else ''}"
