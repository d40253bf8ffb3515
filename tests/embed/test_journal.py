"""Vectors that were received and not written: the next run on this machine does not pay again."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ingest.embed import Embedder, PartialEmbedding, journal
from ingest.embed.journal import (
    LOOK_SECONDS,
    MAX_AGE_SECONDS,
    MAX_DEAD_FILES,
    VectorJournal,
    WorkerJournal,
    add_journal,
    open_journal,
)
from ingest.models import Vectors, hash_text
from tests.conftest import DIMENSIONS, Embeds, vector

NO_PROCESS = 2**22 + 1  # no system gives out such an id
TEXTS = [f"text {n}" for n in range(5)]


def open_for_run(folder: Path) -> VectorJournal:
    """The journal as a run finds it when it starts."""
    journal = open_journal(folder, "index", "model", DIMENSIONS)
    assert journal is not None
    return journal


def create_model(embeds: Embeds, folder: Path) -> Embedder:
    return add_journal(Embedder(embeds, "m", DIMENSIONS), open_for_run(folder))


def test_what_a_killed_run_received_is_not_paid_again(tmp_path: Path) -> None:
    """It died before the upload: only the text that it had not sent is embedded."""
    first, second = Embeds(), Embeds()
    create_model(first, tmp_path).embed(TEXTS[:4])
    found = create_model(second, tmp_path).embed(TEXTS)
    assert second.texts == TEXTS[4:]
    assert np.array_equal(found, np.stack([vector(text) for text in TEXTS]))


def test_a_record_that_was_cut_short_is_left_out(tmp_path: Path) -> None:
    """The machine went down in the middle of a write: what is whole is used, and what follows."""
    create_model(Embeds(), tmp_path).embed(TEXTS)
    path = open_for_run(tmp_path).path
    path.write_bytes(path.read_bytes()[:-3])
    again, later = Embeds(), Embeds()
    create_model(again, tmp_path).embed(TEXTS)
    assert again.texts == TEXTS[4:]
    found = create_model(later, tmp_path).embed(TEXTS)
    assert later.texts == []
    assert np.array_equal(found, np.stack([vector(text) for text in TEXTS]))


@pytest.mark.parametrize("value", ["nan", "0.25"])
def test_a_vector_that_is_damaged_is_embedded_again(tmp_path: Path, value: str) -> None:
    """A bad disk costs a text; it does not end the run, and no wrong vector is indexed."""
    create_model(Embeds(), tmp_path).embed(TEXTS)
    path = open_for_run(tmp_path).path
    path.write_bytes(path.read_bytes()[:-8] + np.float32(value).tobytes() + bytes(4))
    again = Embeds()
    found = create_model(again, tmp_path).embed(TEXTS)
    assert again.texts == TEXTS[4:]
    assert np.array_equal(found, np.stack([vector(text) for text in TEXTS]))


def test_nothing_is_left_once_all_is_in_the_index(tmp_path: Path) -> None:
    """The journal of a run that ended well is deleted, and it is only mine to read until then."""
    create_model(Embeds(), tmp_path / "journal").embed(TEXTS)
    assert (tmp_path / "journal").stat().st_mode & 0o077 == 0
    open_for_run(tmp_path / "journal").delete(list)
    assert list((tmp_path / "journal").iterdir()) == []


def test_what_the_next_run_does_not_ask_for_stays_for_the_one_after_it(tmp_path: Path) -> None:
    """That one has another root: mine is paid once. What is in the index goes, and what is old."""
    create_model(Embeds(), tmp_path).embed(TEXTS)
    another = open_for_run(tmp_path)
    add_journal(Embedder(Embeds(), "m", DIMENSIONS), another).embed([TEXTS[0], "other"])
    written = hash_text(TEXTS[1], f"model\0{DIMENSIONS}")
    another.delete(lambda hashes: [written] if written in hashes else [])
    again = Embeds()
    mine = open_for_run(tmp_path)
    add_journal(Embedder(again, "m", DIMENSIONS), mine).embed(TEXTS)
    assert again.texts == TEXTS[:2]
    mine.delete(list)
    assert list(tmp_path.iterdir()) == []

    create_model(Embeds(), tmp_path).embed(TEXTS)
    long_ago = time.time() - MAX_AGE_SECONDS - 60
    os.utime(open_for_run(tmp_path).path, (long_ago, long_ago))
    assert open_for_run(tmp_path).find(TEXTS) == {}


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal has two files of limited size, and keeps the latest vectors."""
    monkeypatch.setitem(vars(journal), "MAX_FILE_BYTES", 300)
    embed = create_model(Embeds(), tmp_path).embed
    for n in range(100):
        embed([f"text {n}"])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 800
    again = Embeds()
    create_model(again, tmp_path).embed([f"text {n}" for n in range(100)])
    assert 80 < len(again.texts) < 100
    assert "text 99" not in again.texts


