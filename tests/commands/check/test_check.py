"""Checks find each kind of damage to an index, and a repair embeds only what is missing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ingest.commands.check.check import check_index
from ingest.commands.check.finding import CheckFinding, FindingKind
from ingest.commands.check.repair import repair_index
from ingest.errors import ConfigError
from ingest.index import Index
from ingest.index.azure.index import AzureIndex
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    CachedPage,
    Chunk,
    DeletionsWithheld,
    IndexEntry,
    OcrResult,
    Recipe,
    Record,
    Source,
    SourceResult,
    StoredChunk,
)
from ingest.pipeline.context import Run
from tests.commands.check.conftest import Shelf, Time, fill_shelf, sorted_kinds
from tests.conftest import DIMENSIONS, MODEL, Bench, Embeds, dump, vector
from tests.emulator.emulator import Azure
from tests.pdfs import pdf, prose, set_age, write
from tests.pipeline.reader.test_attachments import portfolio
from tests.pipeline.test_crash import Crash, Mortal
from tests.sources.shelves import Emulated, storage


def build_entry(chunk: StoredChunk, *, embedded: bool = True, **changes: Any) -> IndexEntry:
    """A chunk as something else might have written it."""
    chunk = replace(chunk, **changes)
    made = Chunk(
        chunk.id, chunk.text, 5, chunk.ordinal, 0, 9, chunk.page_start, chunk.page_end, (), ()
    )
    source = Source(chunk.root, chunk.source, f"{chunk.root}/{chunk.source}", 1, "1")
    vector_ = vector(chunk.text) if embedded else None
    return IndexEntry(source, "file:///x", chunk.fingerprint, "", made, vector_)


def lose_chunks(shelf: Shelf) -> None:
    shelf.index.delete([chunk.id for chunk in shelf.chunks("a.pdf")[:2]])


def add_chunks(shelf: Shelf) -> None:
    stranger = shelf.chunks("a.pdf")[0]
    shelf.index.upload(
        [build_entry(stranger, id="f" * 40), build_entry(stranger, id="e" * 40, ordinal=99)]
    )


def swap_chunk(shelf: Shelf) -> None:
    """As many as there should be, where they should be, and yet not the same ones."""
    lost = shelf.chunks("a.pdf")[1]
    shelf.index.delete([lost.id])
    shelf.index.upload([build_entry(lost, id="f" * 40, ordinal=99)])


def leave_intent(shelf: Shelf) -> None:
    record = shelf.record("a.pdf")
    shelf.index.save(replace(record, pending=("f" * 40,), fingerprint="", modified="")).result()
    shelf.index.upload([build_entry(shelf.chunks("a.pdf")[0], id="f" * 40)])


def refuse_chunk(shelf: Shelf) -> None:
    """Leave a record as a run whose chunk was refused does: failed, with ids that may exist."""
    record = shelf.record("a.pdf")
    refused: dict[str, Any] = {"outcome": "failed", "code": "refused", "pending": ("f" * 40,)}
    shelf.index.save(replace(record, **refused)).result()


def restamp_chunk(shelf: Shelf, name: str = "a.pdf") -> None:
    shelf.index.upload([build_entry(shelf.chunks(name)[1], embedded=False, fingerprint="other")])


def shuffle_chunks(shelf: Shelf) -> None:
    one, two, *_ = shelf.chunks("a.pdf")
    swapped = [
        build_entry(one, embedded=False, ordinal=1),
        build_entry(two, embedded=False, ordinal=0),
    ]
    shelf.index.upload([*swapped, build_entry(shelf.chunks("a.pdf")[2], embedded=False, ordinal=1)])


def forget_records(shelf: Shelf) -> None:
    """The records were lost, the chunks were not."""
    for name in ("a.pdf", "b.pdf"):
        shelf.index.forget(shelf.record(name))


@dataclass(frozen=True)
class Break:
    """Damage to an index, the expected finding, and the chunks that repairing it costs."""

    do: Callable[[Shelf], None]
    found: list[str]
    embedded: int


BREAKS = [
    Break(lose_chunks, ["missing"], 2),
    Break(add_chunks, ["extra"], 0),
    Break(swap_chunk, ["extra", "missing"], 1),
    Break(leave_intent, ["torn"], 0),
    Break(refuse_chunk, ["torn"], 0),
    Break(restamp_chunk, ["stale"], 0),
    Break(shuffle_chunks, ["order"], 0),
    Break(forget_records, ["extra", "extra"], 0),
]


@pytest.mark.parametrize("how", BREAKS, ids=lambda how: how.do.__name__)
def test_what_is_broken_is_found_and_mended(shelf: Shelf, how: Break) -> None:
    """Each kind of damage is found and repaired, without paying again, counting deletions."""
    assert shelf.check() == []
    texts = {c.id: c.text for name in "abc" for c in shelf.chunks(f"{name}.pdf")}
    how.do(shelf)

    assert sorted_kinds(shelf.check()) == how.found
    assert shelf.bench.read == []  # so far nothing was read but the index
    before = {chunk.id for chunk in shelf.index.chunks()}
    events = shelf.repair()
    gone = before - {chunk.id for chunk in shelf.index.chunks()}
    assert sum(e.deleted for e in events if isinstance(e, SourceResult)) == len(gone)

    assert len(shelf.bench.embeds.texts) == how.embedded
    assert {"c.pdf"}.isdisjoint(shelf.bench.read)
    assert shelf.check(thorough=True) == []
    assert {c.id: c.text for name in "abc" for c in shelf.chunks(f"{name}.pdf")} == texts
    assert shelf.index.totals().chunks == len(texts)


def store_vector(shelf: Shelf, id_: str, vector: bytes) -> None:
    assert isinstance(shelf.index, SqliteIndex)
    number = "(SELECT number FROM chunks WHERE id = ?)"
    shelf.index.db.execute(
        f"UPDATE vectors SET embedding = ? WHERE number = {number}", (vector, id_)
    )


@pytest.mark.parametrize(
    ("bytes_", "reason"),
    [
        (vector("x").tobytes()[:-4], "28 bytes instead of 32"),
        (vector("x").tobytes()[:-3], "29 bytes instead of 32"),
        ((vector("x") * float("nan")).tobytes(), "values that are not finite"),
        ((vector("x") * 3).tobytes(), "length 3 instead of 1"),
        (bytes(4 * DIMENSIONS), "length 0 instead of 1"),
    ],
    ids=["short", "torn", "nan", "long", "zero"],
)
def test_a_vector_that_cannot_be_compared_is_embedded_again(
    local: Shelf, bytes_: bytes, reason: str
) -> None:
    """A flipped bit on my disk costs one embedding, and no search misses the chunk meanwhile."""
    before = dump_chunks(local.index)
    broken = local.chunks("a.pdf")[1]
    store_vector(local, broken.id, bytes_)

    (found,) = local.check()
    assert (found.kind, found.ids) == (FindingKind.VECTOR, (broken.id,))
    assert reason in found.text
    local.repair()

    assert local.bench.embeds.texts == [broken.text]
    assert local.check() == []
    assert dump_chunks(local.index) == before


def test_a_chunk_without_its_vector_or_text_is_found_on_a_service(
    remote: Shelf, azure: Azure
) -> None:
    """A thorough check finds chunks that were cleared; a repair embeds only the lost vector."""
    assert isinstance(remote.index, AzureIndex)
    before = remote.chunks("a.pdf")
    mute, broken, *_ = before
    cleared = [{"id": mute.id, "content": None}, {"id": broken.id, "embedding": None}]
    remote.index.documents.send_batch("merge", cleared)
    assert remote.check() == []

    found = remote.check(thorough=True)
    assert {(each.kind, each.ids, each.source) for each in found} == {
        (FindingKind.STALE, (mute.id,), "a.pdf"),
        (FindingKind.VECTOR, (broken.id,), "a.pdf"),
    }
    azure.search.delays.search = 8.0
    remote.repair(thorough=True)

    assert remote.bench.embeds.texts == [broken.text]
    assert remote.check(thorough=True, has_written=True) == []
    assert remote.chunks("a.pdf") == before


def test_words_that_are_lost_are_put_back_without_a_model(local: Shelf) -> None:
    """A damaged full-text index is rebuilt without embedding anything."""
    assert isinstance(local.index, SqliteIndex)
    before, db = dump(local.index), local.index.db
    numbers = [row[0] for row in db.execute("SELECT number FROM chunks ORDER BY number LIMIT 3")]

    db.execute("DELETE FROM words WHERE rowid = ?", (numbers[0],))
    db.execute("INSERT INTO words (rowid, content) VALUES (9999, 'nobody')")
    db.execute("INSERT INTO vectors VALUES (9998, ?)", (vector("x").tobytes(),))
    assert sorted_kinds(local.check()) == ["extra", "extra", "words"]
    local.repair()
    assert local.check() == []
    assert dump(local.index) == before

    db.execute("UPDATE words_content SET c0 = 'other words' WHERE id = ?", (numbers[1],))
    assert sorted_kinds(local.check()) == ["words"]
    local.repair()
    assert local.check() == []
    assert local.bench.embeds.texts == []
    assert local.bench.read == []


def test_a_damaged_file_is_an_error_that_says_so(local: Shelf, tmp_path: Path) -> None:
    """A check reports a database file with overwritten bytes."""
    assert isinstance(local.index, SqliteIndex)
    local.index.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    local.index.close()
    path = tmp_path / "index" / "index.db"
    data = bytearray(path.read_bytes())
    for page in range(4096, len(data), 4096):
        data[page : page + 64] = b"\xff" * 64
    path.write_bytes(data)

    with pytest.raises(ConfigError, match="is damaged"):
        Shelf(
            replace(local.bench, index=SqliteIndex(path.parent, MODEL, DIMENSIONS, create=False)),
            local.time,
        ).check()


def test_sources_are_held_against_their_records(shelf: Shelf) -> None:
    """Edited, deleted and new files are listed, and a repair brings the index in step."""
    folder = shelf.bench.folder
    write(folder / "a.pdf", prose("a", 12), prose("more", 12), age=50)
    (folder / "b.pdf").unlink()
    write(folder / "d.pdf", prose("d", 12))

    assert sorted_kinds(shelf.check()) == [
        "changed",
        "vanished",
    ]  # nobody said that d should be in it
    assert sorted_kinds(shelf.check(folder)) == ["changed", "new", "vanished"]
    assert sorted_kinds(shelf.check(folder / "a.pdf", alone=True)) == ["changed"]
    assert shelf.bench.read == []

    shelf.repair()
    assert {record.source for record in shelf.index.records()} == {"a.pdf", "c.pdf"}
    assert shelf.check() == []
    assert sorted_kinds(shelf.check(folder)) == ["new"]
    shelf.repair(folder)
    assert shelf.check(folder) == []


def test_other_bytes_of_the_same_size_and_time_are_found_by_reading(local: Shelf) -> None:
    """--read finds an edit that kept the file's size and time."""
    path = local.bench.folder / "a.pdf"
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"crowns", b"francs"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert local.check() == []
    assert set(local.bench.outcomes().values()) == {"unchanged"}

    assert sorted_kinds(local.check(thorough=True)) == ["changed"]
    local.repair(thorough=True)
    assert local.check(thorough=True) == []
    assert all("francs" in chunk.text for chunk in local.chunks("a.pdf"))


