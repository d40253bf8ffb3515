"""A child process takes the blow."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingest.errors import DocumentError
from ingest.extract.sandbox.pool import ProcessDied, SandboxLimits, SandboxPool, TimedOut
from ingest.extract.sandbox.spawn import CHILD_SCRIPT
from ingest.models import Code, Outcome
from tests.conftest import ROOT, environment
from tests.extract.sandbox.behaviour import behave
from tests.processes import PATIENCE, start, wait_until


@contextmanager
def open_pool(seconds: float = 30, page_seconds: float = 30) -> Iterator[Callable[[str], str]]:
    children = SandboxPool(behave, SandboxLimits(seconds, 1024, page_seconds))

    def call(how: str) -> str:
        with Path(os.devnull).open("rb") as file:
            return children(how, file)

    try:
        yield call
    finally:
        children.close()


def test_a_reader_whose_parent_was_killed_says_nothing() -> None:
    """After kill -9 no traceback lands on my terminal."""
    pipe, theirs = multiprocessing.Pipe()
    code = CHILD_SCRIPT.format(kind=type(theirs).__name__, handle=theirs.fileno())
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        pass_fds=[theirs.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        theirs.close()
        pipe.close()
        assert child.communicate(timeout=PATIENCE)[1] == ""


def test_a_reader_has_read_no_other_owners_documents() -> None:
    """One that a document has taken over does not see the next one; that of its owner, for a while.

    The process that readers are forked from is started once.
    """
    limits = SandboxLimits(30, 1024, group_seconds=100)
    children = SandboxPool(behave, limits)
    try:
        with Path(os.devnull).open("rb") as file:
            mine, again, yours, none, alone = (
                children("well", file, owner=owner) for owner in ("me", "me", "you", None, None)
            )
            (process,) = children.processes
            process.limits = SandboxLimits(30, 1024, group_seconds=0)
            last = [children("well", file, owner="me") for _ in range(2)]
        assert children.processes == {process}
    finally:
        children.close()
    assert mine == again != f"well by {os.getpid()}"
    assert len({mine, yours, none, alone, *last}) == 6


def test_the_process_is_given_an_open_file(tmp_path: Path) -> None:
    """The reader needs no path to a document, which may be gone by then, or never have had one."""
    children = SandboxPool(behave, SandboxLimits(30, 1024))
    try:
        for text in ("first", "second"):
            path = tmp_path / text
            path.write_text(text)
            with path.open("rb") as file:
                path.unlink()
                assert children("read", file) == text
                with pytest.raises(ProcessDied):
                    children("crash", file)
    finally:
        children.close()


def test_an_answer_that_is_too_large_for_its_file_is_not_decoded() -> None:
    """Who counts the answers of a file refuses one by its size; the next document is read."""
    children = SandboxPool(behave, SandboxLimits(30, 1024))
    sizes: list[int] = []

    def count(size: int) -> None:
        sizes.append(size)
        if len(sizes) == 1:
            raise DocumentError("enough", Code.TOO_LARGE)

    try:
        with Path(os.devnull).open("rb") as file:
            with pytest.raises(DocumentError, match="enough"):
                children("well", file, on_answer=count)
            assert children("well", file, on_answer=count).startswith("well by ")
    finally:
        children.close()
    assert all(0 < size < 100 for size in sizes)


def test_a_file_that_cannot_be_handed_over_spoils_nothing(tmp_path: Path) -> None:
    """A process left with half of a task is not given the next one."""
    children = SandboxPool(behave, SandboxLimits(30, 1024))
    path = tmp_path / "file"
    path.write_text("text")
    try:
        with path.open("rb") as file:
            assert children("read", file) == "text"
        with pytest.raises(ValueError, match="closed file"):
            children("read", file)
        with path.open("rb") as file:
            assert children("read", file) == "text"
    finally:
        children.close()


@pytest.mark.parametrize(
    ("how", "reason"),
    [("crash", "crashed the sandbox \\(SIGABRT\\)"), ("leave", "crashed the sandbox \\(exit 7\\)")],
)
def test_a_crash_is_one_failed_document(how: str, reason: str) -> None:
    """Invariant 5: the document that kills its reader is named, and the next one is read."""
    with open_pool() as call:
        with pytest.raises(ProcessDied, match=reason):
            call(how)
        assert call("well").startswith("well")


def test_a_hang_ends_at_its_deadline() -> None:
    """A document that never ends is one failed outcome, and not the night's last."""
    with open_pool(seconds=1) as call:
        call("well")
        with pytest.raises(ProcessDied, match="took over 1 s; INGEST_DOCUMENT_SECONDS allows more"):
            call("hang")
        assert call("well").startswith("well")


