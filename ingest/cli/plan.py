"""`ingest plan`: report the outcomes, chunks, tokens and cost of a run, without running it."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ingest.azure.roles import SEARCH_SERVICE_CONTRIBUTOR
from ingest.cli import exit_message, load_settings, output
from ingest.cli.exit_message import CommandExit
from ingest.cli.run import named_roots, note_missing, start_run
from ingest.cli.signals import handle_signals
from ingest.commands.plan import Estimate, PlanTotals, estimate
from ingest.config.connections import create_connections
from ingest.config.factory import describe_refusal, open_services
from ingest.config.index import index_location
from ingest.config.roots import resolve_roots
from ingest.config.run import find_capacity
from ingest.config.sources import open_roots
from ingest.errors import ConfigError
from ingest.models import LeftOut, Outcome, RunEvent, SourceResult
from ingest.pipeline.context import Services
from ingest.pipeline.dry_run import EmbeddingRequest, RecordCountChange, ReusedText, dry_run
from ingest.pipeline.run import run_on_roots
from ingest.pipeline.totals import RunTotals
from ingest.runtime.bottleneck import format_amount, format_seconds
from ingest.runtime.formatting import format_bytes, format_dollars, pluralize
from ingest.runtime.prices import FREE_PRICE, PRICED_PAGES, PRICED_TOKENS, Price

log = logging.getLogger(__name__)

UNPRICED_HINT = "set the model (AZURE_OPENAI_EMBEDDING_MODEL) or its price (INGEST_PRICES)"
UNPRICED_FIGURES_HINT = "set AZURE_OPENAI_FIGURES_MODEL, or the price in INGEST_PRICES"
SCARCE_SPACE_SHARE = 0.1  # share of the free space: free space is shown if growth exceeds it


def main(options: argparse.Namespace) -> int | CommandExit:
    """Run the command; returns its exit code, with a message unless it is 0."""
    settings = load_settings(options)
    names = named_roots(options, settings)
    run = start_run(options, settings)
    connections = create_connections(settings, run.stop)
    totals = RunTotals()
    started, missing = time.monotonic(), list[str]()
    with (
        handle_signals(run.stop) as signals,
        open_roots(names, settings, connections, missing) as opened_roots,
        open_services(settings, run.stop, write=False, connections=connections) as services,
    ):
        roots = resolve_roots(opened_roots, services.index, settings, write=False)
        plan_totals = PlanTotals(services.budget)
        note_missing(missing, totals)
        for event in run_on_roots(dry_run, roots, services, run, totals):
            plan_totals.add(event, sum(services.reader.unsent_pages()))
            if not isinstance(event, EmbeddingRequest | RecordCountChange | ReusedText):
                totals.add(event)
                show_event(event, run.id, options)
        index_totals = services.index.totals()
        if index_location(settings).is_service and not signals:
            warn_about_missing_chunks(services)
        refusal = "" if run.take_over else describe_refusal(services, settings)
        plan = estimate(plan_totals, services, remote=index_location(settings).is_service)
    code = exit_message.signal_exit_code(signals)
    code = code or (ConfigError.exit_code if refusal else totals.exit_code)
    if options.json:
        took = time.monotonic() - started
        summary = totals.summary(
            run.id, took, code, services.times, find_capacity(services, settings)
        )
        pages = plan.pages + plan.read_figures
        print(
            output.run_summary_json(
                summary, index_totals, pages_to_recognise=pages, plan=estimate_fields(plan)
            )
        )
    elif not options.quiet:
        lines = [*output.format_totals(totals, "to be "), *format_estimate(plan)]
        lines += output.format_remarks(totals, stopped=bool(signals))
        lines += output.format_model_advice(totals, settings)
        print("\n".join([*lines, *(["Stopped early: this plan is incomplete"] if signals else [])]))
    message = exit_message.describe_plan(code, totals)
    return CommandExit(code, f"{message}; {refusal}" if refusal else message) if code else 0


def warn_about_missing_chunks(services: Services) -> None:
    """Log a warning if an application's index was emptied or recreated, as a run rewrites it."""
    flaws = services.index.flaws(services.embedder.dimensions, thorough=False)
    if flaw := next(flaws, None):
        log.warning(
            "%s, chunk %s: %s; a run writes what is missing again, without embedding",
            flaw.source,
            flaw.id,
            flaw.reason,
        )


def show_event(event: RunEvent, run_id: str, options: argparse.Namespace) -> None:
    """Print an outcome that a run would have, or the files it would leave out.

    Unchanged documents are shown only with -v.
    """
    if options.json:
        if line := output.outcome_json(event, run_id):
            print(line, flush=True)
    elif options.quiet:
        return
    elif isinstance(event, LeftOut):
        for text in output.format_left_out(event, verbose=options.verbose > 0):
            print(text)
    elif isinstance(event, SourceResult) and (
        options.verbose or event.outcome is not Outcome.UNCHANGED
    ):
        print(output.format_outcome(event, "to be ", run_id))


def estimate_fields(estimate: Estimate) -> dict[str, Any]:
    """Fields of an estimate for JSON, which has no infinity: unknown values are null."""

    def null_infinity(items: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: None if value == math.inf else value for name, value in items}

    chat = {"sent": estimate.chat.sent, "answered": estimate.chat.answered}
    return {**asdict(estimate, dict_factory=null_infinity), "chat": chat}


