"""Vectors of equal texts: no text is paid for twice, whatever file it is in."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.index.sqlite.index import SqliteIndex
from ingest.models import Chunk, PreparedDocument, Record, RunEvent, Source, Vectors
from ingest.pipeline.context import Run, Services
from ingest.pipeline.recent_vectors import RecentVectors
from ingest.pipeline.reuse import MAX_HELD_COPIES, Copies, Item, hold_copies, release_copies
from ingest.pipeline.root import ingest_root
from ingest.pipeline.run import run_on_roots
from ingest.pipeline.totals import RunTotals
from ingest.pipeline.transaction import Transaction
from ingest.pipeline.writes import EmbeddedBatch, NewChunk
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import parse_folder_roots
from tests.conftest import DIMENSIONS, MODEL, Bench, outcomes_by_source, results_by_source, vector
from tests.pdfs import prose, write


def move_root(folder: Path) -> Path:
    return folder.rename(folder.with_name("docs2"))


def rename(folder: Path) -> Path:
    (folder / "a.pdf").rename(folder / "b.pdf")
    return folder


def copy(folder: Path) -> Path:
    (folder / "x").mkdir()
    shutil.copy(folder / "a.pdf", folder / "x/copy.pdf")
    return folder


def exchange(folder: Path) -> Path:
    (folder / "a.pdf").rename(folder / "tmp")
    (folder / "other.pdf").rename(folder / "a.pdf")
    (folder / "tmp").rename(folder / "other.pdf")
    return folder


@pytest.mark.parametrize("change", [move_root, rename, copy, exchange])
def test_what_only_has_another_name_costs_nothing(
    bench: Bench, change: Callable[[Path], Path]
) -> None:
    """I tidy up my folders, and no text goes to the model again."""
    write(bench.folder / "a.pdf", prose("lathes", 20), prose("mills", 20))
    write(bench.folder / "other.pdf", prose("saws", 20))
    bench.run()
    before = {chunk.text: chunk.id for chunk in bench.index.chunks()}
    bench.embeds.texts.clear()

    bench.folder = change(bench.folder)
    done = results_by_source(bench.run())

    assert bench.embeds.texts == []
    assert sum(event.reused for event in done.values()) > 0
    assert sum(event.tokens for event in done.values()) == 0
    chunks = list(bench.index.chunks())
    assert {chunk.text for chunk in chunks} == before.keys()
    for id_, found in bench.index.vectors([chunk.id for chunk in chunks]).items():
        (text,) = [chunk.text for chunk in chunks if chunk.id == id_]
        np.testing.assert_array_almost_equal(found, vector(text))


def test_files_that_move_up_one_place_cost_only_the_new_one(bench: Bench) -> None:
    """Each month last month's report gets the next name, whose own text is gone by then."""
    files = [bench.folder / f"report-{n:02}.pdf" for n in range(13)]
    for n, path in enumerate(files[:12]):
        write(path, prose(f"month {n}", 4))
    bench.run()
    bench.embeds.texts.clear()
    for n in reversed(range(12)):
        files[n].rename(files[n + 1])
    write(files[0], prose("this month", 4), age=50)
    done = results_by_source(bench.run())
    assert sum(event.embedded for event in done.values()) == done[files[0].name].embedded > 0
    assert all("this month" in text for text in bench.embeds.texts)


def test_a_file_that_moves_to_a_later_root_costs_nothing(bench: Bench) -> None:
    """The first root loses it before the second one is read."""
    first, second = bench.folder / "1", bench.folder / "2"
    write(first / "a.pdf", prose("lathes", 20))
    write(first / "b.pdf", prose("mills", 20))
    write(second / "c.pdf", prose("saws", 20))
    roots = parse_folder_roots([str(first), str(second)])

    def run() -> list[RunEvent]:
        services = bench.services()
        found = list(run_on_roots(ingest_root, roots, services, Run("r"), RunTotals()))
        services.reader.threads.shutdown()
        services.embed_threads.shutdown()
        return found

    run()
    bench.embeds.texts.clear()
    (first / "a.pdf").rename(second / "d.pdf")
    assert outcomes_by_source(run()) == {
        "a.pdf": "removed",
        "b.pdf": "unchanged",
        "c.pdf": "unchanged",
        "d.pdf": "new",
    }
    assert bench.embeds.texts == []


