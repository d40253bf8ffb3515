"""The pipeline on a real index: what becomes of documents, run after run."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import BinaryIO

import numpy as np
import pytest

from ingest.chunk.tokens import count_tokens
from ingest.errors import ConfigError, RootError
from ingest.index import Index
from ingest.index.sqlite.index import SqliteIndex
from ingest.models import (
    DeletionsWithheld,
    Details,
    IndexEntry,
    ListingIssue,
    Mode,
    Outcome,
    Record,
    Refusal,
    RunEvent,
    RunProgress,
    Source,
    SourceResult,
    Unread,
    Vectors,
)
from ingest.pipeline.context import Run
from ingest.pipeline.dry_run import dry_run
from ingest.pipeline.root import ingest_root
from ingest.runtime.cancellation import Cancellation
from ingest.sources.folder import Folder, parse_folder_roots
from tests.conftest import ROOT, Bench, dump, outcomes_by_source, results_by_source
from tests.pdfs import prose, set_age, write
from tests.processes import PATIENCE


def chunk_ids(bench: Bench, name: str) -> tuple[str, ...]:
    (root,) = parse_folder_roots([str(bench.folder)])
    record = bench.index.record(root.name, name)
    assert record is not None
    return record.committed


def test_a_folder_becomes_an_index_and_stays_in_step(bench: Bench) -> None:
    """New files come, edited ones change, deleted ones go; the rest is not touched."""
    write(bench.folder / "a.pdf", prose("lathes"))
    write(bench.folder / "b.pdf", prose("mills"))
    write(bench.folder / "x/c.pdf", prose("saws"))
    assert bench.outcomes() == {"a.pdf": "new", "b.pdf": "new", "x/c.pdf": "new"}
    assert {r.source for r in bench.index.records()} == {"a.pdf", "b.pdf", "x/c.pdf"}

    bench.embeds.texts.clear()
    assert set(bench.outcomes().values()) == {"unchanged"}
    assert bench.embeds.texts == []

    write(bench.folder / "a.pdf", prose("drills"), age=50)
    (bench.folder / "b.pdf").unlink()
    assert bench.outcomes() == {"a.pdf": "changed", "b.pdf": "removed", "x/c.pdf": "unchanged"}
    text = " ".join(
        str(hit.fields["content"]) for hit in bench.index.search("item", None, Mode.TEXT, 99)
    )
    assert "drills" in text
    assert "lathes" not in text
    assert "mills" not in text


def test_a_touched_file_is_read_but_not_embedded(bench: Bench) -> None:
    """A checkout that only changes times costs nothing, and from then on not even a read."""
    path = write(bench.folder / "a.pdf", prose("lathes"))
    bench.run()
    bench.embeds.texts.clear()

    set_age(path, 10)
    events = bench.run()
    assert outcomes_by_source(events) == {"a.pdf": "unchanged"}
    assert bench.read == ["a.pdf", "a.pdf"]

    assert outcomes_by_source(bench.run()) == {"a.pdf": "unchanged"}
    assert bench.read == ["a.pdf", "a.pdf"]
    assert bench.embeds.texts == []


def test_a_file_changed_within_a_tick_is_noticed(bench: Bench) -> None:
    """Same size, same time, other content: a fresh file is not trusted by its time."""
    path = write(bench.folder / "a.pdf", prose("lathes"), age=0)
    bench.run()
    before = path.stat()
    path.write_bytes(path.read_bytes().replace(b"lathes", b"planes"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert bench.outcomes() == {"a.pdf": "changed"}


def test_an_edited_document_embeds_only_what_is_new(bench: Bench) -> None:
    """Invariant 3: a page inserted in front moves the others' numbers, and only it is paid."""
    pages = [prose(topic) for topic in ("lathes", "mills", "saws")]
    write(bench.folder / "a.pdf", *pages)
    bench.run()
    paid = len(bench.embeds.texts)
    bench.embeds.texts.clear()

    write(bench.folder / "a.pdf", prose("cranes", 6), *pages, age=50)
    done = results_by_source(bench.run())["a.pdf"]

    assert done.embedded == len(bench.embeds.texts) < paid / 3
    assert done.chunks > done.embedded
    hits = bench.index.search("saws", None, Mode.TEXT, 99)
    assert {hit.fields["page_start"] for hit in hits} <= {3, 4}
    assert max(str(hit.fields["page_end"]) for hit in hits) == "4"


