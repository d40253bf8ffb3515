"""Output of a plan: the relevant figures with their origin, and no lines about nothing."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from ingest.cli.plan import estimate_fields, format_estimate
from ingest.commands.plan import EmbeddingPace, Estimate
from ingest.index import FreeSpace
from ingest.runtime.prices import FREE_PRICE, LIST_PRICES, Price, Rates

SMALL, READ = LIST_PRICES[0], LIST_PRICES[3]
NOTHING = Estimate(0, 0, 0, None, None, 0.0, Rates(), 0, 0, 0, 0, FreeSpace(), "", 0, 0)
MUCH = Estimate(
    requests=1200,
    tokens=30_000_000,
    pages=2000,
    seconds=5100.0,
    pace=EmbeddingPace(350_000, 1890),
    usd=3.6,
    rates=Rates(SMALL, READ),
    records=900,
    chunks=80_000,
    size=1_300_000_000,
    memory=140_000_000,
    room=FreeSpace(160e9, 37.6e9, 12e6),
    exceeds="--max-cost 2",
    documents=1000,
    before=310,
)


def test_a_large_plan_says_all_of_it() -> None:
    """A plan shows time, dated prices, growth, memory, and where a limit would stop the run."""
    assert list(format_estimate(MUCH)) == [
        (
            "Time:    about 85 min of embedding, at 350k tokens a minute (AZURE_OPENAI_TPM); "
            "about 1,200 requests"
        ),
        (
            "Cost:    $0.60 for the tokens, at $0.02 for 1,000,000 "
            "(text-embedding-3-small, list price of 2026-11-24)"
        ),
        "Cost:    $3.00 for the scans, at $1.50 for 1,000 pages (read, list price of 2026-11-24)",
        "Scans:   2,000 pages to be sent and paid for; embedding their text costs extra",
        "Growth:  +80,000 chunks, +900 records, about 1.3 GB",
        "Memory:  about 140 MB more for vectors; 12 MB of 37.6 GB in use",
        "Limit:   --max-cost 2 would stop the run after about 310 of 1,000 documents",
    ]


def test_words_in_figures_have_a_line_of_their_own() -> None:
    """A plan lists the pages billed for words in figures apart from scans."""
    both = list(format_estimate(replace(MUCH, pages=1000, read_figures=1000)))
    assert both[2].startswith("Cost:    $3.00 for the scans and the words in figures, at $1.50")
    *_, alone = format_estimate(replace(NOTHING, read_figures=1))
    assert alone.startswith("Figures: 1 figure to be sent and paid for, each as a page")


def test_nothing_is_said_of_nothing() -> None:
    """The plan of an unchanged folder is short."""
    assert list(format_estimate(NOTHING)) == []


def test_what_does_not_fit_is_said_and_what_is_not_known_too() -> None:
    """A plan warns of too little space, and of an unknown quota or price."""
    tight = replace(MUCH, room=FreeSpace(9e9, 100e6, 50e6), rates=Rates(None, READ), pages=0)
    unknown = replace(tight, pace=None, seconds=None, room=FreeSpace(9e9), exceeds="")
    by_price = replace(MUCH, rates=Rates(Price("mine", 0.015, "2026-11-01"), FREE_PRICE), pages=0)

    text = "\n".join(format_estimate(tight))
    assert "about 1.3 GB of 9 GB free\n" in text
    assert "about 140 MB more for vectors; 50 MB of 100 MB in use: too little is free\n" in text
    assert "Cost:    unknown: set the model (AZURE" in text

    text = "\n".join(format_estimate(unknown))
    assert "Time:    unknown, no quota is set (AZURE_OPENAI_TPM); about 1,200 requests" in text
    assert "limit requires the role Search Service Contributor" in text

    text = "\n".join(format_estimate(by_price))
    assert "$0.45 for the tokens, at $0.015 for 1,000,000 (mine, INGEST_PRICES of 2026" in text


def test_it_is_json_whatever_is_not_known() -> None:
    """Unknown values are null, so that any JSON parser reads a plan."""
    text = json.dumps(
        estimate_fields(replace(MUCH, room=FreeSpace(), pace=EmbeddingPace(math.inf, 90))),
        allow_nan=False,
    )
    assert json.loads(text)["room"] == {"disk": None, "memory": None, "memory_used": 0.0}
    assert json.loads(text)["pace"] == {"tokens": None, "requests": 90, "measured": False}
