"""Numbers of the Linux system calls that a sandbox process is refused, and of those it may make.

On x86_64 with glibc, it may make those that reading needs, and no others; elsewhere, all that are
not refused, as each C library makes others.

Each has a number for x86_64 and one for aarch64, or "-" where there is no such call: from the
kernel's asm/unistd_64.h and asm-generic/unistd.h, as of Linux 6.1. Numbers never change, and all
calls above NEWEST_NUMBER are refused.
"""

from __future__ import annotations

from typing import NamedTuple

NEWEST_NUMBER = 450  # set_mempolicy_home_node

MACHINES = ("x86_64", "aarch64")


def parse_table(text: str) -> dict[str, dict[str, int]]:
    """Parse "name x86_64 aarch64, ..." into a table of numbers by name for each machine."""
    rows = [row.split() for row in text.split(",")]
    return {
        machine: {name: int(numbers[column]) for name, *numbers in rows if numbers[column] != "-"}
        for column, machine in enumerate(MACHINES)
    }


# Network access; io_uring too, whose requests bypass the filter.
NETWORK_CALLS = parse_table(
    """
    socket 41 198, socketpair 53 199, connect 42 203, bind 49 200, listen 50 201, accept 43 202,
    accept4 288 242, io_uring_setup 425 425, io_uring_enter 426 426, io_uring_register 427 427
    """
)

# Creating, changing or removing files and their metadata.
FILE_CALLS = parse_table(
    """
    creat 85 -, truncate 76 45, ftruncate 77 46, fallocate 285 47, mkdir 83 -, mkdirat 258 34,
    rmdir 84 -, unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276,
    link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36, mknod 133 -, mknodat 259 33,
    chmod 90 -, fchmod 91 52, fchmodat 268 53, chown 92 -, lchown 94 -, fchown 93 55,
    fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88,
    setxattr 188 5, lsetxattr 189 6, fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15,
    fremovexattr 199 16, open_by_handle_at 304 265, swapon 167 224, swapoff 168 225,
    quotactl 179 60, quotactl_fd 443 443, acct 163 89
    """
)

# Pipes hold memory that counts against no limit of the process.
PIPE_CALLS = parse_table("pipe 22 -, pipe2 293 59, vmsplice 278 75, memfd_create 319 279")

# Starting programs or processes.
PROCESS_CALLS = parse_table(
    """
    fork 57 -, vfork 58 -, execve 59 221, execveat 322 281
    """
)

# Inspecting other processes, signals, and shared memory between processes.
FOREIGN_PROCESS_CALLS = parse_table(
    """
    ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271,
    process_madvise 440 440, process_mrelease 448 448, pidfd_open 434 434, pidfd_getfd 438 438,
    pidfd_send_signal 424 424, tkill 200 130, rt_sigqueueinfo 129 138, kcmp 312 272,
    perf_event_open 298 241, bpf 321 280, userfaultfd 323 282, add_key 248 217,
    request_key 249 218, keyctl 250 219, shmget 29 194, semget 64 190, msgget 68 186,
    mq_open 240 180, migrate_pages 256 238, move_pages 279 239, setpriority 141 140,
    ioprio_set 251 30, sched_setparam 142 118, sched_setscheduler 144 119,
    sched_setaffinity 203 122, sched_setattr 314 274
    """
)

# Administration, in case the process runs as root.
ADMIN_CALLS = parse_table(
    """
    unshare 272 97, setns 308 268, chroot 161 51, pivot_root 155 41, mount 165 40,
    umount2 166 39, move_mount 429 429, open_tree 428 428, fsopen 430 430, fsconfig 431 431,
    fsmount 432 432, fspick 433 433, mount_setattr 442 442, init_module 175 105,
    finit_module 313 273, delete_module 176 106, kexec_load 246 104, kexec_file_load 320 294,
    reboot 169 142, sethostname 170 161, setdomainname 171 162, settimeofday 164 170,
    clock_settime 227 112, adjtimex 159 171, clock_adjtime 305 266, syslog 103 116
    """
)

# Calls whose arguments the filter cannot inspect; libraries fall back to the older call on ENOSYS.
NOT_IMPLEMENTED_CALLS = parse_table(
    """
    clone3 435 435, openat2 437 437
    """
)

# Calls that are refused depending on an argument, and the call that sets the filter.
CALLS_BY_ARGUMENT = parse_table(
    """
    seccomp 317 277, open 2 -, openat 257 56, clone 56 220, kill 62 129, tgkill 234 131,
    rt_tgsigqueueinfo 297 240, prlimit64 302 261, ioctl 16 29, fcntl 72 25, prctl 157 167
    """
)

# Needed by a process that reports unknown calls, until it has sent the handle for that.
SENDING_CALLS = parse_table("sendmsg 46 211")

