"""Attacks that an attacker in a sandbox may try. Each reader imports this, so it imports little."""

from __future__ import annotations

import ctypes
import fcntl
import gc
import os
import pickle
import socket
import struct
import subprocess
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

from ingest.extract.sandbox import isolation
from ingest.extract.sandbox.pool import OnPage

Attempt = Callable[[Path, int], object]  # of a folder and a port


class Evil:
    """Pickled, it calls any function in the process that unpickles it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def connect_unix(folder: Path, _: int) -> None:
    with socket.socket(socket.AF_UNIX) as ours:
        ours.connect(str(folder / "socket"))


def send_datagram(_: Path, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ours:
        ours.sendto(b"secret", ("127.0.0.1", port))


def ring(_: Path, __: int) -> None:
    """Set up io_uring, whose requests no filter of system calls sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(425, 8, ctypes.create_string_buffer(256)) < 0:
        raise OSError(ctypes.get_errno(), "io_uring")


def kill_own_group(_: Path, __: int) -> None:
    os.kill(0, 0)


# What seccomp refuses, and of that what Landlock does.
CONNECTING: dict[str, Attempt] = {
    "connect by TCP": lambda _, port: socket.create_connection(("127.0.0.1", port)).close(),
    "connect to a socket": connect_unix,
    "listen": lambda *_: socket.create_server(("127.0.0.1", 0)).close(),
    "send a datagram": send_datagram,
    "set up io_uring": ring,
}
STARTING: dict[str, Attempt] = {
    "run a program": lambda *_: subprocess.run(["/bin/true"], check=True),
    "become a program": lambda *_: os.execv("/bin/true", ["true"]),
    "fork": lambda *_: os.fork() or os._exit(0),
    "signal the parent": lambda *_: os.kill(os.getppid(), 0),
    "signal the group": kill_own_group,
}
CHANGING: dict[str, Attempt] = {
    "make a file": lambda folder, _: (folder / "new").write_text("new"),
    "make an empty file": lambda folder, _: (folder / "empty").touch(),
    "overwrite a file": lambda folder, _: (folder / "file").write_text("new"),
    "add to a file": lambda folder, _: (folder / "file").open("a").close(),
    "cut a file short": lambda folder, _: os.truncate(folder / "file", 0),
    "delete a file": lambda folder, _: (folder / "file").unlink(),
    "rename a file": lambda folder, _: (folder / "file").rename(folder / "other"),
    "link a file": lambda folder, _: os.link(folder / "file", folder / "other"),
    "make a link": lambda folder, _: (folder / "link").symlink_to("file"),
    "make a folder": lambda folder, _: (folder / "folder").mkdir(),
    "write to a device": lambda *_: Path("/dev/full").open("wb").close(),
}
NOTING: dict[str, Attempt] = {
    "change who may read a file": lambda folder, _: (folder / "file").chmod(0o777),
    "change the time of a file": lambda folder, _: os.utime(folder / "file", (1, 1)),
    "note something of a file": lambda folder, _: os.setxattr(folder / "file", "user.a", b"b"),
}
READING: dict[str, Attempt] = {
    "read a file": lambda folder, _: (folder / "file").read_text(),
    "list a folder": lambda folder, _: list(folder.iterdir()),
    "read who is who": lambda *_: Path("/etc/passwd").read_text(),
    "read the parent's environment": lambda *_: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "read the parent's memory": lambda *_: Path(f"/proc/{os.getppid()}/mem").read_bytes(),
    "read the home": lambda *_: list(Path.home().iterdir()),
}
ALL = {**CONNECTING, **STARTING, **CHANGING, **NOTING, **READING}
BY_LAYER = {
    "seccomp": [*CONNECTING, *STARTING, *CHANGING, *NOTING],
    "landlock": ["connect by TCP", "listen", "run a program", *CHANGING, *READING],
    # ABI 1, of Linux 5.13: it knows neither truncation nor the network.
    "old landlock": ["run a program", *CHANGING.keys() - {"cut a file short"}, *READING],
}


