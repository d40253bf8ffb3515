"""`ingest plan`: what a run would do, to the chunk and the token, and what that would cost."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.cli import exit_message as last_line
from ingest.cli import load_settings, run
from ingest.cli import output as show
from ingest.cli.exit_message import CommandExit
from ingest.commands.plan import Estimate, PlanTotals, estimate
from ingest.config.connections import create_connections
from ingest.config.factory import find_capacity, open_services
from ingest.config.index import index_location
from ingest.config.sources import open_roots
from ingest.models import LeftOut, Outcome, SourceResult
from ingest.pipeline.dry_run import EmbeddingRequest, RecordCountChange, dry_run
from ingest.pipeline.totals import RunTotals
from ingest.runtime.bottleneck import format_amount, format_seconds
from ingest.runtime.prices import FREE_PRICE, PRICED_PAGES, PRICED_TOKENS, Price

UNPRICED_HINT = (
    "which model is it (AZURE_OPENAI_EMBEDDING_MODEL), or what does it cost (INGEST_PRICES)?"
)
SCARCE_SPACE_SHARE = 0.1  # of what is free: growth by less is not worth a word


def main(options: argparse.Namespace) -> int | CommandExit:
    """Do what the options say; returns the exit code, and what it means unless it is 0."""
    settings = load_settings(options)
    names = run.named_roots(options, settings)
    execution = run.start_run(options, settings)
    to = create_connections(settings, execution.stop)
    totals = RunTotals()
    started = time.monotonic()
    with (
        run.handle_signals(execution.stop) as signals,
        open_roots(names, settings, to) as where,
        open_services(settings, execution.stop, write=False, connections=to) as all_,
    ):
        spending = PlanTotals(all_.budget)
        for root in where:
            for event in dry_run(root, all_, execution):
                spending.add(event, all_.reader.unsent_pages())
                if isinstance(event, EmbeddingRequest | RecordCountChange):
                    continue
                totals.add(event)
                if options.json and (line := show.outcome_json(event)):
                    print(line, flush=True)
                elif isinstance(event, LeftOut):
                    told_aside(event, options)
                elif isinstance(event, SourceResult) and is_shown_in_plan(event, options):
                    print(show.format_outcome(event, "to be "))
        held = all_.index.totals()
        foreseen = estimate(spending, all_, remote=not index_location(settings).is_local)
    code = 128 + signals[0] if signals else totals.exit_code
    if options.json:
        took = time.monotonic() - started
        summary = totals.summary(
            execution.id, took, code, all_.times, find_capacity(all_, settings)
        )
        pages = foreseen.pages
        print(
            show.run_summary_json(
                summary, held, pages_to_recognise=pages, plan=estimate_fields(foreseen)
            )
        )
    elif not options.quiet:
        lines = [*show.format_totals(totals, "to be "), *format_estimate(foreseen)]
        lines += show.format_remarks(totals, stopped=bool(signals))
        print("\n".join([*lines, *(["Stopped early: this is not all of it"] if signals else [])]))
    return CommandExit(code, last_line.describe_plan(code, totals)) if code else 0


def is_shown_in_plan(event: SourceResult, options: argparse.Namespace) -> bool:
    """Whether a plan shows a source: what changes always, the rest on request."""
    if options.quiet or options.json:
        return False
    return event.outcome is not Outcome.UNCHANGED or options.verbose > 0


def told_aside(event: LeftOut, options: argparse.Namespace) -> None:
    """Show what a run would leave alone in a root."""
    if not (options.quiet or options.json):
        for text in show.left_alone(event, verbose=options.verbose > 0):
            print(text)


def estimate_fields(estimate: Estimate) -> dict[str, Any]:
    """An estimate for JSON, which has no infinity: what is not known is null."""

    def null_infinity(items: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: None if value == math.inf else value for name, value in items}

    return asdict(estimate, dict_factory=null_infinity)


def format_estimate(estimate: Estimate) -> Iterator[str]:
    """An estimate for people; nothing of what there is nothing of."""
    if estimate.requests:
        yield f"Time:    {format_time(estimate)}"
    yield from format_costs(estimate)
    if estimate.pages:
        pages = show.pluralize(estimate.pages, "page")
        yield f"Scans:   {pages} to be sent and paid for; what they say comes on top of this"
    if estimate.chunks or estimate.records:
        yield f"Growth:  {format_growth(estimate)}"
    if estimate.memory:
        yield f"Memory:  {format_memory(estimate)}"
    if estimate.exceeds:
        done = f"{estimate.before:,} of {show.pluralize(estimate.documents, 'document')}"
        yield f"Limit:   {estimate.exceeds} would stop the run after about {done}"


def format_time(estimate: Estimate) -> str:
    """How long embedding takes, and in how many requests."""
    pace, local = estimate.pace, estimate.rates.embedding is FREE_PRICE
    requests = "" if local else f"; about {show.pluralize(estimate.requests, 'request')}"
    if estimate.seconds is None or pace is None:
        why = "nothing was embedded here before" if local else "no quota is set (AZURE_OPENAI_TPM)"
        return f"not known, {why}{requests}"
    if pace.measured:
        by = f"at the pace of the last runs, {format_amount(pace.tokens)} tokens a minute"
    elif pace.tokens < math.inf:
        by = f"at {format_amount(pace.tokens)} tokens a minute (AZURE_OPENAI_TPM)"
    else:
        by = f"at {format_amount(pace.requests)} requests a minute (AZURE_OPENAI_RPM)"
    return f"about {format_seconds(estimate.seconds)} of embedding, {by}{requests}"


def format_costs(estimate: Estimate) -> Iterator[str]:
    """What is to be paid, each at its price and the date of that."""
    rates = estimate.rates
    if estimate.tokens and rates.embedding is None:
        yield f"Cost:    not known: {UNPRICED_HINT}"
    elif estimate.tokens and rates.embedding and rates.embedding is not FREE_PRICE:
        usd = show.format_dollars(rates.usd(estimate.tokens, 0) or 0.0)
        yield f"Cost:    {usd} for the tokens, {format_price(rates.embedding, f'{PRICED_TOKENS:,}')}"
    if estimate.pages and rates.recognising:
        usd = show.format_dollars(rates.usd(0, estimate.pages) or 0.0)
        yield f"Cost:    {usd} for the scans, {format_price(rates.recognising, f'{PRICED_PAGES:,} pages')}"


def format_price(price: Price, per: str) -> str:
    """A price with its date."""
    kind = "list price of" if price.listed else "INGEST_PRICES of"
    return f"at {show.format_dollars(price.usd)} for {per} ({price.model}, {kind} {price.dated})"


def format_growth(estimate: Estimate) -> str:
    """What comes to the index, and whether there is room for it."""
    text = f"{estimate.chunks:+,} chunks, {estimate.records:+,} records"
    if estimate.size:
        text += f", about {show.format_bytes(estimate.size)}"
    scarce = estimate.size > SCARCE_SPACE_SHARE * estimate.room.disk
    return f"{text} of {show.format_bytes(int(estimate.room.disk))} free" if scarce else text


def format_memory(estimate: Estimate) -> str:
    """What comes to the vectors that a service holds in memory, and how much it may hold."""
    room = estimate.room
    more = "less" if estimate.memory < 0 else "more"
    text = f"about {show.format_bytes(abs(estimate.memory))} {more} for vectors"
    if room.memory == math.inf:
        return f"{text}; the service's limit is told to who has the role {SEARCH_SERVICE_CONTRIBUTOR.name}"
    used, most = show.format_bytes(int(room.memory_used)), show.format_bytes(int(room.memory))
    over = room.memory_used + estimate.memory > room.memory
    return f"{text}; {used} of {most} in use{': more than fits' if over else ''}"