REFUSED_CALLS = (
    NETWORK_CALLS,
    FILE_CALLS,
    PIPE_CALLS,
    PROCESS_CALLS,
    FOREIGN_PROCESS_CALLS,
    ADMIN_CALLS,
)


# All that reading needs on x86_64 with glibc 2.36, with those that the C library may use instead on
# another version. Over the samples, 319 hostile files, PDFs inside PDFs, locked files, OCR and
# rendering, the kernel reported no other call. They concern this process, its memory, and files
# that it may open.
ALLOWED_CALLS = parse_table(
    """
    read 0 -, write 1 -, close 3 -, stat 4 -, fstat 5 -, lstat 6 -, poll 7 -, lseek 8 -, mmap 9 -,
    mprotect 10 -, munmap 11 -, brk 12 -, rt_sigaction 13 -, rt_sigprocmask 14 -,
    rt_sigreturn 15 -, pread64 17 -, readv 19 -, writev 20 -, access 21 -, select 23 -,
    sched_yield 24 -, mremap 25 -, msync 26 -, mincore 27 -, madvise 28 -, dup 32 -, dup2 33 -,
    nanosleep 35 -, getpid 39 -, recvmsg 47 -, getsockname 51 -, getpeername 52 -,
    getsockopt 55 -, exit 60 -, uname 63 -, getcwd 79 -, readlink 89 -, gettimeofday 96 -,
    getrlimit 97 -, getrusage 98 -, sysinfo 99 -, times 100 -, getuid 102 -, getgid 104 -,
    geteuid 107 -, getegid 108 -, getppid 110 -, sigaltstack 131 -, statfs 137 -, fstatfs 138 -,
    gettid 186 -, time 201 -, futex 202 -, sched_getaffinity 204 -, getdents64 217 -,
    set_tid_address 218 -, restart_syscall 219 -, fadvise64 221 -, clock_gettime 228 -,
    clock_getres 229 -, clock_nanosleep 230 -, exit_group 231 -, mbind 237 -, get_mempolicy 239 -,
    newfstatat 262 -, readlinkat 267 -, faccessat 269 -, pselect6 270 -, ppoll 271 -,
    set_robust_list 273 -, get_robust_list 274 -, dup3 292 -, preadv 295 -, getcpu 309 -,
    getrandom 318 -, membarrier 324 -, statx 332 -, rseq 334 -, faccessat2 439 -
    """
)


class ArgumentRule(NamedTuple):
    """Rule that allows or refuses a call by one of its arguments."""

    name: str
    argument: int  # counted from 0
    exactly: bool  # match if it equals the operand; else if it has any bit of it
    operand: int
    allowed: bool  # True: allow the call only on a match; False: refuse it on a match


# The arguments that powerful calls may have: name, argument, values.
ALLOWED_ARGUMENTS: tuple[tuple[str, int, tuple[int, ...]], ...] = (
    ("ioctl", 1, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)),  # TCGETS to FIOCLEX
    ("fcntl", 1, (0, 1, 2, 3, 4, 1030)),  # F_DUPFD to F_SETFL, F_DUPFD_CLOEXEC
    ("prctl", 0, (15, 16, 0x53564D41)),  # PR_SET_NAME, PR_GET_NAME, PR_SET_VMA
)

WRITE_FLAGS = 0o1103  # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC
CLONE_THREAD = 0x10000
TIOCSTI = 0x5412  # injects input into the terminal
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902  # have the kernel signal another process, as by F_SETOWN
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15
PR_SET_PDEATHSIG, PR_SET_DUMPABLE = 1, 4


def argument_rules(pid: int) -> list[ArgumentRule]:
    """Return the rules for a process id."""
    return [
        ArgumentRule("open", 1, exactly=False, operand=WRITE_FLAGS, allowed=False),
        ArgumentRule("openat", 2, exactly=False, operand=WRITE_FLAGS, allowed=False),
        ArgumentRule("clone", 0, exactly=False, operand=CLONE_THREAD, allowed=True),
        ArgumentRule("kill", 0, exactly=True, operand=pid, allowed=True),
        ArgumentRule("tgkill", 0, exactly=True, operand=pid, allowed=True),
        ArgumentRule("rt_tgsigqueueinfo", 0, exactly=True, operand=pid, allowed=True),
        ArgumentRule("prlimit64", 0, exactly=True, operand=0, allowed=True),
        *(
            ArgumentRule(name, argument, exactly=True, operand=operand, allowed=False)
            for name, argument, operands in (
                ("ioctl", 1, (TIOCSTI, FIOSETOWN, SIOCSPGRP)),
                ("fcntl", 1, (F_SETOWN, F_SETSIG, F_SETOWN_EX)),
                ("prctl", 0, (PR_SET_PDEATHSIG, PR_SET_DUMPABLE)),
            )
            for operand in operands
        ),
    ]
