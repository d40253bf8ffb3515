"""`ingest plan`: what a run would do, to the chunk and the token."""

from __future__ import annotations

import argparse
import time

from ingest.cli import configured, run, show
from ingest.connect import roots, services
from ingest.connections import connections
from ingest.execution import capacity
from ingest.model import Outcome, Settled
from ingest.pipeline import forecast
from ingest.report.totals import Totals

# What is not known before it is paid for.
SENDS = "Scans:   {:,} pages to be sent and paid for; what they say comes on top of this"


def main(options: argparse.Namespace) -> int:
    """Do what the options say; returns the exit code."""
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
        for root in where:
            for event in forecast(root, all_, execution):
                totals.add(event)
                if options.json and (line := show.as_json(event)):
                    print(line, flush=True)
                elif isinstance(event, Settled) and told(event, options):
                    print(show.line(event, "to be "))
        held = all_.index.totals()
        unsent = all_.reader.unsent()
    code = 128 + signals[0] if signals else totals.exit_code
    if options.json:
        seconds = time.monotonic() - started
        summary = totals.summary(execution.id, seconds, code, all_.times, capacity(all_, settings))
        print(show.summary_json(summary, held, pages_to_recognise=unsent))
    elif not options.quiet:
        print(
            "\n".join(
                [
                    *show.summary(totals, "to be "),
                    *([SENDS.format(unsent)] if unsent else []),
                    *show.remarks(totals, stopped=bool(signals)),
                ]
            )
        )
    return code


def told(event: Settled, options: argparse.Namespace) -> bool:
    """Whether a plan shows a source: what changes always, the rest on request."""
    if options.quiet or options.json:
        return False
    return event.outcome is not Outcome.UNCHANGED or options.verbose > 0
