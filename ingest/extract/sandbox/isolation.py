"""What a process that reads documents gives up for good before it is given the first one.

Afterwards it can open no connection, change no file, start no program, neither signal nor look into
another process, and read no file but Python's and the system's own; as far as the platform lets an
unprivileged process arrange that. Each layer holds by itself, so that a kernel may lack the other.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

from ingest.extract.sandbox import seccomp as syscalls

# linux/prctl.h, linux/seccomp.h, linux/audit.h
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
FILTER_FLAG_TSYNC = 1  # all threads, those that libraries may have started too
FILTER_FLAG_SPEC_ALLOW = 4  # the mitigations of older kernels slow everything, and protect others
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
EPERM, ENOSYS = 1, 38

# linux/filter.h; the offsets are those of struct seccomp_data on a little-endian machine.
LOAD, EQUAL, GREATER, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16

# linux/landlock.h: the system calls have these numbers everywhere.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # how many an ABI knows; later ones have 16
NETWORK_RIGHTS, SCOPE_RIGHTS = (
    0b11,
    0b11,
)  # bind, connect by TCP, from ABI 4; abstract sockets, signals: ABI 6

# Besides Python's own: shared libraries, fonts and time zones, what tells the cores and the memory.
SYSTEM_PATHS = (
    *("/usr", "/lib", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm"),
    *("/sys/devices/system", "/sys/fs/cgroup"),
)

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def enter() -> tuple[str, ...]:
    """Give it all up, and say which layers hold: of limits, landlock, seccomp."""
    layers = []
    if limit_files():
        layers.append("limits")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        # Without it neither of the two may be asked for; with it no program has more rights.
        if libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) == 0:
            if restrict_paths(libc, readable_paths()):
                layers.append("landlock")
            if install_filter(libc):
                layers.append("seccomp")
    return tuple(layers)


def limit_files() -> bool:
    """No byte can be added to a file, no core be dumped."""
    if sys.platform == "win32":
        return False
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return True


def readable_paths() -> Iterator[str]:
    """The files and folders that may be read: what Python and its packages are made of."""
    yield from SYSTEM_PATHS
    yield from (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    yield str(Path(__file__).resolve().parents[2])  # this package, lately imported parts of it too
    private = [Path.cwd(), *home_folders()]
    for entry in map(Path, filter(None, sys.path)):
        # Where people keep their documents, Python may look for modules too.
        if not any(place.is_relative_to(entry.resolve()) for place in private):
            yield str(entry)


def home_folders() -> Iterator[Path]:
    """The home of whoever runs this, where there is one."""
    with contextlib.suppress(RuntimeError):  # a container's user may be a mere number
        yield Path.home().resolve()


def restrict_paths(libc: ctypes.CDLL, paths: Iterator[str]) -> bool:
    """No file can be changed, none beside these be read; no TCP, where the kernel knows that."""
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(ASK_VERSION))
    if version < 1:
        return False
    handled = struct.pack(
        "QQQ",
        (1 << FILE_RIGHTS.get(version, 16)) - 1,
        NETWORK_RIGHTS if version >= 4 else 0,  # noqa: PLR2004 - the ABI that brought it
        SCOPE_RIGHTS if version >= 6 else 0,  # noqa: PLR2004 - the ABI that brought it
    )
    rules = libc.syscall(CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint(0))
    if rules < 0:
        return False
    try:
        for path in paths:
            allow_reading(libc, rules, path)
        done: int = libc.syscall(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0))
        return done == 0
    finally:
        os.close(rules)


def allow_reading(libc: ctypes.CDLL, rules: int, path: str) -> None:
    """Except one file, or a folder and all below it, if it is there."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rights = READ_FILE | READ_DIR if Path(path).is_dir() else READ_FILE
        rule = struct.pack("=Qi", rights, place)
        libc.syscall(ADD_RULE, ctypes.c_int(rules), PATH_BENEATH, rule, ctypes.c_uint(0))
    finally:
        os.close(place)


class FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install_filter(libc: ctypes.CDLL) -> bool:
    """No refused system call can be made."""
    machine = os.uname().machine
    if machine not in syscalls.MACHINES:
        return False
    lines = list(build_filter(machine, os.getpid()))
    code = b"".join(struct.pack("HBBI", *line) for line in lines)
    done: int = libc.syscall(
        ctypes.c_long(syscalls.CALLS_BY_ARGUMENT[machine]["seccomp"]),
        ctypes.c_uint(SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(FILTER_FLAG_TSYNC | FILTER_FLAG_SPEC_ALLOW),
        ctypes.byref(FilterProgram(len(lines), code)),
    )
    return done == 0


def build_filter(machine: str, pid: int) -> Iterator[Instruction]:
    """The filter, for a process with this number: what it does not name is allowed."""
    allowed, refused, unknown = ((RETURN, 0, 0, v) for v in (ALLOW, ERRNO | EPERM, ERRNO | ENOSYS))
    yield from [(LOAD, 0, 0, ARCHITECTURE_OFFSET), (EQUAL, 1, 0, AUDIT_ARCH[machine]), refused]
    # What is newer than the list, or a call by another numbering.
    yield from [(LOAD, 0, 0, NUMBER_OFFSET), (GREATER, 0, 1, syscalls.NEWEST_NUMBER), unknown]
    for table in syscalls.REFUSED_CALLS:
        for number in table[machine].values():
            yield from [(EQUAL, 0, 1, number), refused]
    for number in syscalls.NOT_IMPLEMENTED_CALLS[machine].values():
        yield from [(EQUAL, 0, 1, number), unknown]
    numbers = syscalls.CALLS_BY_ARGUMENT[machine]
    for rule in syscalls.argument_rules(pid):
        if rule.name in numbers:
            test = EQUAL if rule.exactly else ANY_BIT
            yes, no = (allowed, refused) if rule.allowed else (refused, allowed)
            yield from [
                (EQUAL, 0, 4, numbers[rule.name]),
                (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * rule.argument),
            ]
            yield from [(test, 0, 1, rule.operand), yes, no]
    yield allowed