def test_a_worker_takes_what_a_dead_one_of_its_machine_had_received(tmp_path: Path) -> None:
    """Each has a file of its own; a neighbour that lives needs its vectors itself."""

    def journal_of(process: int) -> VectorJournal:
        found = open_journal(tmp_path, "index", "model", DIMENSIONS, is_worker=True)
        assert found is not None
        mine = str(os.getpid())
        found.path = found.path.with_name(found.path.name.replace(mine, str(process)))
        return found

    def add(process: int, text: str) -> None:
        journal_of(process).append([text], np.stack([vector(text)]))

    this, dead = os.getpid(), NO_PROCESS
    add(this, "of a neighbour")
    add(dead, "of a dead one")
    mine = journal_of(this)
    assert list(mine.find(["of a neighbour", "of a dead one", "new"])) == [1]
    failed = journal_of(this)
    for text in "of a run that failed", "of the next one":  # in containers, under the same id
        failed.append([text], np.stack([vector("x")]))
        failed.close()
    add(dead, "of one that died later")
    assert isinstance(mine, WorkerJournal)
    mine.looked_at -= LOOK_SECONDS
    found = mine.find(["of one that died later", "of a run that failed", "of the next one"])
    assert list(found) == [0, 1, 2]
    for n in range(2 * MAX_DEAD_FILES):
        add(dead, f"long ago {n}")
    journal_of(this).find(["new"])
    assert len(list(tmp_path.iterdir())) == 1 + MAX_DEAD_FILES


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """In a read-only container, a run works without a journal."""
    (tmp_path / "file").touch()
    assert open_journal(tmp_path / "file" / "journal", "index", "m", DIMENSIONS) is None
    journal = open_for_run(tmp_path)
    journal.path.mkdir()
    embeds = Embeds()
    assert len(add_journal(Embedder(embeds, "m", DIMENSIONS), journal).embed(TEXTS)) == len(TEXTS)


def test_a_refused_text_keeps_its_place(tmp_path: Path) -> None:
    """Some vectors are known, one text is refused: its reason is at its own position."""
    create_model(Embeds(), tmp_path).embed(TEXTS[:2])

    def refuse(texts: Sequence[str]) -> Vectors:
        rows = np.stack([vector(text) for text in texts if text != TEXTS[3]])
        raise PartialEmbedding(rows, {list(texts).index(TEXTS[3]): "no"})

    with pytest.raises(PartialEmbedding) as caught:
        add_journal(Embedder(refuse, "m", DIMENSIONS), open_for_run(tmp_path)).embed(TEXTS)
    assert caught.value.reasons == {3: "no"}
    kept = [text for text in TEXTS if text != TEXTS[3]]
    assert np.array_equal(caught.value.vectors, np.stack([vector(text) for text in kept]))


def test_a_call_in_which_every_text_is_refused_says_so(tmp_path: Path) -> None:
    """The service refused each text: the reasons come back, and the journal has nothing to keep."""

    def refuse(texts: Sequence[str]) -> Vectors:
        raise PartialEmbedding(np.empty((0, 0), np.float32), dict.fromkeys(range(len(texts)), "no"))

    journal = open_for_run(tmp_path)
    with pytest.raises(PartialEmbedding) as caught:
        add_journal(Embedder(refuse, "m", DIMENSIONS), journal).embed(TEXTS)
    assert caught.value.reasons == dict.fromkeys(range(len(TEXTS)), "no")
    assert not journal.path.exists()
