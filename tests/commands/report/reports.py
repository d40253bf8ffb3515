"""Reports made up for tests."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ingest.commands.report.duplicates import find_duplicates
from ingest.commands.report.overview import Report
from ingest.commands.report.page import render_report
from ingest.models import Code, Outcome, Record, StoredChunk, Summary, Timeline

RUN = "20261124T020000Z-abcdef"
DIGEST = "0123456789ab"


def make_record(name: str, content: str = "", **more: object) -> Record:
    """A source that is in the index, unless `more` says otherwise."""
    made = Record(
        root="/srv/documents",
        source=name,
        fingerprint=DIGEST + (content or name),
        size=20_000,
        pages=3,
        tokens=900,
        outcome=Outcome.NEW,
        chunks=3,
        settled="2026-11-24T03:00:00+00:00",
        run=RUN,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def make_damaged(name: str, error: str = "damaged; get a new copy from its origin") -> Record:
    return make_record(
        name, outcome=Outcome.FAILED, code=Code.DAMAGED, error=error, pages=0, chunks=0, tokens=0
    )


def make_empty(name: str) -> Record:
    return make_record(
        name,
        outcome=Outcome.EMPTY,
        code=Code.NO_TEXT,
        error="its pages are scans without text",
        empty_pages=3,
        chunks=0,
        tokens=0,
    )


def make_chunk(source: str, text: str, page: int = 1) -> StoredChunk:
    return StoredChunk(f"{source}{page}", "/srv/documents", source, "", 0, page, page, (), text)


def make_run(name: str = RUN, day: int = 24, chunks: int = 60) -> Summary:
    """A run of a minute at a quota that was not enough."""
    return Summary(
        run=name,
        ended=f"2026-11-{day:02}T03:00:00+00:00",
        seconds=60.0,
        exit=3,
        outcomes={"new": 20, "failed": 1},
        pages=60,
        chunks_embedded=60,
        chunks_deleted=0,
        tokens_embedded=18_000,
        stages={"reading": {"wall": 12.5, "threads": 20.1}, "nothing to embed": {"wall": 3.0}},
        bottleneck="embedding waited 60% of the time for the token quota of 20k/min",
        timeline=Timeline(
            every=10.0,
            pages=(20, 20, 20, 0, 0, 0),
            tokens=(3000,) * 6,
            charged=(3200,) * 6,
            waited=(5.0,) * 6,
            refused=(0, 1, 0, 0, 0, 0),
            quota=20_000,
        ),
        index={"sources": 21, "chunks": chunks, "size": 1_000_000},
    )


def make_report(*records: Record, chunks: tuple[StoredChunk, ...] = (), **more: object) -> Report:
    """Report on these records."""
    made = Report(
        index=".ingest",
        chunks=sum(r.chunks for r in records),
        size=1_000_000,
        records=records,
        runs=(make_run(), make_run("20261123T020000Z-fedcba", 23, 40)),
        run=make_run(),
        is_single_run=False,
        duplicates=find_duplicates(records, chunks),
        created="2026-11-24T09:00:00+00:00",
    )
    return replace(made, **more)  # type: ignore[arg-type]


def make_large_report(how_many: int) -> Report:
    """A report of so many sources: one in ten is damaged, one in twenty a scan."""
    makers = {0: make_damaged, 5: make_empty, 15: make_empty}
    names = [f"shelf {number % 7}/{number:05}.pdf" for number in range(how_many)]
    records = [makers.get(number % 20, make_record)(name) for number, name in enumerate(names)]
    records = [replace(r, tokens=r.tokens and 900 + n) for n, r in enumerate(records)]
    texts = [make_chunk(r.source, "All prices are without tax.") for r in records[1:4]]
    return make_report(*records, chunks=tuple(texts))


def write_report(made: Report, folder: Path) -> Path:
    """The page of a report, in a file."""
    file = folder / "report.html"
    file.write_text(render_report(made), encoding="utf-8")
    return file
