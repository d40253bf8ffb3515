"""The page that shows an index and its runs: one file of HTML that needs nothing else.

Whatever stands in it was written by strangers: names, titles, reasons, texts. The template escapes
all of it, the data for the script cannot end its element, and the browser is told to run and to
load nothing but what has the hash of our own files.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from ingest.model import Record, Summary
from ingest.report import charts, overview, words
from ingest.report.bottleneck import MINUTE, NOTHING_TO_EMBED, duration
from ingest.report.overview import Report
from ingest.times import (
    EMBEDDING,
    FETCHING,
    FIRST_ANSWER,
    READING,
    RECOGNISING,
    RECORDING,
    REQUESTS,
    SERVICE,
    TOKENS,
    WRITING,
)

HERE = Path(__file__).parent
MOST_SHOWN = 20  # sources of a code, texts, copies: the list has all sources
FEW = 6  # sources of a text or a copy
EXCERPT = 240  # characters
A_MOMENT = 0.05  # seconds
DAYS = 2 * 86_400.0  # seconds
DATE = 10  # characters

STAGES = {
    FETCHING: "documents: opened, or copied from where they are",
    READING: "documents: extracted, split",
    RECOGNISING: "scanned pages, at a service that reads pictures",
    EMBEDDING: "calls to the model, with all their waits",
    SERVICE: "the part of those in which its answer is waited for",
    WRITING: "chunks to the index",
    RECORDING: "records: intents and commits",
    TOKENS: "waits before calls to the model",
    REQUESTS: "waits before calls to the model",
    FIRST_ANSWER: "waits for what tells the quota",
    NOTHING_TO_EMBED: "the model waited for documents, or was done",
}


class Inspected(Protocol):
    """A source that the page shows page by page, by a template of its own."""

    @property
    def record(self) -> Record: ...

    # the id of its element
    @property
    def anchor(self) -> str: ...


def page(report: Report, inspected: Sequence[Inspected] = ()) -> str:
    """The whole page."""
    css, js = our_own("*.css"), our_own("*.js")
    return (
        environment()
        .get_template("page.html")
        .render(
            report=report,
            run=report.run,
            inspected=inspected,
            policy=policy(css, js),
            css=Markup(css),  # noqa: S704 - our own files
            js=Markup(js),  # noqa: S704
            data=htmlsafe_json_dumps(listed(report, inspected)),
            several_roots=len({record.root for record in report.records}) > 1,
            states=overview.states(report.records, in_run=report.chosen),
            troubles=overview.troubles(report.records),
            needing=sum(map(overview.needs_someone, report.records)),
            there=sum(record.chunks > 0 for record in report.records),
            extremes=overview.extremes(report.records),
            stages=stages(report.run) if report.run else [],
            timeline=timeline(report.run) if report.run else [],
            growth=growth(report.runs),
            most=MOST_SHOWN,
            few=FEW,
            excerpt=EXCERPT,
        )
    )


def our_own(kind: str) -> str:
    """All our files of a kind, as they stand in the page."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(HERE.glob(kind)))


def environment() -> Environment:
    """What templates are rendered in."""
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": lambda number: f"{number:,}",
        "duration": duration,
        "kinds": words.kinds,
        "many": words.many,
        "moment": words.moment,
        "percent": charts.percent,
        "printable": words.printable,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "size": words.size,
        "spell": lambda seconds: f"{seconds:.1f} s" if seconds < MINUTE else duration(seconds),
    }
    return made


