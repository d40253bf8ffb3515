"""Peak memory of the children of a process, measured from outside. Linux only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

POLL_SECONDS = 0.05  # the kernel keeps peaks, so only the last moment of a child is missed


class Peaks:
    """Peak memory of the largest child, in MB."""

    resident = 0.0
    address_space = 0.0

    def update(self, pid: int) -> None:
        """Record the peaks of the children of a process so far."""
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in task.read_text().split():
                    self.read_status(Path(f"/proc/{child}/status"))

    def read_status(self, status: Path) -> None:
        """Record the peaks of one process, from its status file."""
        with suppress(OSError):
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            if "VmHWM" in lines:
                self.resident = max(self.resident, megabytes(lines["VmHWM"]))
                self.address_space = max(self.address_space, megabytes(lines["VmPeak"]))


def megabytes(text: str) -> float:
    """Convert an amount that the kernel gives in kB."""
    return int(text.split(maxsplit=1)[0]) / 1024


@contextmanager
def watch_children(pid: int) -> Iterator[Peaks]:
    """Measure the peaks of the children of a process during the block."""
    peaks, over = Peaks(), threading.Event()

    def poll() -> None:
        while not over.wait(POLL_SECONDS):
            peaks.update(pid)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()
