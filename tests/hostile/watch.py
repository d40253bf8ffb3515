"""How much memory the children of a process take, seen from outside. Linux only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OFTEN = 0.05  # seconds; the kernel remembers peaks, so only the last moment of a child is missed


class Peaks:
    """The most that any one child has had, in MB."""

    resident = 0.0
    address_space = 0.0

    def look(self, pid: int) -> None:
        """Note what the children of a process have had so far."""
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):
                for child in task.read_text().split():
                    self.note(Path(f"/proc/{child}/status"))

    def note(self, status: Path) -> None:
        """The peaks of one process."""
        with suppress(OSError):
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            if "VmHWM" in lines:
                self.resident = max(self.resident, megabytes(lines["VmHWM"]))
                self.address_space = max(self.address_space, megabytes(lines["VmPeak"]))


def megabytes(text: str) -> float:
    """What the kernel says in kB."""
    return int(text.split(maxsplit=1)[0]) / 1024


@contextmanager
def watched(pid: int) -> Iterator[Peaks]:
    """The peaks of the children of a process, for as long as one looks."""
    peaks, over = Peaks(), threading.Event()

    def go_on() -> None:
        while not over.wait(OFTEN):
            peaks.look(pid)

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield peaks
    finally:
        over.set()
        thread.join()
