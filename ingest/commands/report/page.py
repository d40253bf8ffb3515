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

from ingest.commands.report import charts, overview
from ingest.commands.report.overview import Report
from ingest.models import Record, Summary
from ingest.runtime import formatting as words
from ingest.runtime.bottleneck import NOTHING_TO_EMBED, SECONDS_PER_MINUTE, format_seconds
from ingest.runtime.timing import (
    EMBEDDING_CHUNKS,
    EMBEDDING_SERVICE,
    FETCHING_DOCUMENTS,
    FIRST_ANSWER,
    READING_DOCUMENTS,
    RECOGNISING_PAGES,
    REQUEST_QUOTA,
    TOKEN_QUOTA,
    WRITING_CHUNKS,
    WRITING_RECORDS,
)

TEMPLATE_FOLDER = Path(__file__).parent
MAX_SHOWN_SOURCES = 20  # sources of a code, texts, copies: the list has all sources
MAX_SHOWN_COPIES = 6  # sources of a text or a copy
EXCERPT_CHARS = 240  # characters
MIN_STAGE_SECONDS = 0.05  # seconds
DATES_ONLY_SECONDS = 2 * 86_400.0  # seconds
DATE_CHARS = 10  # characters

STAGE_DESCRIPTIONS = {
    FETCHING_DOCUMENTS: "documents: opened, or copied from where they are",
    READING_DOCUMENTS: "documents: extracted, split",
    RECOGNISING_PAGES: "scanned pages, at a service that reads pictures",
    EMBEDDING_CHUNKS: "calls to the model, with all their waits",
    EMBEDDING_SERVICE: "the part of those in which its answer is waited for",
    WRITING_CHUNKS: "chunks to the index",
    WRITING_RECORDS: "records: intents and commits",
    TOKEN_QUOTA: "waits before calls to the model",
    REQUEST_QUOTA: "waits before calls to the model",
    FIRST_ANSWER: "waits for what tells the quota",
    NOTHING_TO_EMBED: "the model waited for documents, or was done",
}


class InspectorEntry(Protocol):
    """A source that the page shows page by page, by a template of its own."""

    @property
    def record(self) -> Record: ...

    # the id of its element
    @property
    def anchor(self) -> str: ...


def render_report(report: Report, inspected: Sequence[InspectorEntry] = ()) -> str:
    """The whole page."""
    css, js = bundle_assets("*.css"), bundle_assets("*.js")
    return (
        template_environment()
        .get_template("page.html")
        .render(
            report=report,
            run=report.run,
            inspected=inspected,
            policy=content_security_policy(css, js),
            css=Markup(css),  # noqa: S704 - our own files
            js=Markup(js),  # noqa: S704
            data=htmlsafe_json_dumps(list_sources(report, inspected)),
            several_roots=len({record.root for record in report.records}) > 1,
            states=overview.count_states(report.records, in_run=report.chosen),
            troubles=overview.group_troubles(report.records),
            needing=sum(map(overview.needs_action, report.records)),
            there=sum(record.chunks > 0 for record in report.records),
            extremes=overview.find_extremes(report.records),
            stages=stage_rows(report.run) if report.run else [],
            timeline=timeline_charts(report.run) if report.run else [],
            growth=growth_charts(report.runs),
            most=MAX_SHOWN_SOURCES,
            few=MAX_SHOWN_COPIES,
            excerpt=EXCERPT_CHARS,
        )
    )


def bundle_assets(pattern: str) -> str:
    """All our files of a kind, as they stand in the page."""
    return "\n".join(
        path.read_text(encoding="utf-8") for path in sorted(TEMPLATE_FOLDER.glob(pattern))
    )


def template_environment() -> Environment:
    """What templates are rendered in."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "count": lambda number: f"{number:,}",
        "duration": format_seconds,
        "kinds": words.format_unread_files,
        "many": words.pluralize,
        "moment": words.shorten_timestamp,
        "percent": charts.format_percent,
        "printable": words.escape_unprintable,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "size": words.format_bytes,
        "spell": lambda seconds: (
            f"{seconds:.1f} s" if seconds < SECONDS_PER_MINUTE else format_seconds(seconds)
        ),
    }
    return made


def content_security_policy(css: str, js: str) -> str:
    """What a browser may do with the page: show its pictures, and use this style and script."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def list_sources(report: Report, inspected: Sequence[InspectorEntry]) -> dict[str, Any]:
    """Every source as the script lists it; a row is as short as can be, for there are many."""
    roots = sorted({record.root for record in report.records})
    places = {root: place for place, root in enumerate(roots)}
    anchors = {(one.record.root, one.record.source): one.anchor for one in inspected}
    return {
        "roots": [words.escape_unprintable(root) for root in roots],
        "rows": [source_row(record, places[record.root], report) for record in report.records],
        "anchors": {
            place: anchors[record.root, record.source]
            for place, record in enumerate(report.records)
            if (record.root, record.source) in anchors
        },
    }


