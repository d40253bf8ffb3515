"""Drop the privileges of a sandbox process: resource limits, Landlock and seccomp.

Afterwards the process can open no connection, change no file, start no program, neither signal nor
inspect another process, and read no files except those of Python and the system, as far as the
platform lets an unprivileged process arrange that. The layers are independent: a kernel that lacks
one still applies the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeAlias

from ingest.extract.sandbox import seccomp

# linux/prctl.h, linux/seccomp.h, linux/audit.h
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_SET_MODE_FILTER = 1
FILTER_FLAG_TSYNC = 1  # apply to all threads, those that libraries have started too
FILTER_FLAG_SPEC_ALLOW = 4  # mitigations of older kernels slow it, and protect only others
FILTER_FLAG_NEW_LISTENER = 1 << 3  # return a handle that calls are reported to
FILTER_FLAG_TSYNC_ESRCH = 1 << 4  # with it, a thread that cannot be synchronised is an error
ALLOW, NOTIFY, ERRNO = 0x7FFF0000, 0x7FC00000, 0x00050000
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
EPERM, ENOSYS = 1, 38

# linux/capability.h
CAPABILITY_VERSION_3, CAPABILITY_BYTES = 0x20080522, 24
KEPT_CAPABILITIES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH

# linux/filter.h; the offsets are those of struct seccomp_data on a little-endian machine.
LOAD, EQUAL, GREATER, ANY_BIT, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
INSTRUCTION_BYTES = 8
SOME_PID = 0x7EADBEEF  # no process has it: ids are below 2 ** 22
NUMBER_OFFSET, ARCHITECTURE_OFFSET, ARGUMENTS_OFFSET = 0, 4, 16

# linux/landlock.h: the system calls have these numbers everywhere.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
READ_FILE, READ_DIR = 1 << 2, 1 << 3
FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}  # number of file rights by ABI; later ones have 16
NETWORK_RIGHTS = 0b11  # bind and connect by TCP, from ABI 4
SCOPE_RIGHTS = 0b11  # abstract sockets and signals, from ABI 6

OWN_PATH = "/proc/self"

# Readable besides Python's own files: shared libraries, fonts, time zones, CPU and memory counts.
SYSTEM_PATHS = (
    *("/usr", "/lib", "/lib64", "/nix/store", "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts"),
    *("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm"),
    *("/sys/devices/system", "/sys/fs/cgroup"),
)

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def prepare_isolation() -> None:
    """Do in advance the work that all processes forked from this one have in common."""
    if sys.platform == "linux":
        open_readable_paths()
        machine = os.uname().machine
        if machine in seccomp.MACHINES:
            assemble_filter(machine, counts_unknown=True)


# Sends a handle to the parent.
SendListener: TypeAlias = Callable[[int], None]


def enter(send_listener: SendListener | None = None) -> tuple[str, ...]:
    """Drop privileges. Return the active layers: a subset of limits, landlock, seccomp.

    `send_listener` gets the handle to which unknown calls are reported, if the kernel does that.
    """
    layers = []
    if limit_files():
        layers.append("limits")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall.restype = ctypes.c_long
        drop_capabilities(libc)
        # Both layers require it. With it, no program can gain privileges.
        if libc.prctl(PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0))) == 0:
            own = open_path(OWN_PATH)  # not that of the process that prepared the others
            if restrict_paths(libc, [*open_readable_paths(), *([own] if own else [])]):
                layers.append("landlock")
            if install_filter(libc, send_listener):
                layers.append("seccomp")
    return tuple(layers)


def drop_capabilities(libc: ctypes.CDLL) -> None:
    """Drop root's capabilities, except those to read files of other users, such as Python's.

    With CAP_SYS_PTRACE, a process reads the memory of any other.
    """
    header = struct.pack("=Ii", CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(CAPABILITY_BYTES)
    if libc.capget(header, data) == 0:
        words = struct.unpack("=6I", data.raw)  # effective, permitted, inheritable; then the rest
        kept = [words[0] & KEPT_CAPABILITIES, words[1] & KEPT_CAPABILITIES, 0, 0, 0, 0]
        libc.capset(header, struct.pack("=6I", *kept))


def limit_files() -> bool:
    """Forbid writing to files and dumping core. Return False if the platform cannot."""
    if sys.platform == "win32":
        return False
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    return True


def readable_paths() -> Iterator[str]:
    """Yield the readable files and folders: those of Python, its packages and the system."""
    yield from SYSTEM_PATHS
    yield from (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)
    yield str(Path(__file__).resolve().parents[2])  # modules of this package may be imported later
    private = [Path.cwd(), *home_folders()]
    for entry in map(Path, filter(None, sys.path)):
        # sys.path may include a folder with documents, such as the current one.
        if not any(folder.is_relative_to(entry.resolve()) for folder in private):
            yield str(entry)


def home_folders() -> Iterator[Path]:
    """Yield the home folder of the current user, if there is one."""
    with contextlib.suppress(RuntimeError):  # a container's user may have no name
        yield Path.home().resolve()


class ReadablePath(NamedTuple):
    """A file or a folder that may be read, with everything in it."""

    handle: int
    rights: int


@cache
def open_readable_paths() -> tuple[ReadablePath, ...]:
    """Open the readable paths that exist."""
    return tuple(filter(None, map(open_path, readable_paths())))


def open_path(path: str) -> ReadablePath | None:
    """Open a path for a rule; None if it does not exist."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return None
    return ReadablePath(handle, READ_FILE | READ_DIR if Path(path).is_dir() else READ_FILE)


