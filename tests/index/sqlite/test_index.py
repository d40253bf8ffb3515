"""The local index as a file on a disk, with all that happens to files."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ingest.errors import BusyError, ConfigError, ServiceError
from ingest.index.function_words import is_written_in
from ingest.index.manifest import INDEX_FORMAT
from ingest.index.sqlite.generations import SqliteGenerations
from ingest.index.sqlite.index import SqliteIndex
from ingest.index.sqlite.search import MAX_ROWS_READ, SqliteSearcher
from ingest.models import Details, Mode
from tests.conftest import DIMENSIONS, MODEL, vector
from tests.index.test_contract import RECORD, A, entry

NOBODY = 65534
ADDED_COLUMNS = {
    "records": ("code", "details"),
    "chunks": ("author", "language", "created", "confidence"),
}


def open_index(folder: Path, *, create: bool = True, model: str = MODEL) -> SqliteIndex:
    return SqliteIndex(folder, model, DIMENSIONS, create=create)


def test_it_is_all_there_after_reopening(tmp_path: Path) -> None:
    """A search in another process finds what a run wrote."""
    first = open_index(tmp_path / "i")
    first.upload([A])
    first.save(RECORD)
    first.close()

    second = open_index(tmp_path / "i", create=False)
    assert second.record(RECORD.root, RECORD.source) == RECORD
    assert second.search("grain", None, Mode.TEXT, 1)[0].fields["id"] == A.chunk.id
    second.close()


@pytest.fixture
def unwritable() -> Iterator[Path]:
    """A place where what is there can only be read; for root too, who becomes somebody else."""
    with TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        index = open_index(place / "closed")
        index.upload([A])
        index.save(RECORD)
        shutil.copytree(place / "closed", place / "crashed")
        (place / "crashed/index.db-shm").unlink()
        index.close()
        for folder in ("closed", "crashed"):
            for file in (place / folder).iterdir():
                file.chmod(0o644)  # made for their owner only
            (place / folder).chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(NOBODY)
        yield place
        os.seteuid(user)
        for folder in ("closed", "crashed"):
            (place / folder).chmod(0o755)


def test_an_index_that_may_only_be_read_answers(unwritable: Path) -> None:
    """On a read-only disk I can ask it; a run is told what it lacks."""
    index = open_index(unwritable / "closed", create=False)
    assert index.record(RECORD.root, RECORD.source) == RECORD
    assert len(index.search("grain", vector("x"), Mode.HYBRID, 5)) == 1
    assert index.runs(5) == []
    assert index.cached_page("a page") is None
    index.close()

    writer = open_index(unwritable / "closed")
    with pytest.raises(ConfigError, match=r"cannot be used .*: check its permissions"):
        writer.hold()
    with pytest.raises(ConfigError, match=r"cannot be used .*: check its permissions"):
        writer.upload([A])
    writer.close()


def test_generations_that_may_only_be_read_are_listed(unwritable: Path) -> None:
    """On a read-only disk I see what there is to go back to."""
    line = SqliteGenerations(unwritable / "closed", "other", 1)
    (name,) = line.names()
    index = line.open(name)
    assert index.totals().chunks == 1
    index.close()


def test_an_unfinished_index_that_may_only_be_read_says_who_can_mend_it(unwritable: Path) -> None:
    """What a killed run left beside the file is part of the index, and takes a write to be read."""
    with pytest.raises(ConfigError, match=r"left by a run that did not end, .* ingest status"):
        open_index(unwritable / "crashed", create=False)


def test_a_question_keeps_the_words_that_tell_chunks_apart() -> None:
    """What stands in most chunks is left out, and what makes a large index slow."""
    db = sqlite3.connect(":memory:")
    db.execute('CREATE VIRTUAL TABLE words USING fts5 (content, tokenize = "unicode61")')
    db.executemany(
        "INSERT INTO words (content) VALUES (?)",
        (
            (f"the {'mill ' * (n < MAX_ROWS_READ)} {'lathe' * (n < 9)}",)
            for n in range(2 * MAX_ROWS_READ + 2)
        ),
    )
    finder = SqliteSearcher(db)
    assert finder.select_words("the lathe, the mill, unknown") == {"lathe": 9}
    assert finder.select_words("the mill") == {"mill": MAX_ROWS_READ}
    assert list(finder.select_words("the")) == ["the"]
    db.close()


def test_a_question_in_another_language_is_not_answered_by_its_small_words() -> None:
    """Those few chunks of a German manual with "how to" in them are not about my question."""
    db = sqlite3.connect(":memory:")
    db.execute('CREATE VIRTUAL TABLE words USING fts5 (content, tokenize = "unicode61")')
    texts = ["wie man den server (the server) startet"] * 18 + [
        "how to start a server",
        "rat der WHO",
    ]
    db.executemany("INSERT INTO words (content) VALUES (?)", ((text,) for text in texts))
    db.execute("CREATE TABLE chunks (language)")
    db.executemany("INSERT INTO chunks VALUES (?)", [("de",)] * len(texts))
    finder = SqliteSearcher(db)
    for question, words in (
        ("How do I start a printer?", {"printer": 0, "start": 1}),
        ("who says how to start it", {"says": 0, "start": 1}),
        ("What does WHO say?", {"say": 0, "who": 1}),
        ("how to", {"how": 1, "to": 1}),
    ):
        assert finder.select_words(question, finder.foreign_language(question)) == words
    db.close()


def test_a_language_is_told_by_its_accented_words_too() -> None:
    """A German or French paragraph is known as such by "für" and "où"."""
    german = "Drähte für Köpfe können über Rädern hängen"
    assert is_written_in(german, "de", rather_than="ja")
    assert not is_written_in(german, "en", rather_than="de")
    assert is_written_in("Où êtes-vous allé été comme hiver, même à vélo ?", "fr", rather_than="en")


def test_paragraphs_left_in_english_do_not_make_a_japanese_manual_english(tmp_path: Path) -> None:
    """My English question about CUPS finds its page, not an English licence that says "how"."""
    index = open_index(tmp_path)
    answer = entry("a", "プリンタの共有は CUPS の設定画面で有効にしてください。")
    manual = [entry(f"{n:040}", f"旋盤の部品{n}は毎月点検してください。") for n in range(11)]
    words = ["how you can copy", "where you get", "who keeps", "what changes in", "why we share"]
    licence = [entry(f"{word} it", f"The terms of the licence say {word} it.") for word in words]
    mark = entry("m", "CUPS is a mark of its owner; use of the name CUPS is subject to the terms.")
    details = replace(A.details, language="ja")
    index.upload([replace(each, details=details) for each in (answer, *manual, *licence, mark)])

    hit, *_ = index.search("How can you configure CUPS?", None, Mode.TEXT, 9)

    assert hit.fields["id"] == answer.chunk.id
    index.close()


def test_a_number_or_code_is_found_as_a_whole() -> None:
    """The parts of 4,000 and of XJ-900 are in other numbers, which I did not ask for."""
    db = sqlite3.connect(":memory:")
    db.execute('CREATE VIRTUAL TABLE words USING fts5 (content, tokenize = "unicode61")')
    texts = ["4 of 1,000", "up to 4,000 a year", "900 at most", "the XJ 900", "nothing"]
    db.executemany("INSERT INTO words (content) VALUES (?)", ((text,) for text in texts))
    finder = SqliteSearcher(db)
    for question, rows in (("4,000", {2}), ("XJ-900", {4}), ("900", {3, 4})):
        words = finder.select_words(question)
        assert {row for row, _ in finder.search_words(words, 9)} == rows, question
    db.close()


def test_looking_does_not_create(tmp_path: Path) -> None:
    """A search in the wrong folder creates no index there."""
    index = open_index(tmp_path / "i", create=False)
    assert index.totals().chunks == 0
    index.close()
    assert list(tmp_path.iterdir()) == []

    (tmp_path / "index.db").touch()
    index = open_index(tmp_path, create=False)
    assert index.totals().chunks == 0
    index.close()
    assert (tmp_path / "index.db").read_bytes() == b""


def test_a_reader_sees_what_a_writer_adds(tmp_path: Path) -> None:
    """An application that keeps the index open answers from the newest run."""
    writer, reader = open_index(tmp_path / "i"), open_index(tmp_path / "i", create=False)
    assert reader.search("", vector("x"), Mode.VECTOR, 5) == []

    writer.upload([A])
    assert len(reader.search("", vector("x"), Mode.VECTOR, 5)) == 1
    writer.delete([A.chunk.id])
    assert reader.search("", vector("x"), Mode.VECTOR, 5) == []
    writer.close()
    reader.close()


def test_two_runs_do_not_write_at_once(tmp_path: Path) -> None:
    """The second is told to wait; when the first is over, it may."""
    first, second = open_index(tmp_path / "i"), open_index(tmp_path / "i")
    first.hold()
    with pytest.raises(BusyError, match="another run is writing"):
        second.hold()
    first.close()
    second.hold()
    second.close()


@pytest.mark.parametrize("gone", ["lock", "index.db", "."])
def test_an_index_whose_files_went_is_not_written_to(tmp_path: Path, gone: str) -> None:
    """Somebody deleted the index, or a lock file that looked left over, while my run wrote."""
    mine = open_index(tmp_path / "i")
    mine.hold()
    mine.upload([A])
    (tmp_path / "i" / gone).rename(tmp_path / "elsewhere")
    with pytest.raises(ServiceError, match="was deleted, moved or made anew during this run"):
        mine.save(RECORD)
    other = open_index(tmp_path / "i")  # makes the files again
    with suppress(BusyError):  # only the lock file tells it of my run
        other.hold()
    with pytest.raises(ServiceError, match="was deleted, moved or made anew during this run"):
        mine.delete([A.chunk.id])
    mine.close()
    other.close()


def test_an_index_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    """An old program does not damage what a new one wrote."""
    open_index(tmp_path / "i").close()
    db = sqlite3.connect(tmp_path / "i" / "index.db")
    db.execute(f"PRAGMA user_version = {INDEX_FORMAT + 1}")
    db.close()

    with pytest.raises(ConfigError, match=r"newer ingest .* upgrade"):
        open_index(tmp_path / "i")


def test_vectors_of_two_models_are_not_mixed(tmp_path: Path) -> None:
    """Distances between vectors of different models mean nothing."""
    open_index(tmp_path / "i").close()
    with pytest.raises(ConfigError, match=r"holds vectors of hash .* choose another --index"):
        open_index(tmp_path / "i", model="another")


@pytest.mark.parametrize("content", [b"my tax return" * 1000, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_of_somebody_else_is_not_touched(tmp_path: Path, content: bytes) -> None:
    """A file that happens to be called index.db is safe from us."""
    (tmp_path / "index.db").write_bytes(content)
    with pytest.raises(ConfigError, match=r"--index|damaged"):
        open_index(tmp_path)
    assert (tmp_path / "index.db").read_bytes() == content


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    """Nor is a database with tables of its own."""
    db = sqlite3.connect(tmp_path / "index.db")
    db.execute("CREATE TABLE mine (x)")
    db.commit()
    db.close()
    with pytest.raises(ConfigError, match="ingest did not create"):
        open_index(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The message says which folder, why, and what to do."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"file/i cannot be used \(Not a directory\): check"):
        open_index(tmp_path / "file" / "i")


def test_a_full_disk_is_said_and_loses_nothing(tmp_path: Path) -> None:
    """The upload that did not fit is not there in part, and the index still opens."""
    index = open_index(tmp_path / "i")
    index.upload([A])
    pages = index.database.pragma("page_count")
    index.db.execute(f"PRAGMA max_page_count = {pages}")
    big = [
        type(A)(
            A.source,
            A.url,
            "f",
            "t",
            type(A.chunk)(f"{n:040}", "word " * 2000, 1, n, 0, 1, 1, 1, (), ()),
            vector(str(n)),
        )
        for n in range(50)
    ]

    with pytest.raises(ServiceError, match="the disk is full; free space and run again"):
        index.upload(big)

    assert index.totals().chunks == 1
    index.close()
    again = open_index(tmp_path / "i")
    again.upload(big)
    assert again.totals().chunks == 51
    again.close()


def test_a_word_that_stands_nowhere_spoils_no_search(tmp_path: Path) -> None:
    """One misspelt word beside a good one does not turn an answer into none."""
    index = open_index(tmp_path)
    index.upload([A, *(entry(f"{n:040}", f"A lathe of type {n}.") for n in range(3))])
    (hit,) = index.search("xylophone grain", None, Mode.TEXT, 5)
    assert hit.fields["id"] == A.chunk.id
    index.close()


def test_small_words_do_not_outweigh_the_meaning(tmp_path: Path) -> None:
    """A chunk that shares only "does" and "from" with my question is not its best answer."""
    index = open_index(tmp_path)
    rare = ["engraver", "plates", "Larkfield", "Monday", "stencil", "wren"]
    others = [entry(f"{n:040}", f"Note of a gauge: {word}.") for n, word in enumerate(rare)]
    small = entry("c", "It does rain from time to time.")
    index.upload([A, small, *others])

    asked = f"What does {' '.join(rare)} get from"
    hit, *_ = index.search(asked, vector(A.chunk.text), Mode.HYBRID, 9)

    assert hit.fields["id"] == A.chunk.id
    index.close()


def test_an_index_of_an_earlier_version_is_completed(tmp_path: Path) -> None:
    """After an update I can look, search and run; what was there stays."""
    index = open_index(tmp_path)
    index.upload([A])
    index.save(RECORD).result()
    for table, columns in ADDED_COLUMNS.items():
        for column in columns:
            index.db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    index.db.execute("PRAGMA user_version = 1")
    index.close()

    before = (tmp_path / "index.db").read_bytes()
    looking = open_index(tmp_path, create=False)
    bare = replace(RECORD, code="", details=Details())
    assert list(looking.records()) == [replace(bare, committed=(), pending=())]
    assert [chunk.id for chunk in looking.chunks()] == [A.chunk.id]
    (hit,) = looking.search("grain", None, Mode.TEXT, 5)
    assert hit.fields["language"] is None
    looking.close()
    assert (tmp_path / "index.db").read_bytes() == before

    again = open_index(tmp_path)

    record = again.record(RECORD.root, RECORD.source)
    assert record == replace(RECORD, code="", details=Details())
    (hit,) = again.search("grain", None, Mode.TEXT, 5)
    assert hit.fields["language"] is None
    again.save(RECORD).result()
    assert again.record(RECORD.root, RECORD.source) == RECORD
    again.close()


def test_words_that_an_earlier_version_indexed_are_indexed_again(tmp_path: Path) -> None:
    """After an update, a source that is read again is found by both spellings too."""
    index = open_index(tmp_path)
    said = entry("a", "The COVID-19 pandemic")
    index.upload([said])
    index.db.execute("DELETE FROM words")
    index.db.execute("INSERT INTO words (rowid, content) VALUES (1, 'The COVID-19 pandemic')")
    assert index.search("COVID19", None, Mode.TEXT, 5) == []

    index.upload([replace(said, vector=None)])

    assert len(index.search("COVID19", None, Mode.TEXT, 5)) == 1
    assert list(index.flaws(DIMENSIONS, thorough=True)) == []
