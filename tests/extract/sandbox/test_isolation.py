"""An attacker who takes over a reader by means of a PDF gains nothing: each attack is tried."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from ingest.extract.sandbox import isolation, seccomp
from ingest.extract.sandbox.pool import ProcessDied, SandboxLimits, SandboxPool
from ingest.extract.sandbox.unknown_calls import MAX_CALLS
from ingest.models import Code
from tests.conftest import ROOT
from tests.extract.sandbox.attempts import (
    ALL,
    BY_LAYER,
    CHANGING,
    CONNECTING,
    NOTING,
    READING,
    STARTING,
    behave,
    result,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="what holds there is Linux's")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file and a socket, in which the user of the test may do anything."""
    (tmp_path / "file").write_text("secret")
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(str(tmp_path / "socket"))
        theirs.listen()
        yield tmp_path


@pytest.fixture
def port() -> Iterator[int]:
    """A port on this machine where somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


Call = Callable[..., object]


@pytest.fixture
def call(folder: Path, port: int) -> Iterator[Call]:
    """Have a reader try something."""
    children = SandboxPool(behave, SandboxLimits(30, 1536))

    def tried(how: str) -> object:
        with (folder / "file").open("rb") as file:
            return children((how, folder, port), file)

    yield tried
    children.close()


def state(folder: Path) -> dict[str, tuple[int, float]]:
    """All that is in a folder, with who may read it and when it was changed."""
    return {p.name: (p.stat().st_mode, p.stat().st_mtime) for p in folder.iterdir()}


@linux
def test_what_is_tried_here_can_be_done_outside(folder: Path, port: int) -> None:
    """Each attempt that the sandbox refuses succeeds outside of it."""
    leave_out = {"become a program", "set up io_uring", "note something of a file", "fork"}
    for name in [*CONNECTING, *STARTING, *READING, *NOTING]:
        if name not in leave_out and "memory" not in name:
            assert result(name, folder, port) == "done", name
    for name in CHANGING:
        for path in folder.iterdir():
            if path.name not in ("file", "socket"):
                path.rmdir() if path.is_dir() else path.unlink()
        (folder / "file").write_text("secret")
        assert result(name, folder, port) == "done", name


@linux
def test_a_reader_can_do_nothing_but_read(call: Call, folder: Path) -> None:
    """No connection, no file, no program, no look at others: each is tried, each is refused."""
    before = state(folder)
    assert call("all") == dict.fromkeys(ALL, "refused")
    assert state(folder) == before
    assert (folder / "file").read_text() == "secret"


@linux
def test_what_reading_needs_still_works(call: Call) -> None:
    """Threads, packages that are imported late, PNG files, a model on several cores: as before."""
    assert call("work") == ["a thread", 300.0, "pypdf", "pypdfium2", b"PNG", [1, 384]]


@linux
@pytest.mark.parametrize("layer", BY_LAYER)
def test_each_layer_holds_by_itself(layer: str, folder: Path, port: int) -> None:
    """If the kernel lacks one layer, the other one still holds."""
    before = state(folder)
    code = (
        "import ctypes, json, sys\n"
        "from pathlib import Path\n"
        "from tests.extract.sandbox.attempts import BY_LAYER, enter, result\n"
        f"assert enter({layer!r})\n"
        f"found = {{n: result(n, Path({str(folder)!r}), {port}) for n in BY_LAYER[{layer!r}]}}\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    assert json.loads(done.stdout) == dict.fromkeys(BY_LAYER[layer], "refused")
    assert state(folder) == before


def test_all_layers_hold_that_this_system_has() -> None:
    """Which these are is found out another way; a layer that silently does not hold is seen."""
    children = SandboxPool(behave, SandboxLimits(30, 2048))
    try:
        children.warm_up()
        (child,) = children.processes
        expected = []
        if sys.platform != "win32":
            expected.append("limits")
        if sys.platform == "linux":
            if ctypes.CDLL(None).syscall(isolation.CREATE_RULESET, None, 0, 1) > 0:
                expected.append("landlock")
            if platform.machine() in ("x86_64", "aarch64"):
                expected.append("seccomp")
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{child.reader.pid}/status").read_text().splitlines()
            )
            assert status["NoNewPrivs"] == "1"
            assert status["Seccomp"] == ("2" if "seccomp" in expected else "0")
        assert list(child.layers) == expected
    finally:
        children.close()


@linux
def test_limits_cannot_be_raised_again() -> None:
    """Limits on memory, file size and cores cannot be raised again."""
    children = SandboxPool(behave, SandboxLimits(30, 777))
    try:
        children.warm_up()
        (child,) = children.processes
        limits = Path(f"/proc/{child.reader.pid}/limits").read_text()
        values = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
        assert values["Max address space"] == [str(777 << 20)] * 2
        assert values["Max file size"] == values["Max core file size"] == ["0", "0"]
    finally:
        children.close()


def test_a_reader_is_told_no_secret(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, passwords and connection strings in my environment stay with me."""
    for name in ("AZURE_OPENAI_KEY", "IDENTITY_HEADER", "PGPASSWORD", "CONNECTION", "GH_TOKEN"):
        monkeypatch.setenv(name, "s3cret")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")

    answer = call("environment")

    assert isinstance(answer, list)
    assert "s3cret" not in str(answer)
    assert answer[0]["LC_ALL"] == "C.UTF-8"