def test_deleting_needs_proof_here_too(local: Shelf, tmp_path: Path) -> None:
    """An empty folder, or one that lost too much, removes nothing."""
    for path in local.bench.folder.glob("*.pdf"):
        path.rename(tmp_path / path.name)
    found = local.check()
    assert sorted_kinds(found) == ["vanished"] * 3
    root = local.bench.folder  # what is recommended is not refused
    assert found[0].remedy() == f"ingest run {root} --allow-empty"
    assert [type(event) for event in local.repair()] == [DeletionsWithheld]

    (tmp_path / "a.pdf").rename(local.bench.folder / "a.pdf")
    local.run = Run("strict", max_deletes=1)
    assert {f.remedy() for f in local.check()} == {f"ingest run {root} --max-deletes 2"}
    (kept,) = local.repair()
    assert isinstance(kept, DeletionsWithheld)
    assert "--max-deletes 2" in kept.reason
    assert local.index.totals().sources == 3

    local.run = Run("allowed", max_deletes=2)
    assert {e.source for e in local.repair() if isinstance(e, SourceResult)} == {"b.pdf", "c.pdf"}


def test_a_root_that_is_gone_is_found_and_forgotten_on_request(shelf: Shelf) -> None:
    """A missing folder is reported; a repair leaves it, and --forget removes it."""
    folder, elsewhere = shelf.bench.folder, shelf.bench.folder.with_name("moved")
    shelf.index.forget(shelf.record("c.pdf"))  # chunks that no record names go too
    lose_chunks(shelf)
    folder.rename(elsewhere)

    found = {finding.kind: finding for finding in shelf.check()}
    assert set(found) == {FindingKind.ROOT, FindingKind.EXTRA, FindingKind.MISSING}
    assert found[FindingKind.ROOT].count == 3
    assert found[FindingKind.ROOT].remedy().startswith(f"ingest check --forget {folder}")
    # On an index that other machines fill, it may just not be on this one.
    (lost,) = (f for f in shelf.check(is_shared=True) if f.kind is FindingKind.ROOT)
    assert lost.remedy() == f"ingest check {folder}, on a machine that has this root"
    before, record = shelf.index.totals(), shelf.record("a.pdf")
    assert shelf.repair() == []
    assert shelf.index.totals() == before
    assert shelf.record("a.pdf") == record  # nor made to look unfinished, which nobody could end
    assert shelf.check(elsewhere, alone=True) != []  # only that: all of it is new

    with pytest.raises(ConfigError, match="has no such root"):
        shelf.forget(str(elsewhere))
    gone = {settled.source: settled.deleted for settled in shelf.forget(str(folder))}
    assert gone.keys() == {"a.pdf", "b.pdf", "c.pdf"}
    assert sum(gone.values()) == before.chunks + 2  # which its record names still
    assert shelf.index.totals().chunks == 0
    assert shelf.check() == []


