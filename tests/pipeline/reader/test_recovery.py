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
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest

from ingest.errors import DocumentError
from ingest.extract.limits import MAX_PAGES
from ingest.extract.ocr.local import ENGINE_NAME
from ingest.extract.sandbox.answers import MAX_ANSWER_BYTES
from ingest.extract.sandbox.pool import OnPage, ProcessDied, SandboxLimits, SandboxPool, TimedOut
from ingest.extract.sandbox.progress import ReadProgress
from ingest.models import Code, Details, PreparedDocument, Recipe, Source
from ingest.pipeline.reader.attachments import MAX_ATTACHMENTS, prepare_with_attachments
from ingest.pipeline.reader.budget import RETRY_FACTOR, FileBudget
from ingest.pipeline.reader.prepare import Prepare, Task
from ingest.pipeline.reader.read import DocumentReader
from ingest.pipeline.reader.recovery import (
    BYTES_PER_TIMED_PAGE,
    OCR_TIME_FACTOR,
    Read,
    ReadWriteLock,
    read_with_recovery,
)
from ingest.runtime.timing import HANGING_PAGES, Stopwatch

RECIPE = Recipe("auto", 512, 0.12, "none", 384)
# Of the document: more than a busy machine takes to start its processes.
LIMITS = SandboxLimits(240, 1024, page_seconds=1.5)


def task(**values: Any) -> Task:
    source = Source("/root", "a.pdf", "/root/a.pdf", 100_000, "1")
    return replace(Task(source, "", RECIPE, "auto"), **values)


def misbehave(task: Task, file: BinaryIO, on_page: OnPage) -> int:
    """Read a document that says what it does to its reader."""
    file.seek(0)
    does = json.load(file)
    time.sleep(does.get("opening", 0))
    for page in range(1, does["pages"] + 1):
        if page in task.hanging_pages:
            continue
        on_page(page, does["pages"])
        time.sleep(does.get("every", 0))
        time.sleep(600 * (page in does.get("hangs", ())))
        if page in does.get("crashes", ()) and task.extractor in does["engines"]:
            os.kill(os.getpid(), getattr(signal, does.get("signal", "SIGABRT")))
        if page in does.get("bursts", ()) and task.extractor in does["engines"]:
            bytearray(8 << 30)
    on_page(0, does["pages"])
    time.sleep(does.get("closing", 0))
    return int(does["pages"])


def empty_document(task: Task, pages: int) -> PreparedDocument:
    """A document without text."""
    details = Details(missing=tuple(sorted(task.hanging_pages)), producer=task.extractor)
    return PreparedDocument("fingerprint", pages, 0, "", (), details)


Call = Callable[..., PreparedDocument]


@dataclass
class Scripted:
    """A sandbox whose answers a test chooses."""

    read: Read
    limits: SandboxLimits = LIMITS

    def __call__(
        self, task: Task, file: BinaryIO, limits: SandboxLimits, *_: object
    ) -> PreparedDocument | None:
        return self.read(task, file, limits)


def recover(read: Read, limits: SandboxLimits = LIMITS) -> Prepare:
    """Read as a run does, without the steps before."""
    lock = ReadWriteLock()
    return lambda task, file: read_with_recovery(read, task, file, limits, lock)


@contextmanager
def open_reader(folder: Path, limits: SandboxLimits = LIMITS) -> Iterator[Call]:
    """Real children, and a real file for each document."""
    children = SandboxPool(misbehave, limits, int, accept=empty_document)
    prepare = recover(children, limits)

    def call(how: Task | None = None, **does: Any) -> PreparedDocument:
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
    with open_reader(tmp_path) as call:
        made = call(pages=10, hangs=[4])
    assert made.details.missing == (4,)
    assert made.details.producer == "auto"


def test_several_pages_may_hang(tmp_path: Path) -> None:
    """The first and the last page are pages like others."""
    with open_reader(tmp_path) as call:
        assert call(pages=6, hangs=[1, 3, 6]).details.missing == (1, 3, 6)
        assert call(pages=2).details.missing == ()