def test_a_page_that_hangs_is_named() -> None:
    """A page has a deadline of its own, long before the document's."""
    with open_pool(page_seconds=0.5) as call:
        call("well")
        with pytest.raises(
            TimedOut, match=r"page 3 took over 0\.5 s; INGEST_PAGE_SECONDS"
        ) as caught:
            call("page")
        assert (caught.value.page, caught.value.pages, caught.value.overdue) == (3, 9, False)
        assert caught.value.code is Code.TOO_SLOW


def test_a_page_of_the_document_before_is_not_blamed() -> None:
    """A reader that went on to another document is at no page of it yet."""
    with open_pool(seconds=1, page_seconds=0.2) as call:
        call("step")
        with pytest.raises(TimedOut, match="reading it took over 1 s") as caught:
            call("hang")
        assert (caught.value.page, caught.value.pages, caught.value.overdue) == (0, 0, True)


def test_a_task_may_have_limits_of_its_own() -> None:
    """A scan is allowed more time than a letter."""
    children = SandboxPool(behave, SandboxLimits(300, 1024))
    try:
        with Path(os.devnull).open("rb") as file, pytest.raises(TimedOut, match=r"over 0\.4 s"):
            children("hang", file, SandboxLimits(0.4, 1024))
    finally:
        children.close()


def test_the_limit_on_cpu_goes_with_the_pages() -> None:
    """A long document is not taken for a hang, and a hang on its last page is not missed."""
    with open_pool(seconds=50, page_seconds=20) as call:
        opening, reading, making = map(int, call("rates").split())
    assert 50 <= opening <= 54
    assert 20 <= reading <= 24
    assert 550 <= making <= 554


def test_the_limit_on_cpu_is_a_matter_of_time() -> None:
    """A reader that its own limit ended is as slow as one that its parent had to end."""
    with open_pool() as call, pytest.raises(TimedOut, match=r"too long \(SIGXCPU") as caught:
        call("burn")
    assert (caught.value.page, caught.value.pages) == (3, 9)


def test_a_hang_ends_when_nobody_is_left_to_end_it() -> None:
    """A run that was killed leaves no process behind that spins for ever."""
    code = (
        "import threading\n"
        "from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool\n"
        "from tests.extract.sandbox.behaviour import behave\n"
        "children = SandboxPool(behave, SandboxLimits(0.1, 1024))\n"
        "children.warm_up()\n"
        "(child,) = children.processes\n"
        "child.wait_for_answer = lambda *_: threading.Event().wait()\n"
        "print(child.reader.pid, flush=True)\n"
        "children('hang', open('/dev/null', 'rb'))\n"
    )
    with start(sys.executable, "-c", code, cwd=ROOT, env=environment()) as parent:
        pid = int(parent.stdout.wait_for(r"(\d+)\n")[1])
        parent.send(signal.SIGKILL)
        parent.popen.wait()
        wait_until(lambda: not is_alive(pid), "the reader has ended")