def test_pages_paid_for_in_no_source_are_found_and_dropped(shelf: Shelf) -> None:
    """Cached OCR of a source that is gone is reported and removed."""
    text = OcrResult("words", 0.9)
    shelf.index.cache_page(CachedPage("1" * 40, shelf.root, "gone.pdf", "operation", text))
    shelf.index.cache_page(CachedPage("2" * 40, shelf.root, "a.pdf", "operation", text))

    (found,) = shelf.check()
    assert (found.kind, found.source, found.count) == (FindingKind.PAGE, "gone.pdf", 1)
    shelf.repair()
    assert shelf.check() == []
    assert shelf.index.cached_page("1" * 40) is None
    assert shelf.index.cached_page("2" * 40) is not None


def test_what_a_run_has_under_way_is_no_finding(local: Shelf, tmp_path: Path) -> None:
    """While a run writes, its sources are skipped and counted, and other damage is found."""
    leave_intent(local)
    local.index.delete([local.chunks("b.pdf")[0].id])
    running = SqliteIndex(tmp_path / "index", MODEL, DIMENSIONS, create=False)
    running.hold()

    assert sorted_kinds(local.check()) == ["missing"]
    assert {item.source for item in local.passed()} == {"a.pdf", ""}

    record = local.record("b.pdf")
    local.time.meanwhile = lambda: running.save(replace(record, run="another"))
    assert {item.source for item in local.passed()} == {"a.pdf", "b.pdf", ""}
    local.time.meanwhile = lambda: None

    running.close()
    assert sorted_kinds(local.check()) == ["missing", "torn"]
    assert local.passed() == []