def test_another_recipe_makes_everything_anew(bench: Bench) -> None:
    """Smaller chunks take the place of the old ones; nothing of the old is left."""
    write(bench.folder / "a.pdf", prose("lathes"))
    bench.run()
    old = set(chunk_ids(bench, "a.pdf"))

    bench.recipe = replace(bench.recipe, chunk_tokens=32)
    assert bench.outcomes() == {"a.pdf": "changed"}

    assert bench.index.existing_ids(old) == set()
    assert bench.index.totals().chunks == len(chunk_ids(bench, "a.pdf"))


def test_what_is_billed_is_what_is_embedded(bench: Bench) -> None:
    """Tables go to the model without their marks, and stand in the index with them."""
    shutil.copy(ROOT / "data/benefits/rota.pdf", bench.folder)
    bench.recipe = replace(bench.recipe, chunk_tokens=512)
    (rota,) = results_by_source(bench.run()).values()

    assert rota.tokens == sum(count_tokens(bench.embeds.texts)) > 0
    assert not any("|" in text for text in bench.embeds.texts)
    assert any("| 36 | Corvin |" in chunk.text for chunk in bench.index.chunks())


def test_a_document_without_text_is_no_failed_attempt(bench: Bench) -> None:
    """A scan that nothing reads is what it is, however often it is read again."""
    write(bench.folder / "a.pdf", "")
    for schema in (2, 3, 4):
        bench.recipe = replace(bench.recipe, schema=schema)
        bench.run()
        (record,) = bench.index.records()
        assert (record.outcome, record.code, record.attempts) == (Outcome.EMPTY, "no-text", 0)


def test_a_new_version_embeds_only_new_texts(bench: Bench) -> None:
    """Everything is read again, and what came out the same keeps its vector."""
    write(bench.folder / "a.pdf", prose("lathes"))
    bench.run()
    old = set(chunk_ids(bench, "a.pdf"))
    bench.embeds.texts.clear()

    bench.recipe = replace(bench.recipe, schema=99)
    assert bench.outcomes() == {"a.pdf": "changed"}

    assert set(chunk_ids(bench, "a.pdf")) == old
    assert bench.embeds.texts == []


def test_a_bad_document_hides_no_other(bench: Bench) -> None:
    """Invariant 5: broken, locked and empty documents are outcomes; the rest is indexed."""
    write(bench.folder / "a.pdf", prose("lathes"))
    (bench.folder / "b.pdf").write_bytes(b"%PDF-1.7 broken")
    (bench.folder / "c.pdf").write_bytes(b"<html>")
    write(bench.folder / "d.pdf", "")
    write(bench.folder / "z.pdf", prose("mills"))

    found = results_by_source(bench.run())

    assert {name: str(event.outcome) for name, event in found.items()} == {
        "a.pdf": "new",
        "b.pdf": "failed",
        "c.pdf": "skipped",
        "d.pdf": "empty",
        "z.pdf": "new",
    }
    assert "damaged" in found["b.pdf"].reason
    assert [name for name, event in found.items() if not event.harmless] == ["b.pdf", "c.pdf"]


def test_a_document_that_turns_bad_keeps_what_the_index_has(bench: Bench) -> None:
    """Invariant 5: yesterday's good version answers until a good one comes."""
    path = write(bench.folder / "a.pdf", prose("lathes"))
    bench.run()
    good = chunk_ids(bench, "a.pdf")

    set_age(path, 50).write_bytes(b"%PDF-1.7 broken")
    set_age(path, 40)
    assert bench.outcomes() == {"a.pdf": "failed"}
    assert chunk_ids(bench, "a.pdf") == good
    assert bench.index.existing_ids(good) == set(good)

    bench.embeds.texts.clear()
    write(path, prose("lathes"), age=30)
    assert bench.outcomes() == {"a.pdf": "changed"}
    assert bench.embeds.texts == []