def source_row(record: Record, root: int, report: Report) -> list[str | int]:
    """One source, in the order that page.js knows."""
    return [
        words.escape_unprintable(record.source),
        root,
        overview.state_of(record, in_run=report.chosen),
        overview.code_of(record),
        words.escape_unprintable(record.error),
        int(overview.needs_action(record)),
        record.pages,
        record.chunks,
        record.tokens,
        max(record.size, 0),
        words.shorten_timestamp(record.settled),
    ]


def stage_rows(run: Summary) -> list[tuple[str, str, float, float | None]]:
    """Each stage: its name, what it is, its seconds on the clock and in all threads; longest first.

    What took a moment is left out.
    """
    found = [
        (name, STAGE_DESCRIPTIONS.get(name, ""), spent["wall"], spent.get("threads"))
        for name, spent in run.stages.items()
        if spent["wall"] >= MIN_STAGE_SECONDS
    ]
    return sorted(found, key=lambda stage: -stage[2])


def timeline_charts(run: Summary) -> list[tuple[str, Markup]]:
    """The charts of a run over time, each with its heading; none of what never happened."""
    line, every = run.timeline, run.timeline.every
    if not every or run.seconds <= 0:
        return []
    if any(line.charged):
        what, rates = "Quota used: tokens of the minute before", minute_rates(line.charged, every)
    else:
        what, rates = "Tokens a second", [number / every for number in line.tokens]
    pages = [number / every for number in line.pages]
    waits = [min(1.0, waited / every) for waited in line.waited]
    shown = [
        (what, rates, line.quota if any(line.charged) else 0.0, False),
        ("Pages a second", pages, 0.0, False),
        ("Time spent waiting for the quota", waits, 0.0, True),
        (
            "Requests throttled a minute",
            [SECONDS_PER_MINUTE * n / every for n in line.refused],
            0.0,
            False,
        ),
    ]
    return [
        (title, time_chart(run, title, values, limit, share=share))
        for title, values, limit, share in shown
        if any(values)
    ]


def minute_rates(values: Sequence[float], every: float) -> list[float]:
    """What a quota by the minute counts at the end of each stretch."""
    window = max(1, round(SECONDS_PER_MINUTE / every))
    sums = [sum(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
    return [total * SECONDS_PER_MINUTE / (window * every) for total in sums]


def time_chart(
    run: Summary, title: str, values: Sequence[float], limit: float, *, share: bool
) -> Markup:
    """One chart of a run."""
    number = charts.format_percent if share else charts.format_number
    mean = sum(values) / len(values)
    says = f"{title}: {number(mean)} on average, {number(max(values))} at most"
    says += f", of a quota of {number(limit)}" if limit else ""
    chart = charts.Chart(
        label=says,
        points=charts.step_points(values, run.timeline.every, run.seconds),
        x_labels=charts.clock_ticks(run.seconds),
        format_x=charts.format_elapsed,
        min_top=1.0 if share else 0.0,
        limit=limit,
        is_share=share,
    )
    return Markup(charts.render_chart(chart))  # noqa: S704 - of our own words and numbers


def format_timestamp(when: float) -> str:
    """A time in seconds, for people."""
    return words.shorten_timestamp(datetime.fromtimestamp(when, UTC).isoformat())


def growth_charts(runs: Sequence[Summary]) -> list[tuple[str, Markup]]:
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
        ends = [charts.format_number(points[end][1]) for end in (0, -1)]
        chart = charts.Chart(
            label=f"{name}: from {ends[0]} to {ends[1]} over {words.pluralize(len(points), 'run')}",
            points=points,
            x_labels=[first[0], last[0]],
            format_x=lambda when: format_timestamp(when)[
                : DATE_CHARS if last[0] - first[0] > DATES_ONLY_SECONDS else None
            ],
            dots=len(points) <= MAX_SHOWN_SOURCES,
        )
        found.append((name, Markup(charts.render_chart(chart))))  # noqa: S704
    return found