def test_pages_read_before_the_time_was_up_are_kept(tmp_path: Path) -> None:
    """A document that takes for ever gives as much as its time allows."""
    limits = SandboxLimits(4, 1024, page_seconds=4, seconds_per_page=0)
    with open_reader(tmp_path, limits) as call:
        missing = call(pages=10, every=0.8).details.missing  # 4 s of 8
    assert missing
    assert missing == tuple(range(missing[0], 11))
    assert missing[0] > 1


def test_many_pages_that_hang_do_not_add_up(tmp_path: Path) -> None:
    """The time of the whole document bounds what hanging pages take one by one."""
    limits = SandboxLimits(4, 1024, page_seconds=1.5, seconds_per_page=0.01)
    with open_reader(tmp_path, limits) as call:
        missing = call(pages=100, hangs=list(range(2, 101))).details.missing
    assert missing == tuple(range(2, 101))


def test_the_attempts_share_the_time_of_the_document() -> None:
    """A page that hung has used time that the others do not get again."""
    seen: list[SandboxLimits] = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        seen.append(limits)
        time.sleep(0.2)
        if not task.hanging_pages:
            raise TimedOut("slow", ReadProgress(2, 5, 0.0), overdue=False)
        return PreparedDocument("", 5, 0, "", ())

    with Path(os.devnull).open("rb") as file:
        assert recover(read)(task(), file)
    first, second = (limits.total_seconds(5) for limits in seen)
    assert first == LIMITS.total_seconds(5) > LIMITS.seconds
    assert 0 < second <= first - 0.2


def test_a_page_that_hangs_is_said_to_have_held_up_the_run() -> None:
    """What it took is told from reading, or I would be sent to buy cores."""
    times = Stopwatch()

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        time.sleep(0.05)
        if not task.hanging_pages:
            raise TimedOut("slow", ReadProgress(2, 5, 0.0), overdue=False)
        return PreparedDocument("", 5, 0, "", ())

    begun = time.monotonic()
    with Path(os.devnull).open("rb") as file:
        reader = DocumentReader(cast("Any", Scripted(read)), nullcontext(), times, RECIPE)
        assert reader.read_text(FileBudget(LIMITS), task(), file)
    assert 0.05 <= times.thread_seconds(HANGING_PAGES) <= time.monotonic() - begun - 0.05


def test_the_first_document_waits_for_the_sandbox_that_is_starting() -> None:
    """A run that begins does not start another one for it."""
    turn, waits = threading.Semaphore(1), []
    sandbox = SimpleNamespace(warm_up=lambda: waits.append(not turn.acquire(blocking=False)))
    DocumentReader(cast("Any", sandbox), turn, Stopwatch(), RECIPE).warm_up()
    assert waits == [True]