@linux
def test_a_reader_has_no_handles_but_its_own(call: Call, folder: Path) -> None:
    """What the main process has open, an index or a lock, is out of reach of its readers."""
    with (folder / "index").open("w") as index:
        os.set_inheritable(index.fileno(), True)
        handles = call("handles")
    assert isinstance(handles, list)
    others = {name for name in set(handles) if not name.startswith(("socket:", "/proc/"))}
    assert others == {"/dev/null", "/memfd:ingest (deleted)", str(folder / "file")}
    assert sum(name.startswith("socket:") for name in set(handles)) == 1


@linux
def test_a_reader_cannot_pull_shared_memory_from_under_its_parent() -> None:
    """What both have mapped stays as large as it is, even if no filter holds."""
    from ingest.extract.sandbox.progress import ProgressBuffer, ReadProgress, create_memory

    with create_memory() as name:
        board = ProgressBuffer(name)
        board.write(ReadProgress(3, 7, 1.5))
        for size in (0, 1 << 20):
            with pytest.raises(PermissionError):
                os.truncate(name, size)
    assert board.read() == (3, 7, 1.5)


def test_the_document_itself_cannot_be_written_to(call: Call, folder: Path) -> None:
    """A reader gets it open for reading, and has no way to open it otherwise."""
    assert call("write to the document") == "OSError"
    assert (folder / "file").read_text() == "secret"


@pytest.mark.parametrize("how", ["speak", "babble", "shout", "begin"])
def test_an_answer_is_never_code(how: str, call: Call, folder: Path) -> None:
    """A reader that was taken over cannot have the main process do what it may not."""
    with pytest.raises(ProcessDied) as caught:
        call(how)
    assert caught.value.code is Code.CRASHED
    assert not (folder / "by the parent").exists()
    assert call("well") == "well"


def test_the_numbers_are_those_of_this_kernels_headers() -> None:
    """A number that is mistyped refuses the wrong call, and lets the right one through."""
    tables = (
        *(*seccomp.REFUSED_CALLS, seccomp.NOT_IMPLEMENTED_CALLS),
        *(seccomp.CALLS_BY_ARGUMENT, seccomp.ALLOWED_CALLS),
    )
    for machine in seccomp.MACHINES:
        numbers = [number for table in tables for number in table[machine].values()]
        assert len(numbers) == len(set(numbers))
        assert max(numbers) <= seccomp.NEWEST_NUMBER
    for path, machine in (
        ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "x86_64"),
        ("/usr/include/asm-generic/unistd.h", "aarch64"),
    ):
        if Path(path).exists():
            lines = [line.split() for line in Path(path).read_text().splitlines()]
            known = {
                line[1].removeprefix("__NR3264_").removeprefix("__NR_"): line[2]
                for line in lines
                if line[:1] == ["#define"] and line[2:] and line[2].isdigit()
            }
            for table in tables:
                for name, number in table[machine].items():
                    assert known[name] == str(number), name


def judge(lines: list[isolation.Instruction], arch: int, number: int, *arguments: int) -> int:
    """Decision of the kernel about a system call, by a filter of these instructions."""
    memory = {isolation.NUMBER_OFFSET: number, isolation.ARCHITECTURE_OFFSET: arch}
    memory |= {
        isolation.ARGUMENTS_OFFSET + 8 * place: value for place, value in enumerate(arguments)
    }
    loaded, place = 0, 0
    while True:
        code, yes, no, operand = lines[place]
        if code == isolation.RETURN:
            return operand
        if code == isolation.LOAD:
            loaded = memory[operand]
            place += 1
            continue
        met = {
            isolation.EQUAL: loaded == operand,
            isolation.GREATER: loaded > operand,
            isolation.ANY_BIT: bool(loaded & operand),
        }[code]
        place += 1 + (yes if met else no)


