"""The file of the last version, read by this one.

tests/index/fixtures/format2 was made by the code before the index was split into ports: a run over
its documents with 64 tokens in a chunk and the embedder below, and the hits of some questions.
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import numpy as np
import pytest

from ingest import Embedder, Settings, Source, ingest, search
from ingest.index.manifest import create_manifest
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import CachedPage, Mode, OcrResult, Recipe, Vectors

FIXTURE = Path(__file__).parent.parent / "fixtures" / "format2"
FORMAT, MODEL, DIMENSIONS = 2, "words-32", 32


class Documents:
    """The fixture's documents, by the name that the index has for their root."""

    name = "fixture"

    def covers(self, _: str) -> bool:
        return True

    def list(self) -> Iterator[Source]:
        names = sorted(p.relative_to(FIXTURE / "docs").as_posix() for p in FIXTURE.rglob("*.pdf"))
        return map(self.find, names)

    def find(self, name: str) -> Source:
        size = (FIXTURE / "docs" / name).stat().st_size
        return Source(self.name, name, f"fixture:{name}", size, "1")

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        yield io.BytesIO((FIXTURE / "docs" / source.name).read_bytes())


def embed(texts: Sequence[str]) -> Vectors:
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in re.findall(r"\w+", text.lower()):
            row[crc32(word.encode()) % DIMENSIONS] += 1
    return vectors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the index."""
    shutil.copy(FIXTURE / "index.db", tmp_path)
    return tmp_path


def test_nothing_is_embedded_again(folder: Path) -> None:
    """A new version reads all documents once, and equal texts keep their vectors."""

    def fail(texts: Sequence[str]) -> Vectors:
        raise AssertionError(texts)

    model = Embedder(fail, MODEL, DIMENSIONS)

    def run() -> dict[str, str]:
        done = ingest(Documents(), index=folder, embed=model, settings=Settings(chunk_tokens=64))
        return {outcome.source: outcome.outcome.value for outcome in done}

    names = ("broken.pdf", "empty.pdf", "mills.pdf", "tools/lathes.pdf")
    first = ("failed", "empty", "changed", "changed")
    assert run() == dict(zip(names, first, strict=True))
    assert run() == dict(zip(names, ("failed", *3 * ["unchanged"]), strict=True))


def test_a_search_gives_the_hits_of_the_last_version(folder: Path) -> None:
    """After an update I find what I found before, in the order in which it came."""
    model = Embedder(embed, MODEL, DIMENSIONS)
    for asked in json.loads((FIXTURE / "hits.json").read_text(encoding="utf-8")):
        hits = search(asked["question"], mode=asked["mode"], index=folder, embed=model, top=10)
        assert [hit.fields["id"] for hit in hits] == [id_ for id_, _ in asked["hits"]]


def test_names_are_found_after_the_first_write(folder: Path) -> None:
    """An index of the last version answers by names too, once a run has written to it."""
    old = SqliteIndex(folder, MODEL, DIMENSIONS, create=False)
    assert old.search("tools", None, Mode.TEXT, 1) == []
    old.close()

    index = SqliteIndex(folder, MODEL, DIMENSIONS, create=True)
    index.upload([])

    (hit,) = index.search("tools", None, Mode.TEXT, 1)
    assert hit.fields["source"] == "tools/lathes.pdf"
    assert list(index.flaws(DIMENSIONS, thorough=True)) == []
    index.close()


def test_the_rest_of_the_index_is_there(folder: Path) -> None:
    """After an update, runs and cached pages are still there."""
    index = SqliteIndex(folder, MODEL, DIMENSIONS, create=False)
    assert index.vector_space() == (MODEL, DIMENSIONS)
    assert len(index.runs(9)) == 2
    page = CachedPage("a" * 40, "fixture", "empty.pdf", "operation-1", OcrResult("Spindle", 0.5))
    assert index.cached_page(page.key) == page
    assert (index.totals().sources, index.totals().chunks) == (4, 10)
    assert list(index.flaws(DIMENSIONS, thorough=True)) == []
    index.close()


def test_the_version_before_refuses_what_this_one_has_written(folder: Path) -> None:
    """It would read everything again in its own way: it asks to be upgraded instead."""
    index = SqliteIndex(folder, MODEL, DIMENSIONS, create=True)
    before = index.database.pragma("user_version")
    recipe = Recipe("auto", 64, 0.12, MODEL, DIMENSIONS)
    assert index.manifest() is None
    index.save_manifest(create_manifest(recipe, recipe))
    assert index.manifest() == create_manifest(recipe, recipe)
    assert index.database.pragma("user_version") > before == FORMAT
    index.close()