def test_what_a_run_on_a_service_has_under_way_is_no_finding(remote: Shelf) -> None:
    """The lease on the service shows that a run of another host is at work."""
    leave_intent(remote)
    assert isinstance(remote.index, AzureIndex)
    other = AzureIndex(remote.index.documents)
    other.hold()
    assert remote.check() == []
    assert {item.source for item in remote.passed()} == {"a.pdf", ""}
    other.lease.release()
    assert sorted_kinds(remote.check()) == ["torn"]


class Slow(AzureIndex):
    """An index that takes a while to list, in which the service shows more of what was written."""

    azure: Azure

    def records(self, root: str | None = None) -> Iterator[Record]:
        self.azure.clock.advance(9)
        return super().records(root)


def run_beside_a_lag(remote: Shelf, azure: Azure) -> AzureIndex:
    """Change, add and remove a file, and run, where the service shows writes 8 s later."""
    assert isinstance(remote.index, AzureIndex)
    remote.index.hold()
    azure.search.delays.search = 8.0
    write(remote.bench.folder / "a.pdf", prose("a", 30), age=50)
    write(remote.bench.folder / "d.pdf", prose("d", 12))
    (remote.bench.folder / "b.pdf").unlink()
    remote.bench.run()
    remote.index.lease.release()
    return remote.index


