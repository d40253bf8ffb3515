"""`ingest report` for 10,000 sources and 60,000 chunks: written, and opened in a browser.

The index is made by its own writing methods, with made-up documents: one in a hundred is damaged,
one in fifty a scan, one in twenty a copy of another, and half of them share a page of boilerplate.
Then the real command is measured as a user starts it, and its page in headless Chromium, where
there is one: from asking for the file to the first answer of the filter, to a filter typed then,
and to a sort.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from measure import INGEST, spent, tell, typical, words

from ingest.config.connections import create_connections
from ingest.config.embedding import create_embedder
from ingest.config.settings import Settings
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    Chunk,
    Code,
    IndexEntry,
    Outcome,
    Record,
    Source,
    Summary,
    Timeline,
    Vectors,
)

if TYPE_CHECKING:
    from playwright.sync_api import Browser


SOURCES = 10_000
CHUNKS = 6  # of each
REPETITIONS = 5
BOILERPLATE = "All rates are given without the tax that is due in the place of delivery. " * 8
WORDS = list(islice(words(), 3000))
CHROMIUM = shutil.which("chromium")
QUIETLY = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        workplace = Path(folder)
        fill(workplace / ".ingest")

        runs = [spent([INGEST, "report"], workplace) for _ in range(REPETITIONS)]
        page = workplace / "report.html"
        tell(
            "report written, wall", f"{typical([run.wall for run in runs]):.2f} s", "target <= 5 s"
        )
        tell("report written, CPU", f"{typical([run.cpu for run in runs]):.2f} s")
        tell("report written, peak", f"{max(run.peak for run in runs):.0f} MB")
        tell("its page", f"{page.stat().st_size / 1e6:.2f} MB", "target <= 15 MB")
        if CHROMIUM:
            opened(page)
        else:
            print("There is no chromium here to open it in.")


def fill(folder: Path) -> None:
    """Make the index."""
    settings = Settings()
    model = create_embedder(settings, create_connections(settings))
    index = SqliteIndex(folder, model.model, model.dimensions, create=True)
    vector = np.ones(model.dimensions, np.float32)
    for number in range(SOURCES):
        record, texts = document(number)
        index.save(record)
        index.upload([entry(record, place, text, vector) for place, text in enumerate(texts)])
    for day in range(1, 29):
        index.save_run(run(day))
    index.close()


def document(number: int) -> tuple[Record, list[str]]:
    """A record, and the texts of its chunks."""
    chance = Random(number)
    outcome, code, error = Outcome.NEW, "", ""
    if number % 100 == 0:
        outcome, code, error = (
            Outcome.FAILED,
            Code.DAMAGED,
            "damaged; get a new copy from its origin",
        )
    elif number % 50 == 1:
        outcome, code, error = Outcome.EMPTY, Code.NO_TEXT, "its pages are scans without text"
    content = number - 1 if number % 20 == 3 else number
    chosen = Random(content)
    texts = [" ".join(chosen.choices(WORDS, k=250)) for _ in range(CHUNKS - 1)]
    texts += [BOILERPLATE if content % 2 else f"{content} {BOILERPLATE}"]
    texts = [] if error else texts
    year, word = 2014 + number % 11, WORDS[number % len(WORDS)]
    record = Record(
        root="/srv/documents",
        source=f"department-{number % 37:02}/{year}/{number:06} {word}.pdf",
        fingerprint=f"0123456789ab{content:052x}",
        size=chance.randrange(20_000, 5_000_000),
        pages=0 if code == Code.DAMAGED else chance.randrange(1, 60),
        empty_pages=chance.randrange(1),
        tokens=350 * len(texts),
        outcome=outcome,
        error=error,
        code=code,
        chunks=len(texts),
        settled="2026-11-24T03:00:00+00:00",
        run="20261124T020000Z-000000",
    )
    return record, texts


def entry(record: Record, place: int, text: str, vector: Vectors) -> IndexEntry:
    """A chunk of a document as it is written."""
    source = Source(record.root, record.source, "", record.size, "")
    id_ = hashlib.sha256(f"{record.source}{place}".encode()).hexdigest()
    chunk = Chunk(id_, text, 350, place, 0, len(text), place + 1, place + 1, (), ())
    return IndexEntry(source, record.source, record.fingerprint, "", chunk, vector)


def run(day: int) -> Summary:
    """A run of an hour at a quota, with as long a timeline as there can be."""
    stretches = range(120)
    return Summary(
        run=f"202611{day:02}T020000Z-000000",
        ended=f"2026-11-{day:02}T03:00:00+00:00",
        seconds=3600.0,
        exit=3,
        outcomes={"new": 350, "unchanged": 9_500},
        pages=10_000,
        chunks_embedded=2_000,
        chunks_deleted=0,
        tokens_embedded=700_000,
        stages={name: {"wall": 600.0, "threads": 900.0} for name in ("reading", "embedding")},
        bottleneck="",
        timeline=Timeline(
            every=30.0,
            pages=tuple(Random(day).randrange(100) for _ in stretches),
            tokens=tuple(150_000 for _ in stretches),
            charged=tuple(Random(n).randrange(150_000, 175_000) for n in stretches),
            waited=tuple(10.0 for _ in stretches),
            refused=tuple(int(n % 40 == 0) for n in stretches),
            quota=350_000,
        ),
        index={"sources": 350 * day, "chunks": 2_000 * day, "size": 4_000_000 * day},
    )


def opened(page: Path) -> None:
    """Measure the page in the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIETLY)
        browser.new_page().goto("about:blank")  # what a browser does once is not the page's
        first, filters, sorts = zip(
            *[interactive(browser, page) for _ in range(REPETITIONS)], strict=True
        )
        browser.close()
    tell("opened, until the filter has answered", f"{typical(first):.2f} s", "target <= 2 s")
    tell("a filter typed then", f"{1e3 * typical(filters):.0f} ms")
    tell("a sort by name", f"{1e3 * typical(sorts):.0f} ms")


def interactive(browser: Browser, file: Path) -> tuple[float, float, float]:
    """Seconds until the first filter is answered, and for a second one and a sort."""
    page = browser.new_page()
    found = page.locator("#found")
    try:
        before = time.perf_counter()
        page.goto(file.as_uri(), wait_until="commit")
        page.fill("#words", "department-07")
        found.filter(has_text=f" of {SOURCES:,} sources").wait_for()
        first = time.perf_counter()
        page.fill("#words", "damaged")
        found.filter(has_text="100 of").wait_for()
        second = time.perf_counter()
        page.get_by_role("button", name="Source", exact=True).click()
        page.locator("th[aria-sort=ascending]").wait_for()
        return first - before, second - first, time.perf_counter() - second
    finally:
        page.close()


if __name__ == "__main__":
    main()
