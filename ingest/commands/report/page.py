"""Render the report as one self-contained HTML page.

Names, titles, reasons and texts of documents are untrusted. The template escapes all of them, the
JSON data cannot end its script element, and the Content-Security-Policy allows only the style and
the script whose hashes are those of our own files.
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
from ingest.runtime import formatting
from ingest.runtime.bottleneck import NOTHING_TO_EMBED, SECONDS_PER_MINUTE, format_seconds
from ingest.runtime.timing import (
    DESCRIBING_FIGURES,
    EMBEDDING_CHUNKS,
    EMBEDDING_SERVICE,
    FETCHING_DOCUMENTS,
    FIRST_ANSWER,
    OPEN_REQUESTS,
    READING_DOCUMENTS,
    RECOGNISING_PAGES,
    REQUEST_QUOTA,
    RETRY_PAUSE,
    TOKEN_QUOTA,
    WRITING_CHUNKS,
    WRITING_RECORDS,
)

TEMPLATE_FOLDER = Path(__file__).parent
MAX_SHOWN_SOURCES = 20  # sources of a code, texts, or groups of copies; the list has all sources
MAX_SHOWN_COPIES = 6  # sources of one text or one group of copies
EXCERPT_CHARS = 240
MIN_STAGE_SECONDS = 0.05  # shorter stages are left out
DATES_ONLY_SECONDS = 2 * 86_400.0  # labels of a longer time axis show dates only
DATE_CHARS = 10  # of an ISO 8601 timestamp

STAGE_DESCRIPTIONS = {
    FETCHING_DOCUMENTS: "documents: opened or downloaded",
    READING_DOCUMENTS: "documents: extracted and split",
    RECOGNISING_PAGES: "scanned pages: OCR by a service",
    DESCRIBING_FIGURES: "figures: descriptions by a model",
    EMBEDDING_CHUNKS: "calls to the model, waits included",
    EMBEDDING_SERVICE: "the part of them spent waiting for a response",
    WRITING_CHUNKS: "chunks to the index",
    WRITING_RECORDS: "records: intents and commits",
    TOKEN_QUOTA: "waits before calls to the model",
    REQUEST_QUOTA: "waits before calls to the model",
    FIRST_ANSWER: "waits for the first response, which shows the quota",
    OPEN_REQUESTS: "waits for a response, as many tokens were under way",
    RETRY_PAUSE: "pauses before another attempt at embedding",
    NOTHING_TO_EMBED: "the model waited for documents, or had finished",
}


class InspectorEntry(Protocol):
    """A source that the inspector shows, by a template of its own."""

    @property
    def record(self) -> Record: ...

    # HTML id of its element
    @property
    def anchor(self) -> str: ...


def render_report(report: Report, inspected: Sequence[InspectorEntry] = ()) -> str:
    """Render the whole page as HTML."""
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
            states=overview.count_states(report.records, in_run=report.is_single_run),
            troubles=overview.group_troubles(report.records, report.run.run if report.run else ""),
            with_figures=[r for r in report.records if r.details.figure_outcomes],
            figure_totals=overview.count_figures(report.records),
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
    """Join all style sheets or scripts of this folder, for inclusion in the page."""
    return "\n".join(
        path.read_text(encoding="utf-8") for path in sorted(TEMPLATE_FOLDER.glob(pattern))
    )


def template_environment() -> Environment:
    """Create the Jinja environment, with the filters that the templates use."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": lambda number: f"{number:,}",
        "duration": format_seconds,
        "figures": formatting.format_figures,
        "kinds": formatting.format_unread_files,
        "many": formatting.pluralize,
        "moment": formatting.shorten_timestamp,
        "percent": charts.format_percent,
        "printable": formatting.escape_unprintable,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "size": formatting.format_bytes,
        "spell": lambda seconds: (
            f"{seconds:.1f} s" if seconds < SECONDS_PER_MINUTE else format_seconds(seconds)
        ),
    }
    return environment


def content_security_policy(css: str, js: str) -> str:
    """Return a policy that allows embedded images, this style and this script, and nothing else."""
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (css, js)
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def list_sources(report: Report, inspected: Sequence[InspectorEntry]) -> dict[str, Any]:
    """Return the data of the list of sources. Rows are arrays, as there may be very many."""
    roots = sorted({record.root for record in report.records})
    root_numbers = {root: number for number, root in enumerate(roots)}
    anchors = {(one.record.root, one.record.source): one.anchor for one in inspected}
    return {
        "roots": [formatting.escape_unprintable(root) for root in roots],
        "rows": [
            source_row(record, root_numbers[record.root], report) for record in report.records
        ],
        "anchors": {
            number: anchors[record.root, record.source]
            for number, record in enumerate(report.records)
            if (record.root, record.source) in anchors
        },
    }