def test_what_was_written_just_now_is_no_finding(remote: Shelf, azure: Azure) -> None:
    """A check right after a run reports nothing, although listings lag behind."""
    index, folder = run_beside_a_lag(remote, azure), remote.bench.folder

    slow = Slow(index.documents)
    slow.azure = azure
    remote.bench.index = slow  # it sees the chunks as they were, the records as they are
    assert remote.check(folder) == []
    assert remote.time.now >= 10  # it looked again
    azure.search.delays.search = 0
    azure.search.settle()
    lose_chunks(remote)
    assert sorted_kinds(remote.check()) == ["missing"]


def test_a_check_right_after_a_run_is_right(remote: Shelf, azure: Azure) -> None:
    """Even if a whole listing is older than the run, the check reports nothing."""
    index, folder = run_beside_a_lag(remote, azure), remote.bench.folder
    index.idle_before_hold = None
    assert remote.check(folder) == []

    azure.clock.advance(400)
    remote.bench.embeds.texts.clear()
    lost = remote.chunks("a.pdf")[:2]
    lose_chunks(remote)
    azure.clock.advance(30)
    remote.repair(folder)  # it sees its own marks only after a while
    assert remote.bench.embeds.texts == [chunk.text for chunk in lost]
    assert remote.check(folder, has_written=True) == []


def test_a_repair_that_dies_is_made_good_by_the_next(tmp_path: Path, folder: Path) -> None:
    """After a kill at any write, the next repair or run ends with the same index."""
    recipe = Recipe("pypdf", 64, 0.12, MODEL, DIMENSIONS)

    def world(name: str) -> tuple[Shelf, Mortal]:
        index = Mortal(tmp_path / name, MODEL, DIMENSIONS, create=True)
        made = fill_shelf(Shelf(Bench(folder, index, Embeds(), recipe), Time()))
        return made, index

    calm, index = world("calm")
    wanted = dump_chunks(index)
    for crash in itertools.count(1):
        again = ("repair", "run")[crash % 2]
        shelf, index = world(f"{crash}")
        lose_chunks(shelf)
        lost = shelf.chunks("b.pdf")
        index.forget(shelf.record("b.pdf"))
        restamp_chunk(shelf, "c.pdf")
        index.left = crash
        try:
            shelf.repair()
        except Crash:
            died = True
        else:
            died = False
        index.left = 10**9
        if again == "run":
            shelf.bench.run()
        shelf.repair()
        assert shelf.check() == []
        assert dump_chunks(index) == wanted, f"died at write {crash}"
        # A run knows of chunks without a record as little as of any that are not there.
        assert len(shelf.bench.embeds.texts) <= 4 + (len(lost) if again == "run" else 0)
        index.close()
        if not died:
            break
    assert crash > 5
    calm.index.close()