@pytest.mark.parametrize("machine", seccomp.MACHINES)
def test_the_filter_decides_alike_on_every_processor(machine: str) -> None:
    """What this machine cannot try is worked out: all that is listed is refused, no more."""
    lines = list(isolation.build_filter(machine, 77, only_known=False))
    assert len(lines) < 4096  # BPF_MAXINSNS
    arch = isolation.AUDIT_ARCH[machine]
    decide = partial(judge, lines, arch)
    refused, unknown = isolation.ERRNO | errno.EPERM, isolation.ERRNO | errno.ENOSYS

    for table in seccomp.REFUSED_CALLS:
        assert {decide(number) for number in table[machine].values()} == {refused}
    assert {decide(number) for number in seccomp.NOT_IMPLEMENTED_CALLS[machine].values()} == {
        unknown
    }
    read, write, mmap, futex = (0, 1, 9, 202) if machine == "x86_64" else (63, 64, 222, 98)
    assert {decide(number) for number in (read, write, mmap, futex)} == {isolation.ALLOW}
    assert judge(lines, arch ^ 1, read) == refused
    assert decide(seccomp.NEWEST_NUMBER + 1) == decide(0x40000000) == unknown

    by_argument = seccomp.CALLS_BY_ARGUMENT[machine]
    for arguments, name, expected in (
        ((0, 0, os.O_RDONLY), "openat", isolation.ALLOW),
        ((0, 0, os.O_WRONLY), "openat", refused),
        ((0, 0, os.O_RDWR), "openat", refused),
        ((0, 0, os.O_CREAT), "openat", refused),
        ((0, 0, os.O_TRUNC), "openat", refused),
        ((0x3D0F00,), "clone", isolation.ALLOW),  # as glibc makes threads
        ((17,), "clone", refused),  # as it forks
        ((77,), "kill", isolation.ALLOW),
        ((76,), "kill", refused),
        ((0,), "kill", refused),
        ((77,), "tgkill", isolation.ALLOW),
        ((76,), "tgkill", refused),
        ((0,), "prlimit64", isolation.ALLOW),
        ((76,), "prlimit64", refused),
        ((0, 0x5412), "ioctl", refused),
        ((0, 0x5401), "ioctl", isolation.ALLOW),
    ):
        assert decide(by_argument[name], *arguments) == expected, name


def test_a_filter_of_known_calls_allows_nothing_else() -> None:
    """A call that nobody thought of, old or new, is none that a reader on x86_64 can make."""
    lines = list(isolation.build_filter("x86_64", 77, only_known=True))
    decide = partial(judge, lines, isolation.AUDIT_ARCH["x86_64"])
    refused, unknown = isolation.ERRNO | errno.EPERM, isolation.ERRNO | errno.ENOSYS
    named = {call for table in seccomp.REFUSED_CALLS for call in table["x86_64"].values()}
    by_argument = seccomp.CALLS_BY_ARGUMENT["x86_64"]
    allowed = set(seccomp.ALLOWED_CALLS["x86_64"].values())
    assert not allowed & (named | set(by_argument.values()))
    for number in range(seccomp.NEWEST_NUMBER + 100):
        if number in by_argument.values():
            continue
        expected = refused if number in named else unknown
        assert decide(number) == (isolation.ALLOW if number in allowed else expected), number
    for name, arguments, expected in (
        ("openat", (0, 0, os.O_RDONLY), isolation.ALLOW),
        ("openat", (0, 0, os.O_RDWR), refused),
        ("clone", (0x3D0F00,), isolation.ALLOW),
        ("clone", (17,), refused),
        ("ioctl", (0, 0x5401), isolation.ALLOW),
        ("ioctl", (0, 0x5412), refused),
        ("ioctl", (0, 0x1234), refused),
        ("fcntl", (0, 3), isolation.ALLOW),
        ("fcntl", (0, 8), refused),
        ("fcntl", (0, 1033), refused),
        ("prctl", (15,), isolation.ALLOW),
        ("prctl", (38,), refused),
    ):
        assert decide(by_argument[name], *arguments) == expected, (name, arguments)


@linux
def test_calls_that_reading_does_not_need_are_counted(folder: Path) -> None:
    """By the kernel, whatever the reader says; a flood of them keeps nobody busy."""
    if platform.machine() not in seccomp.MACHINES:
        pytest.skip("there is no filter here")
    first, second, flood = seccomp.NEWEST_NUMBER + 1, 5000, seccomp.NEWEST_NUMBER + 2
    children = SandboxPool(behave, SandboxLimits(30, 1536))
    try:
        with (folder / "file").open("rb") as file:
            for number, times in ((first, 2), (second, 1), (flood, 3 * MAX_CALLS), (first, 1)):
                answer = children((f"call {number} {times}", folder, 0), file, owner="one")
                assert answer == errno.ENOSYS
            counts = children.unknown_calls.counts
            assert counts == {first: 3, second: 1, flood: MAX_CALLS}
            assert children(("call 46 1", folder, 0), file) == errno.EPERM  # sendmsg
        assert "451 (3 times)" in children.describe()[-1]
    finally:
        children.close()


@linux
def test_a_reader_may_still_end_itself(folder: Path, port: int) -> None:
    """The signal of a failed assertion in native code ends the process at once."""
    code = (
        "import os\nfrom tests.extract.sandbox.attempts import enter\n"
        "assert enter('seccomp')\nos.abort()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGABRT
