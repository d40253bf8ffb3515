"""A document that hangs or crashes its reader gives what it has."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from ingest.careful import PAGE_BYTES, RECOGNISING, Read, Turns, careful
from ingest.errors import DocumentError
from ingest.extract.board import Place
from ingest.extract.worker import Beat, Contained, Died, Limits, Stuck
from ingest.model import Code, Details, Prepared, Recipe, Source
from ingest.ocr.local import NAME
from ingest.prepare import Prepare, Task
from ingest.reading import watched
from ingest.times import HANGING, Times

RECIPE = Recipe("auto", 512, 0.12, "none", 384)
LIMITS = Limits(30, 1024, page_seconds=1.5)


def task(**values: Any) -> Task:
    source = Source("/root", "a.pdf", "/root/a.pdf", 100_000, "1")
    return replace(Task(source, "", RECIPE, "auto"), **values)


def misbehave(task: Task, file: BinaryIO, beat: Beat) -> Prepared:
    """Read a document that says what it does to its reader."""
    file.seek(0)
    does = json.load(file)
    time.sleep(does.get("opening", 0))
    for page in range(1, does["pages"] + 1):
        if page in task.abandoned:
            continue
        beat(page, does["pages"])
        time.sleep(does.get("every", 0))
        time.sleep(600 * (page in does.get("hangs", ())))
        if page in does.get("crashes", ()) and task.extractor in does["engines"]:
            os.kill(os.getpid(), getattr(signal, does.get("signal", "SIGABRT")))
        if page in does.get("bursts", ()) and task.extractor in does["engines"]:
            bytearray(8 << 30)
    beat(0, does["pages"])
    time.sleep(does.get("closing", 0))
    details = Details(missing=tuple(sorted(task.abandoned)), producer=task.extractor)
    return Prepared("fingerprint", does["pages"], 0, "", (), details)


Call = Callable[..., Prepared]


@contextmanager
def reading(folder: Path, limits: Limits = LIMITS) -> Iterator[Call]:
    """Real children, and a real file for each document."""
    children = Contained(misbehave, limits)
    prepare = careful(children, limits)

    def call(how: Task | None = None, **does: Any) -> Prepared:
        path = folder / f"{threading.get_ident()}.pdf"
        path.write_text(json.dumps({"engines": ["auto"], **does}))
        with path.open("rb") as file:
            made = prepare(how or task(), file)
        assert made
        return made

    try:
        yield call
    finally:
        children.close()


def test_a_page_that_hangs_costs_only_itself(tmp_path: Path) -> None:
    """Nine pages of ten are better than none, and I am told which one is missing."""
    with reading(tmp_path) as call:
        made = call(pages=10, hangs=[4])
    assert made.details.missing == (4,)
    assert made.details.producer == "auto"


def test_several_pages_may_hang(tmp_path: Path) -> None:
    """The first and the last page are pages like others."""
    with reading(tmp_path) as call:
        assert call(pages=6, hangs=[1, 3, 6]).details.missing == (1, 3, 6)
        assert call(pages=2).details.missing == ()


def test_pages_read_before_the_time_was_up_are_kept(tmp_path: Path) -> None:
    """A document that takes for ever gives as much as its time allows."""
    limits = Limits(4, 1024, page_seconds=4, more_seconds=0)
    with reading(tmp_path, limits) as call:
        missing = call(pages=10, every=0.8).details.missing  # 4 s of 8
    assert missing
    assert missing == tuple(range(missing[0], 11))
    assert missing[0] > 1


def test_many_pages_that_hang_do_not_add_up(tmp_path: Path) -> None:
    """The time of the whole document bounds what hanging pages take one by one."""
    limits = Limits(4, 1024, page_seconds=1.5, more_seconds=0.01)
    with reading(tmp_path, limits) as call:
        missing = call(pages=100, hangs=list(range(2, 101))).details.missing
    assert missing == tuple(range(2, 101))


def test_the_attempts_share_the_time_of_the_document() -> None:
    """A page that hung has used time that the others do not get again."""
    seen: list[Limits] = []

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        seen.append(limits)
        time.sleep(0.2)
        if not task.abandoned:
            raise Stuck("slow", Place(2, 5, 0.0), overdue=False)
        return Prepared("", 5, 0, "", ())

    with Path(os.devnull).open("rb") as file:
        assert careful(read, LIMITS)(task(), file)
    first, second = (limits.due(5) for limits in seen)
    assert first == LIMITS.due(5) == 35
    assert 0 < second <= first - 0.2


def test_a_page_that_hangs_is_said_to_have_held_up_the_run() -> None:
    """What it took is told from reading, or I would be sent to buy cores."""
    times = Times()

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        time.sleep(0.05)
        if not task.abandoned:
            raise Stuck("slow", Place(2, 5, 0.0), overdue=False)
        return Prepared("", 5, 0, "", ())

    begun = time.monotonic()
    with Path(os.devnull).open("rb") as file:
        assert careful(watched(read, times), LIMITS)(task(), file)
    assert 0.05 <= times.total(HANGING) <= time.monotonic() - begun - 0.05


def test_a_small_file_gets_no_time_for_a_million_pages() -> None:
    """What a document says of itself does not let it hold a reader for days."""
    seen: list[Limits] = []

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        seen.append(limits)
        return Prepared("", 1, 0, "", ())

    with Path(os.devnull).open("rb") as file:
        careful(read, LIMITS)(task(), file)
    assert seen[0].due(1_000_000) == LIMITS.due(100_000 // PAGE_BYTES)


def test_no_page_that_could_be_read_is_too_slow(tmp_path: Path) -> None:
    """Without any text it is a failure, with a name and a remedy."""
    with reading(tmp_path) as call:
        with pytest.raises(Stuck, match=r"page 1 took over 1\.5 s; INGEST_PAGE_SECONDS") as caught:
            call(task(extractor="pdfium"), pages=1, hangs=[1])
        assert caught.value.code is Code.TOO_SLOW
        with pytest.raises(Stuck, match="page 2 took"):
            call(task(extractor="pdfium"), pages=2, hangs=[1, 2])


@pytest.mark.parametrize("when", ["opening", "closing"])
def test_a_document_that_hangs_outside_its_pages_is_too_slow(tmp_path: Path, when: str) -> None:
    """No page is to blame for an endless outline, so none is left out in turn."""
    limits = Limits(3, 1024, page_seconds=1.5, more_seconds=0.1)
    with (
        reading(tmp_path, limits) as call,
        pytest.raises(Stuck, match=r"it took over 3(\.3)? s; INGEST_DOCUMENT_SECONDS"),
    ):
        call(task(extractor="pdfium"), pages=3, **{when: 600})


def test_what_hangs_one_engine_is_tried_with_the_other(tmp_path: Path) -> None:
    """A quirk of one engine that leaves no page does not cost the document."""
    calls: list[Task] = []

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        calls.append(task)
        if task.extractor == "auto":
            raise Stuck("slow", Place(0, 0, 0.0), overdue=True)
        return Prepared("", 1, 0, "", ())

    with Path(os.devnull).open("rb") as file:
        assert careful(read, LIMITS)(task(), file)
    assert [call.extractor for call in calls] == ["auto", "pypdf"]


@pytest.mark.parametrize(
    ("does", "code"),
    [
        ({"crashes": [2]}, Code.CRASHED),
        ({"crashes": [2], "signal": "SIGSEGV"}, Code.CRASHED),
        ({"crashes": [2], "signal": "SIGKILL"}, Code.TOO_MUCH_MEMORY),
        pytest.param(
            {"bursts": [2]},
            Code.TOO_MUCH_MEMORY,
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory"),
        ),
    ],
)
def test_what_crashes_one_engine_is_read_by_the_other(
    tmp_path: Path, does: dict[str, Any], code: Code
) -> None:
    """Native code may fall over a page that pypdf reads; if both do, the cause has a name."""
    with reading(tmp_path) as call:
        assert call(pages=3, **does).details == Details(producer="pypdf")
        with pytest.raises(Died) as caught:
            call(pages=3, **does, engines=["auto", "pypdf"])
        assert caught.value.code is code
        assert call(pages=3).details.producer == "auto"


def test_a_forced_engine_gets_a_second_chance_itself(tmp_path: Path) -> None:
    """Whoever asked for one engine never gets the text of another."""
    extractors = []

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        extractors.append(task.extractor)
        raise Died(f"crash {len(extractors)}", Code.CRASHED)

    with Path(os.devnull).open("rb") as file, pytest.raises(Died, match="crash 1"):
        careful(read, LIMITS)(task(extractor="pdfium"), file)
    assert extractors == ["pdfium", "pdfium"]


def test_a_document_that_is_refused_is_not_read_twice() -> None:
    """A password is not found by asking again."""
    calls = []

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        calls.append(task)
        raise DocumentError("locked", Code.ENCRYPTED)

    with Path(os.devnull).open("rb") as file, pytest.raises(DocumentError, match="locked"):
        careful(read, LIMITS)(task(), file)
    assert len(calls) == 1


def test_a_crash_is_followed_by_a_reading_alone() -> None:
    """What takes all memory has it to itself, and takes no other document down with it."""
    lock, busy, most = threading.Lock(), 0, 0
    crowd: list[int] = []

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        try:
            for _ in range(20):
                time.sleep(0.005)
                if task.extractor == "pypdf":
                    crowd.append(busy)
            if task.extractor == "auto" and task.source.name == "crash":
                raise Died("crash", Code.CRASHED)
            return Prepared("", 1, 0, "", ())
        finally:
            with lock:
                busy -= 1

    prepare: Prepare = careful(read, LIMITS)

    def call(name: str) -> Prepared | None:
        with Path(os.devnull).open("rb") as file:
            return prepare(task(source=Source("", name, "", 1, "1")), file)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(call, ["well", "crash", "well", "crash", *["well"] * 12]))
    assert most > 1
    assert set(crowd) == {1}
    assert len(crowd) == 40


def test_a_reading_that_fails_gives_its_turn_back() -> None:
    """Whatever happens to one document, the next one has its turn."""
    turns = Turns()
    for turn in (turns.together, turns.alone, turns.together, turns.alone):
        with pytest.raises(KeyError), turn():
            raise KeyError
    assert (turns.working, turns.waiting) == (0, 0)


def test_recognising_a_page_takes_its_time() -> None:
    """A page that is recognised in its reader may take longer than one that is read."""
    seen: list[Limits] = []

    def read(task: Task, file: BinaryIO, limits: Limits) -> Prepared:
        seen.append(limits)
        return Prepared("", 1, 0, "", ())

    reading: Read = read
    with Path(os.devnull).open("rb") as file:
        for ocr in ("", "azure-read", NAME):
            careful(reading, LIMITS)(task(ocr=ocr), file)
    assert [limits.page_seconds for limits in seen] == [1.5, 1.5, 1.5 * RECOGNISING]
    assert [limits.more_seconds for limits in seen] == [1, 1, RECOGNISING]