def test_a_small_file_gets_no_time_for_a_million_pages() -> None:
    """What a document says of itself does not let it hold a reader for days."""
    seen: list[SandboxLimits] = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        seen.append(limits)
        return PreparedDocument("", 1, 0, "", ())

    with Path(os.devnull).open("rb") as file:
        recover(read)(task(), file)
    assert seen[0].total_seconds(1_000_000) == LIMITS.total_seconds(100_000 // BYTES_PER_TIMED_PAGE)


def test_no_page_that_could_be_read_is_too_slow(tmp_path: Path) -> None:
    """Without any text it is a failure, with a name and a remedy."""
    with open_reader(tmp_path) as call:
        with pytest.raises(
            TimedOut, match=r"page 1 took over 1\.5 s; INGEST_PAGE_SECONDS"
        ) as caught:
            call(task(extractor="pdfium"), pages=1, hangs=[1])
        assert caught.value.code is Code.TOO_SLOW
        with pytest.raises(TimedOut, match="page 2 took"):
            call(task(extractor="pdfium"), pages=2, hangs=[1, 2])


@pytest.mark.parametrize("when", ["opening", "closing"])
def test_a_document_that_hangs_outside_its_pages_is_too_slow(tmp_path: Path, when: str) -> None:
    """No page is to blame for an endless outline, so none is left out in turn."""
    limits = SandboxLimits(3, 1024, page_seconds=1.5, seconds_per_page=0.1)
    with (
        open_reader(tmp_path, limits) as call,
        pytest.raises(TimedOut, match=r"it took over 3(\.3)? s; INGEST_DOCUMENT_SECONDS"),
    ):
        call(task(extractor="pdfium"), pages=3, **{when: 600})


def test_what_hangs_one_engine_is_tried_with_the_other(tmp_path: Path) -> None:
    """A quirk of one engine that leaves no page does not cost the document."""
    calls: list[Task] = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        calls.append(task)
        if task.extractor == "auto":
            raise TimedOut("slow", ReadProgress(0, 0, 0.0), overdue=True)
        return PreparedDocument("", 1, 0, "", ())

    with Path(os.devnull).open("rb") as file:
        assert recover(read)(task(), file)
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
    with open_reader(tmp_path) as call:
        assert call(pages=3, **does).details == Details(producer="pypdf")
        with pytest.raises(ProcessDied) as caught:
            call(pages=3, **does, engines=["auto", "pypdf"])
        assert caught.value.code is code
        assert call(pages=3).details.producer == "auto"


def test_a_forced_engine_gets_a_second_chance_itself(tmp_path: Path) -> None:
    """If I choose one engine, I never get the text of the other."""
    extractors = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        extractors.append(task.extractor)
        raise ProcessDied(f"crash {len(extractors)}", Code.CRASHED)

    with Path(os.devnull).open("rb") as file, pytest.raises(ProcessDied, match="crash 1"):
        recover(read)(task(extractor="pdfium"), file)
    assert extractors == ["pdfium", "pdfium"]


def test_a_document_that_is_refused_is_not_read_twice() -> None:
    """A password is not found by asking again."""
    calls = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        calls.append(task)
        raise DocumentError("locked", Code.ENCRYPTED)

    with Path(os.devnull).open("rb") as file, pytest.raises(DocumentError, match="locked"):
        recover(read)(task(), file)
    assert len(calls) == 1


def test_a_crash_is_followed_by_a_reading_alone() -> None:
    """After a crash, a document is read alone, so that its memory endangers no other."""
    lock, busy, most = threading.Lock(), 0, 0
    crowd: list[int] = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
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
                raise ProcessDied("crash", Code.CRASHED)
            return PreparedDocument("", 1, 0, "", ())
        finally:
            with lock:
                busy -= 1

    prepare: Prepare = recover(read)

    def call(name: str) -> PreparedDocument | None:
        with Path(os.devnull).open("rb") as file:
            return prepare(task(source=Source("", name, "", 1, "1")), file)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(call, ["well", "crash", "well", "crash", *["well"] * 12]))
    assert most > 1
    assert set(crowd) == {1}
    assert len(crowd) == 40


def test_a_reading_that_fails_gives_its_turn_back() -> None:
    """Whatever happens to one document, the next one has its turn."""
    turns = ReadWriteLock()
    for turn in (turns.shared, turns.exclusive, turns.shared, turns.exclusive):
        with pytest.raises(KeyError), turn():
            raise KeyError
    assert (turns.holders, turns.exclusive_waiting) == (0, 0)


def test_recognising_a_page_takes_its_time() -> None:
    """A page that is recognised in its reader may take longer than one that is read."""
    seen: list[SandboxLimits] = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        seen.append(limits)
        return PreparedDocument("", 1, 0, "", ())

    reading: Read = read
    with Path(os.devnull).open("rb") as file:
        for ocr in ("", "azure-read", ENGINE_NAME):
            recover(reading)(task(ocr=ocr), file)
    assert [limits.page_seconds for limits in seen] == [1.5, 1.5, 1.5 * OCR_TIME_FACTOR]
    assert [limits.seconds_per_page for limits in seen] == [1, 1, OCR_TIME_FACTOR]