def restrict_paths(libc: ctypes.CDLL, paths: Iterable[ReadablePath]) -> bool:
    """Apply Landlock: no file can be changed, only `paths` can be read, and no TCP from ABI 4 on.

    It closes the paths. Return False if the kernel lacks it.
    """
    try:
        rules = create_ruleset(libc)
        if rules < 0:
            return False
        for path in paths:
            rule = struct.pack("=Qi", path.rights, path.handle)
            libc.syscall(ADD_RULE, ctypes.c_int(rules), PATH_BENEATH, rule, ctypes.c_uint(0))
        done: int = libc.syscall(RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint(0))
        os.close(rules)
        return done == 0
    finally:
        for path in paths:
            os.close(path.handle)


def create_ruleset(libc: ctypes.CDLL) -> int:
    """Create a Landlock ruleset with all rights that the kernel knows; below 0 if it has none."""
    version = libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(ASK_VERSION))
    if version < 1:
        return -1
    handled = struct.pack(
        "QQQ",
        (1 << FILE_RIGHTS.get(version, 16)) - 1,
        NETWORK_RIGHTS if version >= 4 else 0,  # noqa: PLR2004 - the ABI that brought it
        SCOPE_RIGHTS if version >= 6 else 0,  # noqa: PLR2004 - the ABI that brought it
    )
    size = ctypes.c_size_t(len(handled))
    rules: int = libc.syscall(CREATE_RULESET, handled, size, ctypes.c_uint(0))
    return rules


