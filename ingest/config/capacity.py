"""Cores and memory that a run may use: all of the machine's, or less in a container.

A container is limited by its control group (cgroup v1 or v2). `root` is the folder that has /proc
and /sys.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from ingest.config.run_settings import MIN_DOCUMENT_MEGABYTES
from ingest.config.settings import Settings

ROOT = Path("/")
MAX_DEFAULT_MEGABYTES = 2048
MAIN_PROCESS_MEGABYTES = 512  # of a container's memory, for all but the documents being read
MIN_WORKER_MEGABYTES = 512  # of the rest: with less, start fewer workers than there are cores


def count_cores(root: Path = ROOT) -> int:
    """Return the number of cores that this process may use."""
    cores = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    return min(cores, math.ceil(cpu_limit(root) or cores))


def count_workers(settings: Settings, root: Path = ROOT) -> int:
    """Return how many documents to read in parallel."""
    if settings.workers:
        return settings.workers
    megabytes = shared_megabytes(root)
    if megabytes is None:
        return count_cores(root)
    return max(1, min(count_cores(root), megabytes // MIN_WORKER_MEGABYTES))


def document_memory(settings: Settings, root: Path = ROOT) -> int:
    """Return the memory limit for reading one document, in MB.

    In a container, the documents read in parallel must not exceed its memory together: then the
    platform would end the run, and not only the reading of one document.
    """
    if settings.document_megabytes:
        return settings.document_megabytes
    megabytes = shared_megabytes(root)
    if megabytes is None:
        return MAX_DEFAULT_MEGABYTES
    share = megabytes // count_workers(settings, root)
    return max(MIN_DOCUMENT_MEGABYTES, min(MAX_DEFAULT_MEGABYTES, share))


def shared_megabytes(root: Path) -> int | None:
    """Return the memory of a container for all documents being read; None: no limit."""
    limit = memory_limit(root)
    return None if limit is None else (limit >> 20) - MAIN_PROCESS_MEGABYTES


def cpu_limit(root: Path = ROOT) -> float | None:
    """Return how many CPUs this process's group may use on average; None: no limit."""
    limits = []
    for folder in group_folders("cpu", root):
        with suppress(OSError, ValueError):
            limits.append(read_quota(folder))
    return min((limit for limit in limits if limit), default=None)


def memory_limit(root: Path = ROOT) -> int | None:
    """Return how many bytes of memory this process's group may use; None: no limit."""
    limits = []
    for folder in group_folders("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):  # v2, v1
            with suppress(OSError, ValueError):  # no such file, or "max"
                limits.append(int((folder / name).read_text()))
    return min(limits, default=None)


def group_folders(controller: str, root: Path) -> Iterator[Path]:
    """Yield the folders of this process's group and of those around it, whose limits hold too.

    Inside a container, the path may be the host's: only the outermost folder is there.
    """
    lines: list[str] = []
    with suppress(OSError):
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        folder = root / "sys/fs/cgroup" / (controller if controllers else "")
        yield folder
        for name in PurePosixPath(path).parts[1:]:
            folder /= name
            yield folder


def read_quota(folder: Path) -> float | None:
    """Return the CPUs of one group: CPU time over the period. Raises OSError or ValueError."""
    file = folder / "cpu.max"
    if file.exists():
        quota, period = file.read_text().split()  # v2; "max": unlimited
    else:
        quota = (folder / "cpu.cfs_quota_us").read_text()  # v1; -1: unlimited
        period = (folder / "cpu.cfs_period_us").read_text()
    return int(quota) / int(period) if int(quota) > 0 else None