def policy(css: str, js: str) -> str:
    """What a browser may do with the page: show its pictures, and use this style and script."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def listed(report: Report, inspected: Sequence[Inspected]) -> dict[str, Any]:
    """Every source as the script lists it; a row is as short as can be, for there are many."""
    roots = sorted({record.root for record in report.records})
    places = {root: place for place, root in enumerate(roots)}
    anchors = {(one.record.root, one.record.source): one.anchor for one in inspected}
    return {
        "roots": [words.printable(root) for root in roots],
        "rows": [row(record, places[record.root], report) for record in report.records],
        "anchors": {
            place: anchors[record.root, record.source]
            for place, record in enumerate(report.records)
            if (record.root, record.source) in anchors
        },
    }


def row(record: Record, root: int, report: Report) -> list[str | int]:
    """One source, in the order that page.js knows."""
    return [
        words.printable(record.source),
        root,
        overview.state_of(record, in_run=report.chosen),
        overview.code_of(record),
        words.printable(record.error),
        int(overview.needs_someone(record)),
        record.pages,
        record.chunks,
        record.tokens,
        max(record.size, 0),
        words.moment(record.settled),
    ]


def stages(run: Summary) -> list[tuple[str, str, float, float | None]]:
    """Each stage: its name, what it is, its seconds on the clock and in all threads; longest first.

    What took a moment is left out.
    """
    found = [
        (name, STAGES.get(name, ""), spent["wall"], spent.get("threads"))
        for name, spent in run.stages.items()
        if spent["wall"] >= A_MOMENT
    ]
    return sorted(found, key=lambda stage: -stage[2])


def timeline(run: Summary) -> list[tuple[str, Markup]]:
    """The charts of a run over time, each with its heading; none of what never happened."""
    line, every = run.timeline, run.timeline.every
    if not every or run.seconds <= 0:
        return []
    if any(line.charged):
        what, rates = "Quota used: tokens of the minute before", last_minute(line.charged, every)
    else:
        what, rates = "Tokens a second", [number / every for number in line.tokens]
    pages = [number / every for number in line.pages]
    waits = [min(1.0, waited / every) for waited in line.waited]
    shown = [
        (what, rates, line.quota if any(line.charged) else 0.0, False),
        ("Pages a second", pages, 0.0, False),
        ("Time spent waiting for the quota", waits, 0.0, True),
        ("Requests throttled a minute", [MINUTE * n / every for n in line.refused], 0.0, False),
    ]
    return [
        (title, over_time(run, title, values, limit, share=share))
        for title, values, limit, share in shown
        if any(values)
    ]


def last_minute(values: Sequence[float], every: float) -> list[float]:
    """What a quota by the minute counts at the end of each stretch."""
    window = max(1, round(MINUTE / every))
    sums = [sum(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
    return [total * MINUTE / (window * every) for total in sums]


def over_time(
    run: Summary, title: str, values: Sequence[float], limit: float, *, share: bool
) -> Markup:
    """One chart of a run."""
    number = charts.percent if share else charts.plain_number
    mean = sum(values) / len(values)
    says = f"{title}: {number(mean)} on average, {number(max(values))} at most"
    says += f", of a quota of {number(limit)}" if limit else ""
    chart = charts.Chart(
        says=says,
        points=charts.steps(values, run.timeline.every, run.seconds),
        across=charts.clock(run.seconds),
        name=charts.elapsed,
        top=1.0 if share else 0.0,
        limit=limit,
        share=share,
    )
    return Markup(charts.drawn(chart))  # noqa: S704 - of our own words and numbers


def dated(when: float) -> str:
    """A time in seconds, for people."""
    return words.moment(datetime.fromtimestamp(when, UTC).isoformat())


def growth(runs: Sequence[Summary]) -> list[tuple[str, Markup]]:
    """What the index held after each run, over time; none where there are fewer than two."""
    known = [(datetime.fromisoformat(run.ended).timestamp(), run) for run in runs if run.index]
    known.sort(key=lambda pair: pair[0])
    if len({when for when, _ in known}) < 2:  # noqa: PLR2004 - a line has two ends
        return []
    first, last = known[0], known[-1]
    found = []
    for what, name in (("chunks", "Chunks"), ("sources", "Sources"), ("size", "Size in MB")):
        unit = 1e6 if what == "size" else 1
        points = [(when, run.index.get(what, -1) / unit) for when, run in known]
        if any(value < 0 for _, value in points):
            continue  # a service that does not tell its size
        ends = [charts.plain_number(points[end][1]) for end in (0, -1)]
        chart = charts.Chart(
            says=f"{name}: from {ends[0]} to {ends[1]} over {words.many(len(points), 'run')}",
            points=points,
            across=[first[0], last[0]],
            name=lambda when: dated(when)[: DATE if last[0] - first[0] > DAYS else None],
            dots=len(points) <= MOST_SHOWN,
        )
        found.append((name, Markup(charts.drawn(chart))))  # noqa: S704
    return found
