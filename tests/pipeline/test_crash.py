"""Dying anywhere. The crash points are not listed: the test finds them.

Invariants 1 and 2: whatever a run was doing when it died, the next one ends with the index of a run
that was never disturbed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from ingest.index.sqlite.index import SqliteIndex
from ingest.models import IndexEntry, Recipe, Record, Refusal, Vectors
from tests.conftest import DIMENSIONS, MODEL, Bench, Embeds, dump
from tests.pdfs import prose, set_age, write


class Crash(BaseException):
    """The process dies here. Not an Exception, so that no handler can swallow it."""


class Mortal(SqliteIndex):
    """An index whose process dies at the nth write: before it, after it, or in the middle."""

    left = 10**9
    when = ""

    def _write(self, whole: Callable[[], Any], half: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left:
            return whole()
        if self.when == "after":
            whole()
        elif self.when == "amid":
            half()
        raise Crash

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        up = super().upload
        result: list[Refusal] = self._write(
            lambda: up(entries), lambda: up(entries[: len(entries) // 2])
        )
        return result

    def delete(self, ids: Collection[str]) -> list[Refusal]:
        down, some = super().delete, list(ids)
        result: list[Refusal] = self._write(
            lambda: down(some), lambda: down(some[: len(some) // 2])
        )
        return result

    def save(self, record: Record) -> Future[None]:
        put = super().save
        result: Future[None] = self._write(lambda: put(record), lambda: None)
        return result

    def forget(self, record: Record, *, keeps_pages: bool = False) -> None:
        drop = super().forget
        self._write(lambda: drop(record, keeps_pages=keeps_pages), lambda: None)


def first_documents(folder: Path) -> None:
    """Documents of the first, undisturbed run."""
    write(folder / "changed.pdf", *(prose(topic, 12) for topic in ("lathes", "mills")))
    write(folder / "gone.pdf", prose("cranes", 12))
    write(folder / "same.pdf", prose("files", 3))
    write(folder / "turns empty.pdf", prose("vices", 6))


def second_documents(folder: Path) -> None:
    """Documents of the run that dies."""
    pages = [prose(topic, 12) for topic in ("saws", "lathes", "drills")]
    write(folder / "changed.pdf", *pages, age=50)
    write(folder / "new.pdf", *["The same words on every page, again and again."] * 20)
    write(folder / "turns empty.pdf", "", age=50)
    (folder / "broken.pdf").write_bytes(b"%PDF-broken")
    set_age(folder / "broken.pdf")
    (folder / "gone.pdf").unlink(missing_ok=True)


class World:
    """A folder and an index in the state between the two."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.index = Mortal(path, MODEL, DIMENSIONS, create=True)
        self.bench = Bench(
            folder, self.index, Embeds(), Recipe("pypdf", 32, 0.12, MODEL, DIMENSIONS), inputs=3
        )

    def dies(self) -> bool:
        """One run; whether it died."""
        try:
            self.bench.run()
        except Crash:
            return True
        return False


@pytest.mark.parametrize("when", ["before", "amid", "after"])
def test_a_run_that_dies_at_any_write_is_made_good_by_the_next(tmp_path: Path, when: str) -> None:
    """Kill it wherever you like; run it again; nothing is lost, doubled, or left over."""
    folder = tmp_path / "docs"
    folder.mkdir()
    calm = World(tmp_path / "calm", folder)
    first_documents(folder)
    calm.bench.run()
    snapshot = tmp_path / "calm" / "index.db"
    calm.index.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    start = snapshot.read_bytes()
    second_documents(folder)
    calm.bench.embeds.texts.clear()
    calm.bench.run()
    wanted, texts = dump(calm.index), sorted(calm.bench.embeds.texts)

    for crash in itertools.count(1):
        path = tmp_path / f"{when}{crash}"
        path.mkdir()
        (path / "index.db").write_bytes(start)
        world = World(path, folder)
        world.index.left, world.index.when = crash, when
        died = world.dies()
        world.index.left = 10**9
        world.bench.run()

        assert dump(world.index) == wanted, f"died at write {crash}"
        # Only the batches in flight when it died may be paid for twice. A text that is still in the
        # index when it is looked up costs nothing, and what is there by then differs.
        assert set(world.bench.embeds.texts) <= set(texts)
        assert len(world.bench.embeds.texts) <= len(texts) + 3 * 3
        world.index.close()
        if not died:
            break
    assert crash > 20
    calm.index.close()


def test_dying_again_over_an_edited_document_leaves_nothing_over(tmp_path: Path) -> None:
    """The document is edited between two runs that both die: no chunk of the first is forgotten."""
    for first in (3, 4, 5):  # after the attempt and the intent
        for second in itertools.count(1):
            folder = tmp_path / f"docs {first} {second}"
            write(folder / "a.pdf", *(prose(topic, 12) for topic in ("lathes", "mills", "cranes")))
            world = World(tmp_path / f"{first} {second}", folder)
            world.index.left, world.index.when = first, "after"
            with pytest.raises(Crash):
                world.bench.run()
            assert world.index.totals().chunks == 3 * (first - 2)

            write(folder / "a.pdf", prose("saws", 12), prose("lathes", 3), age=50)
            world.index.left = second
            died = world.dies()
            world.index.left = 10**9
            world.bench.run()

            (record,) = world.index.records()
            whole = world.index.record(record.root, record.source)
            assert whole is not None
            assert world.index.totals().chunks == len(whole.committed)
            assert world.index.existing_ids(whole.committed) == set(whole.committed)
            world.index.close()
            if not died:
                break
        assert second > 4


def test_a_model_that_fails_at_any_call_costs_only_that_call(tmp_path: Path) -> None:
    """A service that goes away midway leaves what was done done."""
    folder = tmp_path / "docs"
    folder.mkdir()
    first_documents(folder)
    calm = World(tmp_path / "calm", folder)
    calm.bench.run()
    wanted = dump(calm.index)

    for crash in itertools.count(1):
        world = World(tmp_path / f"{crash}", folder)
        right = world.bench.embeds
        calls = itertools.count(1)

        def failing(
            texts: Sequence[str], right: Embeds = right, calls: Any = calls, crash: int = crash
        ) -> Vectors:
            if next(calls) == crash:
                raise Crash
            return right(texts)

        world.bench.embeds = failing  # type: ignore[assignment]
        died = world.dies()
        world.bench.embeds = right
        world.bench.run()

        assert dump(world.index) == wanted, f"died at call {crash}"
        world.index.close()
        if not died:
            break
    assert crash > 5
    calm.index.close()