def test_failures_are_counted_and_given_up(bench: Bench) -> None:
    """Three tries with the same bytes, then it is only reported; new bytes start anew."""
    path = bench.folder / "a.pdf"
    path.write_bytes(b"%PDF-1.7 broken")
    set_age(path)
    tries = [results_by_source(bench.run())["a.pdf"] for _ in range(4)]
    assert ["tried" in event.reason for event in tries] == [False, False, False, True]
    assert all(not event.harmless for event in tries)

    again = results_by_source(bench.run(Run("r", retry_failed=True)))["a.pdf"]
    assert "tried" not in again.reason

    write(path, prose("lathes"), age=50)
    assert bench.outcomes() == {"a.pdf": "new"}


def test_a_trouble_is_known_since_the_run_that_first_reported_it(bench: Bench) -> None:
    """A file that is broken for good is no news, until its bytes or its trouble change."""
    path = bench.folder / "a.pdf"
    path.write_bytes(b"%PDF-1.7 broken")
    set_age(path)
    firsts = [
        results_by_source(bench.run(Run(f"run {n}")))["a.pdf"].details.since for n in range(5)
    ]
    assert firsts == ["run 0"] * 5  # tried three times, then only reported

    set_age(path, 50).write_bytes(b"%PDF-1.7 broken in another way")
    set_age(path, 40)
    assert results_by_source(bench.run(Run("run 5")))["a.pdf"].details.since == "run 5"
    write(path, prose("lathes"), age=30)
    assert results_by_source(bench.run(Run("run 6")))["a.pdf"].details.since == ""
    (record,) = bench.index.records()
    assert record.details.since == ""


def test_deleting_needs_proof(bench: Bench) -> None:
    """Invariant 6: an empty root or too many deletions leave the index as it is."""
    for n in range(30):
        write(bench.folder / f"{n}.pdf", f"text number {n}")
    bench.run()

    for n in range(15):
        (bench.folder / f"{n}.pdf").unlink()
    (kept,) = (e for e in bench.run(Run("r")) if isinstance(e, DeletionsWithheld))
    assert (kept.sources, kept.harmless) == (15, False)
    assert bench.index.totals().sources == 30

    assert sum(o == "removed" for o in bench.outcomes(Run("r", max_deletes=15)).values()) == 15
    for n in range(15, 30):
        (bench.folder / f"{n}.pdf").unlink()
    (kept,) = (e for e in bench.run(Run("r", max_deletes=99)) if isinstance(e, DeletionsWithheld))
    assert "no PDFs at all" in kept.reason
    assert bench.index.totals().sources == 15


class Vanishing(Folder):
    """A folder that is removed while it is listed."""

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        for number, item in enumerate(super().list()):
            yield item
            if number == 1:
                shutil.rmtree(self.folder)


def test_a_root_that_vanishes_during_a_run_loses_nothing(bench: Bench) -> None:
    """With rm -rf, or a share that is gone: everything stays searchable, and I am told."""
    for name in ("a.pdf", "b.pdf", "x/c.pdf", "y/d.pdf"):
        write(bench.folder / name, f"text of {name}")
    bench.run()
    before = bench.index.totals()
    with pytest.raises(RootError, match="vanished during the run; nothing was removed"):
        bench.run(root=Vanishing(bench.folder))
    after = bench.index.totals()
    assert (after.sources, after.chunks) == (before.sources, before.chunks) == (4, 4)


class Unmounted(Folder):
    """A folder that goes once it is listed, when its first file is read."""

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        shutil.rmtree(self.folder, ignore_errors=True)
        with super().open(source) as file:
            yield file


def test_a_root_that_goes_once_it_is_listed_is_one_problem(bench: Bench) -> None:
    """A share is unmounted while its files are read: one line, and no file is at fault."""
    write(bench.folder / "a.pdf", "text of a")
    bench.run()
    before = dump(bench.index)
    for number in range(9):
        write(bench.folder / f"{number}.pdf", f"text of {number}")
    write(bench.folder / "a.pdf", "another text", age=50)
    events: list[RunEvent] = []
    root = Unmounted(bench.folder)
    with pytest.raises(RootError, match="vanished during the run; nothing was removed"):
        events.extend(ingest_root(root, bench.services(), Run("r")))
    assert outcomes_by_source(events) == {}
    assert dump(bench.index) == before