def source_row(record: Record, root: int, report: Report) -> list[str | int]:
    """Return the row of one source, in the column order of page.js."""
    return [
        formatting.escape_unprintable(record.source),
        root,
        overview.state_of(record, in_run=report.is_single_run),
        overview.code_of(record),
        formatting.escape_unprintable(record.error),
        int(overview.needs_action(record)),
        record.pages,
        record.chunks,
        record.tokens,
        max(record.size, 0),
        formatting.shorten_timestamp(record.settled),
    ]


def stage_rows(run: Summary) -> list[tuple[str, str, float, float | None]]:
    """Return name, description, wall seconds and thread seconds of each stage, longest first.

    Stages under MIN_STAGE_SECONDS are left out.
    """
    rows = [
        (name, STAGE_DESCRIPTIONS.get(name, ""), spent["wall"], spent.get("threads"))
        for name, spent in run.stages.items()
        if spent["wall"] >= MIN_STAGE_SECONDS
    ]
    return sorted(rows, key=lambda stage: -stage[2])


def timeline_charts(run: Summary) -> list[tuple[str, Markup]]:
    """Return title and chart of each rate of a run; a rate that was always 0 has no chart."""
    timeline, every = run.timeline, run.timeline.every
    if not every or run.seconds <= 0:
        return []
    if any(timeline.charged):
        title, rates = "Quota used: tokens per minute", minute_rates(timeline.charged, every)
    else:
        title, rates = "Tokens per second", [number / every for number in timeline.tokens]
    pages = [number / every for number in timeline.pages]
    waits = [min(1.0, waited / every) for waited in timeline.waited]
    throttled = [SECONDS_PER_MINUTE * number / every for number in timeline.refused]
    shown = [
        (title, rates, timeline.quota if any(timeline.charged) else 0.0, False),
        ("Pages per second", pages, 0.0, False),
        ("Time spent waiting for the quota", waits, 0.0, True),
        ("Throttled requests per minute", throttled, 0.0, False),
    ]
    return [
        (title, time_chart(run, title, values, limit, share=share))
        for title, values, limit, share in shown
        if any(values)
    ]


def minute_rates(values: Sequence[float], every: float) -> list[float]:
    """Return the sum over the preceding minute, scaled to a minute, at the end of each interval."""
    window = max(1, round(SECONDS_PER_MINUTE / every))
    sums = [sum(values[max(0, end - window) : end]) for end in range(1, len(values) + 1)]
    return [total * SECONDS_PER_MINUTE / (window * every) for total in sums]


def time_chart(
    run: Summary, title: str, values: Sequence[float], limit: float, *, share: bool
) -> Markup:
    """Render one chart of a run."""
    formatted = charts.format_percent if share else charts.format_number
    mean = sum(values) / len(values)
    label = f"{title}: {formatted(mean)} on average, {formatted(max(values))} at most"
    label += f", of a quota of {formatted(limit)}" if limit else ""
    chart = charts.Chart(
        label=label,
        points=charts.step_points(values, run.timeline.every, run.seconds),
        x_labels=charts.clock_ticks(run.seconds),
        format_x=charts.format_elapsed,
        min_top=1.0 if share else 0.0,
        limit=limit,
        is_share=share,
    )
    return Markup(charts.render_chart(chart))  # noqa: S704 - our own text and numbers


def format_timestamp(when: float) -> str:
    """Format a Unix timestamp for display."""
    return formatting.shorten_timestamp(datetime.fromtimestamp(when, UTC).isoformat())


def growth_charts(runs: Sequence[Summary]) -> list[tuple[str, Markup]]:
    """Return charts of the index size after each run; none if fewer than two runs are known."""
    known = [(datetime.fromisoformat(run.ended).timestamp(), run) for run in runs if run.index]
    known.sort(key=lambda pair: pair[0])
    if len({when for when, _ in known}) < 2:  # noqa: PLR2004 - a line has two ends
        return []
    first, last = known[0], known[-1]
    drawings = []
    for field, name in (("chunks", "Chunks"), ("sources", "Sources"), ("size", "Size in MB")):
        unit = 1e6 if field == "size" else 1
        points = [(when, run.index.get(field, -1) / unit) for when, run in known]
        if any(value < 0 for _, value in points):
            continue  # the service does not report its size
        before, after = (charts.format_number(points[end][1]) for end in (0, -1))
        count = formatting.pluralize(len(points), "run")
        chart = charts.Chart(
            label=f"{name}: from {before} to {after} over {count}",
            points=points,
            x_labels=[first[0], last[0]],
            format_x=lambda when: format_timestamp(when)[
                : DATE_CHARS if last[0] - first[0] > DATES_ONLY_SECONDS else None
            ],
            dots=len(points) <= MAX_SHOWN_SOURCES,
        )
        drawings.append((name, Markup(charts.render_chart(chart))))  # noqa: S704
    return drawings
