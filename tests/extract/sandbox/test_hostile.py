"""Nothing that calls itself a PDF can hurt a run."""

from __future__ import annotations

import json
import sqlite3
import sys
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pytest

from ingest.extract.limits import MAX_HEADING_CHARS, MAX_LABEL_CHARS
from ingest.extract.metadata import MAX_ENTRY_CHARS as TITLE
from tests.conftest import DIMENSIONS, environment
from tests.emulator.emulator import run_emulator
from tests.hostile import Kind, generate, harm, sparse
from tests.hostile.watch import watch_children
from tests.processes import start

# For a document and a page. What can be read takes less than one; a busy machine has ten to a core.
SECONDS, PAGE_SECONDS = 12, 8
MEGABYTES = 2048  # the default
SMALL = 1 << 20  # bytes; the larger ones are for benchmarks/hostile.py
# Each takes all the time it is given; all are in the benchmark. A page that takes too long between
# good ones is also in tests/pipeline/reader/test_recovery.py.
LONG = {
    "bomb-content-of-bombs",
    "bomb-graphics-100mb",
    "bomb-operators-100mb",
    "bomb-paths-50mb",
    "bomb-twice-10gb",
    "content-marks-million",
    "content-string-10mb",
    "form-laughs-10-to-the-30",
    "form-laughs-10-to-the-9",
    "form-laughs-2-to-the-25",
    "form-laughs-between-good-pages",
    "form-two-in-turn",
    "image-inline-100000",
    "pages-100000-are-one-object",
    "place-100000-scattered",
    "text-2000-pages-of-1mb",
    "text-glyph-is-30000-letters",
    "text-one-page-20mb",
}
TINY = 1  # MB; of an interpreter's own, before the limit holds


@dataclass(frozen=True)
class Night:
    """One run over the hostile set."""

    kinds: dict[str, Kind]
    code: int
    said: list[dict[str, Any]]  # lines of JSON
    errors: str
    address_space: float  # MB, the most that any worker has had
    chunks: list[dict[str, Any]]

    @property
    def outcomes(self) -> dict[str, dict[str, Any]]:
        """Outcome of each kind of file."""
        return {
            line["source"].removesuffix(".pdf"): line
            for line in self.said
            if line["event"] == "source" and "//" not in line["source"]  # of the set itself
        }

    def text(self, name: str) -> str:
        """All that the index holds of one kind."""
        return "\n".join(c["content"] for c in self.chunks if c["source"] == f"{name}.pdf")


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """The command itself, run over the smaller ones of the set and over a few harmed samples."""
    place = tmp_path_factory.mktemp("hostile")
    docs = place / "docs"
    docs.mkdir()
    kinds = {}
    for kind in chain(generate(), harm(cuts=10, flips=24, files=1)):
        if len(kind.data) <= SMALL and kind.name not in LONG:
            assert kind.name not in kinds
            kinds[kind.name] = Kind(kind.name, b"", kind.says, kind.ends)
            (docs / f"{kind.name}.pdf").write_bytes(kind.data)
    sparse(docs / "sparse.pdf")
    with run_emulator(dimensions=DIMENSIONS) as azure:
        more = {
            "INGEST_INDEX": "index",
            "INGEST_DOCUMENT_SECONDS": str(SECONDS),
            "INGEST_PAGE_SECONDS": str(PAGE_SECONDS),
            "INGEST_DOCUMENT_MEGABYTES": str(MEGABYTES),
        }
        command = [sys.executable, "-P", "-m", "ingest", "run", "docs", "--json"]
        with (
            start(*command, cwd=place, env=environment() | azure.environment | more) as process,
            watch_children(process.pid) as peaks,
        ):
            code = process.wait()
    events = [json.loads(line) for line in process.stdout.text.splitlines()]
    errors = process.stderr.text
    db = sqlite3.connect(place / "index" / "index.db")
    db.row_factory = sqlite3.Row
    rows = db.execute("SELECT c.*, w.content FROM chunks c JOIN words w ON w.rowid = c.number")
    chunks = [dict(row) for row in rows]
    db.close()
    return Night(kinds, code, events, errors, peaks.address_space, chunks)


def test_the_run_ends_by_itself_and_says_so(night: Night) -> None:
    """A folder full of malice is an ordinary night: exit 3, a summary, no traceback."""
    assert (night.code, "Traceback" in night.errors) == (3, False), night.errors[-3000:]
    assert night.said[-1]["event"] == "summary"


def test_every_file_has_one_outcome_that_is_acceptable(night: Night) -> None:
    """I can name what became of each, and it is what should have become of it."""
    assert set(night.outcomes) == {*night.kinds, "sparse"}
    wrong = {
        name: (line["outcome"], line["code"], line["reason"])
        for name, line in night.outcomes.items()
        if name in night.kinds and line["code"] not in night.kinds[name].acceptable
    }
    assert not wrong
    assert len(night.kinds) >= 100


def test_what_can_be_read_is_read(night: Night) -> None:
    """A document with something wrong beside its text is found by its text."""
    wanted = {name: kind.says for name, kind in night.kinds.items() if kind.says}
    read = [name for name, says in wanted.items() if says in night.text(name)]
    assert len(wanted) >= 50
    assert len(read) >= 0.95 * len(wanted), set(wanted) - set(read)


def test_a_reason_is_one_line_that_fits_a_screen(night: Night) -> None:
    """What a hostile file says never reaches a terminal as it is."""
    for line in night.outcomes.values():
        if line["code"]:
            assert 0 < len(line["reason"]) <= 300
            assert line["reason"].isprintable()


def test_nothing_poisons_the_index(night: Night) -> None:
    """No zero, no half of a character and no endless title is in what a search returns."""
    assert night.chunks
    for chunk in night.chunks:
        for value in chunk.values():
            if isinstance(value, str):
                value.encode()
                assert "\0" not in value
        assert len(chunk["title"]) <= TITLE
        assert len(chunk["page_label"] or "") <= MAX_LABEL_CHARS
        headings = json.loads(chunk["headings"] or "[]")
        assert all(len(heading) <= MAX_HEADING_CHARS for heading in headings)


def test_four_gigabytes_of_nothing_are_too_large(night: Night) -> None:
    """A giant is passed over unread; the setting that allows it is named."""
    line = night.outcomes["sparse"]
    assert (line["outcome"], line["code"]) == ("skipped", "too-large")
    assert "INGEST_DOCUMENT_MEGABYTES" in line["reason"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits an address space")
def test_no_worker_takes_more_memory_than_it_may(night: Night) -> None:
    """The machine is never the victim."""
    assert 100 < night.address_space <= MEGABYTES + TINY