def test_a_root_that_is_a_pattern_removes_only_what_it_covers(bench: Bench) -> None:
    """A run on x/*.pdf says nothing about the other folders."""
    for name in ("x/a.pdf", "x/b.pdf", "y/c.pdf"):
        write(bench.folder / name, f"text of {name}")
    bench.run()
    for name in ("x/a.pdf", "y/c.pdf"):
        (bench.folder / name).unlink()

    (root,) = parse_folder_roots([f"{bench.folder}/x/*.pdf"])
    # The pattern's folder is a root of its own; what counts is that y is not looked at.
    assert outcomes_by_source(list(ingest_root(root, bench.services(), Run("r")))) == {
        "b.pdf": "new"
    }
    (one,) = parse_folder_roots([str(bench.folder / "x/b.pdf")])
    assert outcomes_by_source(list(ingest_root(one, bench.services(), Run("r")))) == {
        "b.pdf": "unchanged"
    }


class Wrapped(SqliteIndex):
    """An index that does something of its own on the way."""

    def __init__(self, index: Index) -> None:
        assert isinstance(index, SqliteIndex)
        self.__dict__ = index.__dict__


class Refusing(Wrapped):
    """An index that will not take chunks with a certain word."""

    word = "mills"

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        bad = [e for e in entries if self.word in e.chunk.text]
        rest = [e for e in entries if self.word not in e.chunk.text]
        return [Refusal(e.chunk.id, "field 'content' is too large") for e in bad] + super().upload(
            rest
        )


def test_a_refused_chunk_fails_its_document_and_no_other(bench: Bench) -> None:
    """Invariants 1, 4 and 7: what the index refused is not recorded as done."""
    write(bench.folder / "a.pdf", prose("lathes"))
    write(bench.folder / "b.pdf", prose("saws"), prose("mills"))

    found = results_by_source(bench.run(index=Refusing(bench.index)))

    assert {n: str(e.outcome) for n, e in found.items()} == {"a.pdf": "new", "b.pdf": "failed"}
    assert "a chunk was refused: field 'content' is too large" in found["b.pdf"].reason
    assert chunk_ids(bench, "b.pdf") == ()

    bench.embeds.texts.clear()
    assert bench.outcomes()["b.pdf"] == "new"
    assert all("mills" in text for text in bench.embeds.texts)


class Spying(Wrapped):
    """An index that checks, at each write, what its records say."""

    def upload(self, entries: Sequence[IndexEntry]) -> list[Refusal]:
        for item in entries:
            record = self.record(item.source.root, item.source.name)
            assert record is not None
            assert item.chunk.id in record.pending
            assert record.fingerprint == ""
        return super().upload(entries)

    def save(self, record: Record) -> Future[None]:
        if record.fingerprint and not record.error:
            assert self.existing_ids(record.committed) == set(record.committed)
            assert not record.pending
        return super().save(record)


def test_intent_comes_first_and_commit_last(bench: Bench) -> None:
    """Invariants 1 and 2: at every moment the record names every chunk that may exist."""
    write(bench.folder / "a.pdf", prose("lathes"), prose("mills"))
    write(bench.folder / "b.pdf", prose("saws"))
    assert set(outcomes_by_source(bench.run(index=Spying(bench.index))).values()) == {"new"}

    write(bench.folder / "a.pdf", prose("mills"), prose("drills"), age=50)
    assert outcomes_by_source(bench.run(index=Spying(bench.index)))["a.pdf"] == "changed"


@pytest.mark.parametrize("fault", ["one too few", "not a number", "other dimensions"])
def test_vectors_that_do_not_fit_are_an_error(bench: Bench, fault: str) -> None:
    """Invariant 4: a model's bad answer stops the run; no document is recorded with it."""
    write(bench.folder / "a.pdf", prose("lathes"))
    right = bench.embeds

    def wrong(texts: Sequence[str]) -> Vectors:
        vectors = right(texts)
        if fault == "one too few":
            return vectors[1:]
        return vectors * np.float32("nan") if fault == "not a number" else vectors[:, 1:]

    bench.embeds = wrong  # type: ignore[assignment]
    with pytest.raises(ConfigError, match=r"the model returned .*vector"):
        bench.run()
    assert chunk_ids(bench, "a.pdf") == ()

    bench.embeds = right
    assert bench.outcomes() == {"a.pdf": "new"}