def prctl(option: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(*map(ctypes.c_ulong, (option, 0, 0, 0, 0))) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


# Harm to the parent that needs neither a file nor a signal.
HARM: dict[str, Callable[[], object]] = {
    "lower the parent's priority": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "bind the parent to a processor": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "schedule the parent last": lambda: os.sched_setscheduler(
        os.getppid(), os.SCHED_IDLE, os.sched_param(0)
    ),
    "have the kernel signal the parent": lambda: fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid()),
    "choose that signal": lambda: fcntl.fcntl(0, fcntl.F_SETSIG, 9),
    "fill pipes": os.pipe,
    "outlive the parent": lambda: prctl(1),
}


def harm(name: str) -> str:
    """Result of an attempt to harm the parent."""
    try:
        HARM[name]()
    except PermissionError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - it is the result
        return repr(error)
    return "done"


def result(name: str, folder: Path, port: int) -> str:
    """Result of an attempt."""
    try:
        ALL[name](folder, port)
    except PermissionError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - it is the result
        return repr(error)
    return "done"


def behave(task: tuple[str, Path, int], file: BinaryIO, on_page: OnPage) -> object:
    """Act as an attacker in a sandbox."""
    how, folder, port = task
    if how in ALL:
        return result(how, folder, port)
    if how == "all":
        return {name: result(name, folder, port) for name in ALL}
    if how == "harm":
        return {name: harm(name) for name in HARM}
    if how == "environment":
        return dict(os.environ), Path("/proc/self/environ").read_text()
    if how == "write to the document":
        try:
            os.write(file.fileno(), b"x")
        except OSError as error:
            return type(error).__name__
        return "done"
    if how == "handles":
        handles = list(Path("/proc/self/fd").iterdir())  # one of which is the listing's
        return {str(handle.readlink()) for handle in handles if handle.exists()}
    if how in ("speak", "babble", "shout", "begin"):
        (pipe,) = (o for o in gc.get_objects() if isinstance(o, Connection))
        if how == "begin":
            os.write(pipe.fileno(), b"\0\0\1\0beginning of 256 bytes")
            os._exit(0)
        spoken = pickle.dumps(Evil(folder / "by the parent"))
        pipe.send_bytes({"speak": spoken, "babble": b"pages"}.get(how) or bytes(600 << 20))
    if how == "work":
        return work()
    if how.startswith("call "):
        _, number, times = how.split()
        return [make_call(int(number)) for _ in range(int(times))][-1]
    return how


def make_call(number: int) -> int:
    """Return the error of a system call without arguments."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return 0 if libc.syscall(number, *[ctypes.c_long(0)] * 6) >= 0 else ctypes.get_errno()


def work() -> list[object]:
    """Use what reading needs: threads, late imports, native code, data files of a package."""
    import numpy as np
    import pypdf
    import pypdfium2

    from ingest.embed.minilm import local_embedder
    from ingest.pipeline.reader.page_images import encode_png

    found: list[object] = []
    thread = threading.Thread(target=found.append, args=("a thread",))
    thread.start()
    thread.join()
    square = np.ones((300, 300), np.float32)
    found += [float((square @ square)[0, 0]), pypdf.__name__, pypdfium2.__name__]
    found.append(encode_png(np.zeros((2, 2), np.uint8), 4)[1:4])
    return [*found, local_embedder(2).embed(["some words"]).shape]


def create_old_ruleset(libc: ctypes.CDLL) -> int:
    """Create a Landlock ruleset as the first kernel that had any."""
    handled = struct.pack("Q", (1 << isolation.FILE_RIGHTS[1]) - 1)
    size, flags = ctypes.c_size_t(len(handled)), ctypes.c_uint(0)
    rules: int = libc.syscall(isolation.CREATE_RULESET, handled, size, flags)
    return rules


def enter(layer: str) -> bool:
    """Give up what one layer alone takes."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    assert libc.prctl(isolation.PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) == 0
    if layer == "old landlock":
        vars(isolation)["create_ruleset"] = create_old_ruleset
    if layer.endswith("landlock"):
        return isolation.restrict_paths(libc, isolation.open_readable_paths())
    return isolation.install_filter(libc)
