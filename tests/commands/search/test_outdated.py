"""Hits in files that could not be read since they changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from ingest.cli.search import format_hit, hit_json
from ingest.commands.search.search import mark_outdated
from ingest.models import Hit, Record
from ingest.pipeline.diff import INTERRUPTED_REASON
from tests.pipeline.worlds import ANOTHER_MACHINE, Process, World

FIELDS = {"page_label": "", "page_start": 1, "page_end": 1, "content": "x"}


def make_hit(source: str) -> Hit:
    return Hit(1.0, FIELDS | {"root": "/docs", "source": source}, page=1, excerpt="x")


@pytest.mark.parametrize("kind", ["local", "service"])
def test_a_hit_says_that_its_file_broke_since(kind: str, tmp_path: Path) -> None:
    """The old text is found, and says so; so does that of a PDF inside a broken one."""
    world = World(tmp_path if kind == "local" else None)
    with closing(world.open(Process(), ANOTHER_MACHINE)) as index:
        for record in (
            Record("/docs", "fine.pdf", outcome="new"),
            Record("/docs", "it's broken.pdf", outcome="failed", error="damaged"),
            Record("/docs", "it's broken.pdf//inner.pdf", outcome="new"),
            Record("/docs", "read now.pdf", outcome="failed", error=INTERRUPTED_REASON),
            Record("/else", "fine.pdf", outcome="failed", error="of another root"),
        ):
            index.save(record).result()
        names = ["fine.pdf", "it's broken.pdf", "it's broken.pdf//inner.pdf", "read now.pdf"]
        marked = mark_outdated(list(map(make_hit, [*names, "unknown.pdf"])), index)
        assert [each.outdated for each in marked] == ["", "damaged", "damaged", "", ""]
        assert mark_outdated([], index) == []

    lines = list(format_hit(marked[1], [], with_root=False, whole=False))
    assert lines[-1] == "    text of an earlier version: damaged"
    assert hit_json(marked[1])["outdated"] == "damaged"