def test_a_stop_settles_what_is_under_way(bench: Bench) -> None:
    """After ^C no new document is begun, what was begun is finished, and nothing is removed."""
    for n in range(40):
        write(bench.folder / f"{n:02}.pdf", prose(f"topic {n}", 4))
    write(bench.folder / "zz.pdf", "to be removed")
    bench.run(Run("r"))
    (bench.folder / "zz.pdf").unlink()
    for n in range(40):
        write(bench.folder / f"{n:02}.pdf", prose(f"other topic {n}", 4), age=50)

    run = Run("r", stop=Cancellation(grace_seconds=60))
    (root,) = parse_folder_roots([str(bench.folder)])
    events: list[RunEvent] = []
    for event in ingest_root(root, bench.services(), run):
        events.append(event)
        if sum(isinstance(e, SourceResult) for e in events) == 3:
            run.stop.request()

    assert 3 <= sum(isinstance(e, SourceResult) for e in events) < 20
    assert all(
        record.pending == ()
        for r in bench.index.records()
        if (record := bench.index.record(r.root, r.source))
    )
    assert bench.index.totals().sources == 41
    bench.run(Run("r"))
    assert set(bench.outcomes().values()) == {"unchanged"}


def test_a_stop_without_patience_leaves_a_record_that_converges(bench: Bench) -> None:
    """Where the time to settle runs out, the next run goes on from what is there."""
    write(bench.folder / "a.pdf", *(prose(f"topic {n}", 30) for n in range(20)))
    run = Run("r", stop=Cancellation(grace_seconds=0))
    (root,) = parse_folder_roots([str(bench.folder)])
    for event in ingest_root(root, bench.services(), run):
        if isinstance(event, RunProgress) and event.chunks:
            run.stop.request()
    there = bench.index.totals().chunks
    assert 0 < there < 200

    bench.embeds.texts.clear()
    assert bench.outcomes() == {"a.pdf": "new"}
    assert len(bench.embeds.texts) == bench.index.totals().chunks - there


def test_calls_to_the_model_overlap(bench: Bench) -> None:
    """Two requests are under way at once; a slow service is waited for in parallel."""
    write(bench.folder / "a.pdf", *(prose(f"topic {n}") for n in range(4)))
    both = threading.Barrier(2, timeout=PATIENCE)
    right = bench.embeds
    calls = itertools.count(1)

    def slow(texts: Sequence[str]) -> Vectors:
        if next(calls) <= 2:
            both.wait()
        return right(texts)

    bench.embeds = slow  # type: ignore[assignment]
    assert bench.outcomes() == {"a.pdf": "new"}


def test_a_plan_says_what_a_run_then_does(bench: Bench) -> None:
    """Planning writes nothing, embeds nothing, and is right to the token."""
    write(bench.folder / "a.pdf", prose("lathes"))
    write(bench.folder / "b.pdf", prose("mills"))
    write(bench.folder / "gone.pdf", prose("cranes"))
    bench.run()
    write(bench.folder / "a.pdf", prose("lathes"), prose("saws"), age=50)
    write(bench.folder / "c.pdf", prose("drills"))
    (bench.folder / "d.pdf").write_bytes(b"%PDF-broken")
    (bench.folder / "gone.pdf").unlink()
    bench.embeds.texts.clear()
    before = dump(bench.index)

    (root,) = parse_folder_roots([str(bench.folder)])
    planned = results_by_source(list(dry_run(root, bench.services(), Run("r"))))
    assert dump(bench.index) == before
    assert bench.embeds.texts == []

    done = results_by_source(bench.run())
    # Only a run reports: since when something is wrong is nothing a plan can know.
    assert done["d.pdf"].details == Details(since="test")
    assert planned == done | {"d.pdf": replace(done["d.pdf"], details=Details())}
    assert planned["a.pdf"].embedded > 0
    assert planned["gone.pdf"].deleted > 0