def format_estimate(estimate: Estimate) -> Iterator[str]:
    """Format an estimate, without the lines that would say 0."""
    if estimate.requests:
        yield f"Time:    {format_time(estimate)}"
    yield from format_costs(estimate)
    if estimate.pages:
        pages = pluralize(estimate.pages, "page")
        yield f"Scans:   {pages} to be sent and paid for; embedding their text costs extra"
    if estimate.read_figures:
        figures = pluralize(estimate.read_figures, "figure")
        yield f"Figures: {figures} to be sent and paid for, each as a page, for the words in them"
    if estimate.figures:
        figures = pluralize(estimate.figures, "figure")
        tokens = format_amount(estimate.chat.total)
        yield f"Figures: {figures} to be described in about {tokens} tokens, after all text"
    if estimate.chunks or estimate.records:
        yield f"Growth:  {format_growth(estimate)}"
    if estimate.memory:
        yield f"Memory:  {format_memory(estimate)}"
    if estimate.exceeds:
        done = f"{estimate.before:,} of {pluralize(estimate.documents, 'document')}"
        yield f"Limit:   {estimate.exceeds} would stop the run after about {done}"
    elif estimate.figures_exceed:
        limit = estimate.figures_exceed
        yield f"Limit:   {limit} would stop the run before all figures are described"


def format_time(estimate: Estimate) -> str:
    """Format how long embedding takes, and in how many requests."""
    pace, local = estimate.pace, estimate.rates.embedding is FREE_PRICE
    requests = "" if local else f"; about {pluralize(estimate.requests, 'request')}"
    if estimate.seconds is None or pace is None:
        why = "nothing was embedded here before" if local else "no quota is set (AZURE_OPENAI_TPM)"
        return f"unknown, {why}{requests}"
    if pace.measured:
        by = f"at the pace of the last runs, {format_amount(pace.tokens)} tokens a minute"
    elif pace.tokens < math.inf:
        by = f"at {format_amount(pace.tokens)} tokens a minute (AZURE_OPENAI_TPM)"
    else:
        by = f"at {format_amount(pace.requests)} requests a minute (AZURE_OPENAI_RPM)"
    return f"about {format_seconds(estimate.seconds)} of embedding, {by}{requests}"


def format_costs(estimate: Estimate) -> Iterator[str]:
    """Format the costs, each with its price and the date of the price."""
    rates = estimate.rates
    if estimate.tokens and rates.embedding is None:
        yield f"Cost:    unknown: {UNPRICED_HINT}"
    elif estimate.tokens and rates.embedding and rates.embedding is not FREE_PRICE:
        usd = format_dollars(rates.usd(estimate.tokens, 0) or 0.0)
        price = format_price(rates.embedding, f"{PRICED_TOKENS:,}")
        yield f"Cost:    {usd} for the tokens, {price}"
    billed_pages = estimate.pages + estimate.read_figures
    if billed_pages and rates.recognising:
        usd = format_dollars(rates.usd(0, billed_pages) or 0.0)
        kinds = {"scans": estimate.pages, "words in figures": estimate.read_figures}
        sent = " and ".join(f"the {kind}" for kind, count in kinds.items() if count)
        price = format_price(rates.recognising, f"{PRICED_PAGES:,} pages")
        yield f"Cost:    {usd} for {sent}, {price}"
    if estimate.figures and rates.describing is None:
        yield f"Cost:    unknown for the figures: {UNPRICED_FIGURES_HINT}"
    elif estimate.figures and rates.describing:
        usd = format_dollars(rates.usd(0, 0, estimate.chat) or 0.0)
        answered = format_dollars(rates.describing.answer_usd)
        price = format_price(rates.describing, f"{PRICED_TOKENS:,} sent, {answered} for answers")
        yield f"Cost:    about {usd} for the figures, {price}"


def format_price(price: Price, per: str) -> str:
    """Format a price with its date."""
    kind = "list price of" if price.listed else "INGEST_PRICES of"
    return f"at {format_dollars(price.usd)} for {per} ({price.model}, {kind} {price.dated})"


def format_growth(estimate: Estimate) -> str:
    """Format the growth of the index, with the free space if it is scarce."""
    text = f"{estimate.chunks:+,} chunks, {estimate.records:+,} records"
    if estimate.size:
        text += f", about {format_bytes(estimate.size)}"
    scarce = estimate.size > SCARCE_SPACE_SHARE * estimate.room.disk
    return f"{text} of {format_bytes(int(estimate.room.disk))} free" if scarce else text


def format_memory(estimate: Estimate) -> str:
    """Format the growth of the vectors in a service's memory, with its limit."""
    room = estimate.room
    more = "less" if estimate.memory < 0 else "more"
    text = f"about {format_bytes(abs(estimate.memory))} {more} for vectors"
    if room.memory == math.inf:
        role = SEARCH_SERVICE_CONTRIBUTOR.name
        return f"{text}; reading the service's limit requires the role {role}"
    used, most = format_bytes(int(room.memory_used)), format_bytes(int(room.memory))
    over = room.memory_used + estimate.memory > room.memory
    return f"{text}; {used} of {most} in use{': too little is free' if over else ''}"