def is_alive(pid: int) -> bool:
    """Return whether a process is running; a zombie is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not (status.exists() and ") Z " in status.read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits an address space")
def test_memory_is_limited() -> None:
    """A bomb does not take the machine down, and the kernel ends its reader before the run."""
    with open_pool() as call:
        assert call("oom") == "1000\n"
        with pytest.raises(ProcessDied, match="needs more than 1024 MB"):
            call("grow")
        assert call("well").startswith("well")


def test_a_process_that_cannot_start_is_no_documents_fault() -> None:
    """A broken installation stops the run; it does not fail every document, three times each."""
    code = (
        "from ingest.extract.sandbox.pool import SandboxLimits, SandboxPool\n"
        "from ingest.errors import ServiceError\n"
        "import sys\n"
        "for sys.executable in ('/usr/bin/false', '/no/python'):\n"
        "    try: SandboxPool(pow, SandboxLimits(9, 1024)).warm_up()\n"
        "    except ServiceError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    broken, missing = done.stdout.splitlines()
    assert broken == "cannot start a process to read documents (exit 1)"
    assert missing.startswith("cannot start a process to read documents ([Errno 2]")


def test_a_reader_can_be_started_before_it_is_needed() -> None:
    """A first run does not wait for its readers, and has no more of them for it."""
    children = SandboxPool(behave, SandboxLimits(30, 1024))
    try:
        children.warm_up()
        (early,) = children.processes
        with Path(os.devnull).open("rb") as file:
            assert children("well", file).startswith("well")
        assert children.processes == {early}
    finally:
        children.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks readers")
def test_the_process_that_forks_readers_may_die() -> None:
    """Someone kills it: the documents after that are read by another one, and none is failed."""
    children = SandboxPool(behave, SandboxLimits(30, 1024))
    try:
        with Path(os.devnull).open("rb") as file:
            first = children("well", file, owner="me")
            server = children.server
            assert server
            server.close()
            # The reader ends with it, but on a busy machine not at once.
            second = children("well", file, owner="you")
        assert children.server is not server
    finally:
        children.close()
    assert first != second


def test_what_the_function_says_of_a_document_arrives() -> None:
    """A locked document is skipped, not failed, though the answer crossed a process."""
    with open_pool() as call, pytest.raises(DocumentError, match="locked") as caught:
        call("refuse")
    assert caught.value.outcome is Outcome.SKIPPED
    assert not isinstance(caught.value, ProcessDied)


def test_a_bug_on_one_document_is_one_failed_document() -> None:
    """An error nobody foresaw does not hide the other documents."""
    with open_pool() as call, pytest.raises(ProcessDied, match="KeyError"):
        call("trip")


def test_noise_of_native_code_does_not_reach_the_terminal(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What a library prints about a document is not part of my output."""
    with open_pool() as call:
        call("print")
    assert capfd.readouterr() == ("", "")


def test_there_are_no_more_processes_than_documents_at_a_time() -> None:
    """Two cores read two documents, whichever threads bring them."""
    children = SandboxPool(behave, SandboxLimits(30, 1024))

    def call(how: str) -> str:
        with Path(os.devnull).open("rb") as file:
            return str(children(how, file, owner="me"))

    try:
        for _ in range(3):
            with ThreadPoolExecutor(2) as threads:
                list(threads.map(call, ["well"] * 8))
        assert 1 <= len(children.processes) <= 2
    finally:
        children.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has handles of processes")
def test_a_run_leaves_no_open_handle_behind() -> None:
    """My service runs it every night in one process, which may open 1,024 files."""

    def count_handles() -> int:
        gc.collect()
        found = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
        return len([path for path in found if path.endswith("[pidfd]")])

    def read() -> None:
        with open_pool() as call:
            call("well")

    read()
    before = count_handles()
    read()
    assert count_handles() == before


def test_closing_ends_a_busy_process() -> None:
    """^C does not wait for a document that hangs."""
    with ThreadPoolExecutor(1) as threads:
        with open_pool(seconds=300) as call:
            threads.submit(call, "well").result()
            future = threads.submit(call, "hang")
        with pytest.raises(ProcessDied):
            future.result()  # though it may take 300 s
        with pytest.raises(ProcessDied):  # and none is started any more
            call("well")