def test_two_versions_of_one_handbook_cost_one_and_what_differs(bench: Bench) -> None:
    """In the same run or the next one, side by side or in place of each other."""
    pages = [prose(f"chapter {n}", 12) for n in range(5)]
    write(bench.folder / "v1.pdf", *pages)
    write(bench.folder / "v2.pdf", *pages, prose("an appendix", 6))
    both = results_by_source(bench.run())
    assert len(bench.embeds.texts) == len(set(bench.embeds.texts))
    assert 0 < sum(event.reused for event in both.values()) >= both["v1.pdf"].chunks - 2

    bench.embeds.texts.clear()
    write(bench.folder / "v3.pdf", *pages, prose("another appendix", 6))
    third = results_by_source(bench.run())["v3.pdf"]
    assert 0 < third.embedded == len(bench.embeds.texts) < 6
    assert third.reused == third.chunks - third.embedded


def test_an_index_without_text_hashes_is_used_and_gets_them(bench: Bench) -> None:
    """An earlier version left them out: what it wrote is embedded again once at most."""
    write(bench.folder / "a.pdf", prose("lathes", 20))
    bench.run()
    assert isinstance(bench.index, SqliteIndex)
    bench.index.db.execute("DROP TABLE texts")
    bench.recipe = replace(bench.recipe, schema=99)  # a new version reads everything again
    bench.embeds.texts.clear()
    bench.run()
    rename(bench.folder)
    bench.run()
    assert bench.embeds.texts == []


class Asked(SqliteIndex):
    """An index that remembers which texts it was asked for."""

    asked: list[str]

    def ids_by_text(self, hashes: Collection[str]) -> dict[str, str]:
        self.asked += hashes
        return super().ids_by_text(hashes)


def test_a_first_run_looks_up_only_what_it_embedded_and_dropped(bench: Bench) -> None:
    """A new index has nothing to find; a copy of a text of long ago is looked up all the same."""
    write(bench.folder / "a.pdf", prose("lathes", 4))
    write(bench.folder / "b.pdf", prose("mills", 20), prose("saws", 20))
    index = Asked(bench.folder.parent / "asked", MODEL, DIMENSIONS, create=True)
    index.asked = []
    used = replace(bench.services(index), recent_vectors=RecentVectors(DIMENSIONS * 4))
    (root,) = parse_folder_roots([str(bench.folder)])
    done = results_by_source(list(ingest_root(root, used, Run("first"))))
    assert index.asked == []
    shutil.copy(bench.folder / "a.pdf", bench.folder / "c.pdf")
    again = results_by_source(list(ingest_root(root, used, Run("first"))))
    used.reader.threads.shutdown()
    used.embed_threads.shutdown()
    assert done["a.pdf"].embedded == again["c.pdf"].reused == len(index.asked) > 0
    index.close()


def test_a_damaged_vector_is_not_handed_on(bench: Bench) -> None:
    """What cannot be found by its meaning is embedded again, not copied."""
    write(bench.folder / "a.pdf", prose("lathes", 20))
    bench.run()
    zeros = np.zeros(DIMENSIONS, "<f4").tobytes()
    assert isinstance(bench.index, SqliteIndex)
    bench.index.db.execute("UPDATE vectors SET embedding = ?", (zeros,))
    bench.embeds.texts.clear()
    copy(bench.folder)
    done = results_by_source(bench.run())["x/copy.pdf"]
    assert done.embedded == len(bench.embeds.texts) == done.chunks