class FilterProgram(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install_filter(libc: ctypes.CDLL, send_listener: SendListener | None = None) -> bool:
    """Apply the seccomp filter. Return False if the machine or the kernel lacks it."""
    machine = os.uname().machine
    if machine not in seccomp.MACHINES:
        return False
    if send_listener:
        flags = FILTER_FLAG_NEW_LISTENER | FILTER_FLAG_TSYNC_ESRCH
        listener = apply_filter(libc, machine, assemble_filter(machine, counts_unknown=True), flags)
        if listener >= 0:
            send_listener(listener)
            os.close(listener)
            # The calls that this took are refused from now on.
            return apply_filter(libc, machine, assemble(build_last_filter(machine))) == 0
    return apply_filter(libc, machine, assemble_filter(machine, counts_unknown=False)) == 0


@cache
def assemble_filter(machine: str, *, counts_unknown: bool) -> bytes:
    """Assemble the filter of a process whose id is SOME_PID."""
    only_known = is_measured(machine)
    return assemble(
        build_filter(machine, SOME_PID, only_known=only_known, counts_unknown=counts_unknown)
    )


def assemble(program: Iterable[Instruction]) -> bytes:
    """Assemble a BPF program."""
    return b"".join(struct.pack("HBBI", *line) for line in program)


def apply_filter(libc: ctypes.CDLL, machine: str, code: bytes, flags: int = 0) -> int:
    """Apply a filter to all threads. Return the kernel's answer: below 0 for a failure."""
    code = code.replace(struct.pack("I", SOME_PID), struct.pack("I", os.getpid()))
    done: int = libc.syscall(
        ctypes.c_long(seccomp.CALLS_BY_ARGUMENT[machine]["seccomp"]),
        ctypes.c_uint(SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(FILTER_FLAG_TSYNC | FILTER_FLAG_SPEC_ALLOW | flags),
        ctypes.byref(FilterProgram(len(code) // INSTRUCTION_BYTES, code)),
    )
    return done


def is_measured(machine: str) -> bool:
    """Return whether it is known which calls reading makes here: those of glibc on x86_64."""
    try:
        libc = os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # musl has no such name
        libc = ""
    return machine == "x86_64" and libc.startswith("glibc")


def build_filter(
    machine: str, pid: int, *, only_known: bool, counts_unknown: bool = False
) -> Iterator[Instruction]:
    """Yield the BPF program for a process id.

    System calls that it does not name are allowed, or, with `only_known`, do not exist. With
    `counts_unknown`, they are reported, and the calls of `build_last_filter` are allowed.
    """
    allowed, refused, absent = ((RETURN, 0, 0, v) for v in (ALLOW, ERRNO | EPERM, ERRNO | ENOSYS))
    unknown = (RETURN, 0, 0, NOTIFY) if counts_unknown else absent
    yield from [(LOAD, 0, 0, ARCHITECTURE_OFFSET), (EQUAL, 1, 0, AUDIT_ARCH[machine]), refused]
    # Calls newer than the list, or of another calling convention.
    yield from [(LOAD, 0, 0, NUMBER_OFFSET), (GREATER, 0, 1, seccomp.NEWEST_NUMBER), unknown]
    for table in seccomp.REFUSED_CALLS:
        for number in table[machine].values():
            yield from [(EQUAL, 0, 1, number), refused]
    for number in seccomp.NOT_IMPLEMENTED_CALLS[machine].values():
        yield from [(EQUAL, 0, 1, number), absent]
    for number in last_calls(machine) if counts_unknown else ():
        yield from [(EQUAL, 0, 1, number), allowed]
    numbers = seccomp.CALLS_BY_ARGUMENT[machine]
    for rule in seccomp.argument_rules(pid):
        if rule.name in numbers:
            test = EQUAL if rule.exactly else ANY_BIT
            yield from [
                (EQUAL, 0, 4, numbers[rule.name]),
                (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * rule.argument),
            ]
            if rule.allowed:
                yield from [(test, 0, 1, rule.operand), allowed, refused]
            else:  # further rules may refuse it
                yield from [(test, 0, 1, rule.operand), refused, (LOAD, 0, 0, NUMBER_OFFSET)]
    if not only_known:
        yield allowed
        return
    for number in (*seccomp.ALLOWED_CALLS[machine].values(), numbers["open"], numbers["openat"]):
        yield from [(EQUAL, 0, 1, number), allowed]
    for name, argument, values in seccomp.ALLOWED_ARGUMENTS:
        tests = [line for value in values for line in ((EQUAL, 0, 1, value), allowed)]
        load = (LOAD, 0, 0, ARGUMENTS_OFFSET + 8 * argument)
        yield from [(EQUAL, 0, len(tests) + 2, numbers[name]), load, *tests, refused]
    yield unknown


def build_last_filter(machine: str) -> Iterator[Instruction]:
    """Yield the BPF program that refuses the calls needed only until all filters are applied."""
    yield (LOAD, 0, 0, NUMBER_OFFSET)
    for number in last_calls(machine):
        yield from [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO | EPERM)]
    yield (RETURN, 0, 0, ALLOW)


def last_calls(machine: str) -> tuple[int, ...]:
    """Return the numbers of the calls that send a listener and apply a filter."""
    numbers = seccomp.CALLS_BY_ARGUMENT[machine]
    return numbers["seccomp"], seccomp.SENDING_CALLS[machine]["sendmsg"]