def test_pdfs_inside_share_the_time_of_their_file() -> None:
    """A small file with slow PDFs inside holds a reader no longer than a document may take."""
    budget = FileBudget(SandboxLimits(2, 1024, page_seconds=2))
    outer = task(source=Source("/root", "a.pdf", "/root/a.pdf", 2_800, "1"))
    longest = 2 + 2_800 / BYTES_PER_TIMED_PAGE
    assert budget.limits_of(outer).max_seconds == RETRY_FACTOR * longest
    budget.count(PreparedDocument("", 1, 0, "", ()))
    inner = replace(outer, attachment_path=("b.pdf",))
    for spent in (0.5, 1.0):
        budget.seconds += spent
        left = budget.limits_of(inner)
        assert left.seconds == 3 - budget.seconds
        assert left.max_seconds <= longest - budget.seconds
    budget.seconds += 2
    with pytest.raises(
        DocumentError, match="the time limit of the file that contains it is used up"
    ) as caught:
        budget.limits_of(inner)
    assert caught.value.code is Code.TOO_SLOW


def test_pdfs_inside_share_the_pages_of_their_file() -> None:
    """A thousand PDFs in one do not fill the memory or the index either."""
    budget = FileBudget(LIMITS)
    budget.count(PreparedDocument("", MAX_PAGES, 0, "", ()))
    with pytest.raises(DocumentError, match="more than 100,000 pages"):
        budget.count(PreparedDocument("", 1, 0, "", ()))


def test_pdfs_inside_share_the_memory_of_their_results() -> None:
    """Of a thousand PDFs in one, those are kept that fit together into one document's result."""
    budget = FileBudget(LIMITS)
    inside = tuple(f"{number}.pdf" for number in range(MAX_ATTACHMENTS))

    def prepare(task: Task, _: BinaryIO) -> PreparedDocument:
        budget.count_answer(task, MAX_ANSWER_BYTES // 10)
        names = () if task.attachment_path else inside
        return PreparedDocument("", 1, 0, "", (), Details(attachments=names))

    made = prepare_with_attachments(task(), cast("Any", None), prepare)
    assert made
    results = [attached.result for attached in made.attached]
    refused = [result for result in results if isinstance(result, DocumentError)]
    assert (len(results), len(refused)) == (MAX_ATTACHMENTS, MAX_ATTACHMENTS - 9)
    assert {error.code for error in refused} == {Code.TOO_LARGE}
    budget.count_answer(task(), MAX_ANSWER_BYTES)  # of the file itself: as large as any


def test_drawing_the_scans_of_a_file_has_an_end() -> None:
    """Ten thousand pages that take long to draw hold no reader for days."""
    budget = FileBudget(LIMITS)
    longest = RETRY_FACTOR * (240 + 100_000 // BYTES_PER_TIMED_PAGE)
    assert budget.drawing_limits(task()).total_seconds(MAX_PAGES) == longest / RETRY_FACTOR
    budget.drawing_seconds = longest - 1
    assert budget.drawing_limits(task(attachment_path=("b.pdf",))).total_seconds(MAX_PAGES) == 1
    budget.drawing_seconds = longest
    with pytest.raises(DocumentError, match="INGEST_DOCUMENT_SECONDS allows more"):
        budget.drawing_limits(task())


def test_what_hangs_again_and_again_ends_with_its_file() -> None:
    """No attempt begins after the last moment of a file, whatever there would be to try."""
    tried: list[SandboxLimits] = []

    def read(task: Task, file: BinaryIO, limits: SandboxLimits) -> PreparedDocument:
        tried.append(limits)
        raise TimedOut("slow", ReadProgress(2, 5, 0.0), overdue=False)

    limits = replace(LIMITS, max_seconds=-1.0)
    with Path(os.devnull).open("rb") as file, pytest.raises(TimedOut):
        recover(read, limits)(task(), file)
    assert len(tried) == 1