def test_texts_are_told_apart_by_the_model(bench: Bench) -> None:
    """The vector of another model is of no use, even if it has as many dimensions."""
    write(bench.folder / "a.pdf", prose("lathes", 20))
    bench.run()
    bench.embeds.texts.clear()
    bench.recipe = replace(bench.recipe, model="another")
    copy(bench.folder)
    assert results_by_source(bench.run())["x/copy.pdf"].chunks == len(set(bench.embeds.texts)) > 0


def piece(text: str, number: int) -> NewChunk:
    chunk = Chunk(str(number), text, 1, 0, 0, len(text), 1, 1, (), ())
    source = Source("r", f"{number}.pdf", "", 1, "")
    document = PreparedDocument("f", 1, 0, "", (chunk,))
    made = Transaction(source, "", Record(*source.key), document, frozenset())
    return NewChunk(made, chunk, hash_of(text))


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def embed_pairs(items: Iterable[Item], sent: list[str]) -> Iterator[EmbeddedBatch]:
    """A model that takes two texts at a time, and refuses those with a question mark."""
    rest = iter(items)
    while some := list(itertools.islice(rest, 2)):
        yield from (item for item in some if isinstance(item, EmbeddedBatch))
        firsts = [item for item in some if isinstance(item, NewChunk)]
        texts = [item.chunk.text for item in firsts]
        sent += texts
        yield EmbeddedBatch(firsts, ["odd" if "?" in text else vector(text) for text in texts])


def services(remembered: int) -> Services:
    """Services of the two stages: the model's dimensions, and a cache of some vectors."""
    recent = RecentVectors(remembered * DIMENSIONS * 4)
    embedder = SimpleNamespace(dimensions=DIMENSIONS)
    return cast("Services", SimpleNamespace(recent_vectors=recent, embedder=embedder))


@given(st.lists(st.sampled_from(["a", "b", "c", "d?", "e"])), st.integers(1, 5))
def test_each_chunk_gets_the_vector_of_its_text_once(texts: list[str], remembered: int) -> None:
    """However often a text comes, and however few vectors are kept: none is lost or mixed up."""
    used, copies = services(remembered), Copies()
    sent: list[str] = []
    pieces = [piece(text, number) for number, text in enumerate(texts)]
    firsts = hold_copies(pieces, used, copies, Cancellation())
    results: dict[str, Vectors | str] = {}

    for batch in release_copies(embed_pairs(firsts, sent), used, copies):
        assert isinstance(batch, EmbeddedBatch)
        for one, result in zip(batch.chunks, batch.results, strict=True):
            assert one.chunk.id not in results
            results[one.chunk.id] = result

    assert len(results) == len(texts)
    for number, text in enumerate(texts):
        expected = "odd" if "?" in text else vector(text)
        np.testing.assert_array_equal(results[str(number)], expected)
    assert (copies.held, copies.count) == ({}, 0)
    embedded = [text for text in sent if "?" not in text]
    if remembered >= len({*texts}):
        assert len(embedded) == len(set(embedded))
    recent = used.recent_vectors
    for known in map(hash_of, embedded):  # and so found in the index, if it comes again
        assert recent.get(known) is not None or recent.may_have_dropped(known)
    assert not recent.may_have_dropped(hash_of("never seen"))


def test_copies_do_not_pile_up() -> None:
    """Thousands of copies are not held in memory while the first one is embedded."""
    taken = 0

    def copies() -> Iterator[NewChunk]:
        nonlocal taken
        for taken in range(1, MAX_HELD_COPIES + 100):
            yield piece("the same", taken)

    used, waiting = services(9), Copies()
    held = hold_copies(copies(), used, waiting, Cancellation())
    first = next(held)
    assert isinstance(first, NewChunk)
    assert not any(isinstance(next(held), NewChunk) for _ in range(3))
    assert taken == 1 + MAX_HELD_COPIES + 1

    freed = list(release_copies([EmbeddedBatch([first], [vector("the same")])], used, waiting))
    batches = [item for item in (*freed, *held) if isinstance(item, EmbeddedBatch)]
    assert sum(len(batch.chunks) for batch in batches) == MAX_HELD_COPIES + 99