def dump_chunks(index: Index) -> tuple[object, object]:
    """All but the records: those say what happened, too."""
    return dump(index)["chunks"], dump(index)["strays"]


def test_what_was_read_with_other_settings_is_left_to_a_run(local: Shelf) -> None:
    """A repair with other settings does not embed a document again."""
    lose_chunks(local)
    local.bench.recipe = replace(local.bench.recipe, chunk_tokens=32)
    local.repair()
    assert local.bench.embeds.texts == []
    assert sorted_kinds(local.check()) == ["missing"]


def test_what_is_inside_a_document_is_mended_through_it(local: Shelf) -> None:
    """A lost chunk of an attachment is repaired by reading its portfolio again."""
    portfolio(local.bench.folder / "p.pdf", letter=pdf(prose("the letter", 12)))
    local.bench.run()
    local.bench.embeds.texts.clear()
    assert local.check(local.bench.folder) == []
    lost = local.chunks("p.pdf//letter.pdf")[1]
    local.index.delete([lost.id])

    (found,) = local.check()
    assert (found.kind, found.source) == (FindingKind.MISSING, "p.pdf//letter.pdf")
    local.repair()
    assert local.bench.embeds.texts == [lost.text]
    assert local.check() == []


def test_a_failed_document_keeps_what_it_had_and_is_in_order(local: Shelf) -> None:
    """The last good chunks of a file that turned bad are no finding."""
    path = local.bench.folder / "a.pdf"
    path.write_bytes(b"%PDF-broken")
    set_age(path)
    assert local.bench.outcomes()["a.pdf"] == "failed"
    assert local.check(local.bench.folder) == []
    local.index.delete([local.chunks("a.pdf")[0].id])
    assert sorted_kinds(local.check()) == ["missing"]


def test_a_glob_checks_what_it_means(local: Shelf) -> None:
    """A pattern limits the check to the sources that it matches."""
    lose_chunks(local)
    folder = local.bench.folder
    assert local.check(f"{folder}/[bc].pdf", alone=True) == []
    assert sorted_kinds(local.check(f"{folder}/[ab].pdf", alone=True)) == ["missing"]


def test_a_container_is_checked_as_a_folder_is(bench: Bench, azure: Azure) -> None:
    """Blobs are compared by etag, or by bytes with --read."""
    url = f"{azure.blob_endpoint}/docs"
    with closing(storage(url)) as requests:
        there = Emulated(azure, url, requests)
        for name in ("a.pdf", "b.pdf"):
            there.put(name, pdf(prose(name, 12)))
        bench.run(root=there.root)
        scope = replace(Shelf(bench, Time()).scope(), named_roots=[there.root], thorough=True)

        def found() -> list[str]:
            return sorted_kinds(
                [item for item in check_index(scope) if isinstance(item, CheckFinding)]
            )

        assert found() == []
        (chunk, *_) = bench.index.chunks(url, "b.pdf")
        bench.index.delete([chunk.id])
        there.put("a.pdf", pdf(prose("others", 12)))
        there.put("c.pdf", pdf(prose("more", 12)))
        assert found() == ["changed", "missing", "new"]
        list(repair_index(scope))
        assert found() == []


def test_a_check_that_is_stopped_makes_nothing_up(local: Shelf) -> None:
    """After ^C, an incomplete count is no finding, and nothing is repaired by it."""
    lose_chunks(local)
    before = dump(local.index)
    local.run.stop.request()
    assert local.check(local.bench.folder) == []
    assert local.repair(local.bench.folder) == []
    assert dump(local.index) == before


def test_an_empty_index_is_in_order(bench: Bench) -> None:
    """Before the first run there is nothing to find."""
    shelf = Shelf(bench, Time())
    assert shelf.check() == []
    assert shelf.repair() == []
