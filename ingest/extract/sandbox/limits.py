"""Limits of a sandbox process, and the errors of one that exceeded them or died."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ingest.errors import DocumentError
from ingest.extract.sandbox.progress import ReadProgress
from ingest.models import Code


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Time and memory limits of one document."""

    seconds: float  # for the document, without the allowance for its pages
    megabytes: int  # address space of the process
    page_seconds: float = 30.0  # for any one page
    seconds_per_page: float = 1.0  # allowance added for each page
    max_timed_pages: float = math.inf  # pages that add to it, as a file may claim any number
    require_layers: bool = False  # read nothing without all layers of the sandbox
    max_seconds: float = math.inf  # whatever the number of pages
    group_seconds: float = 0.0  # of CPU, after which a process reads no other document

    def total_seconds(self, pages: int) -> float:
        """Return the time limit, in seconds, of a document with this number of pages."""
        allowed = self.seconds + min(pages, self.max_timed_pages) * self.seconds_per_page
        return min(allowed, self.max_seconds)


class ProcessDied(DocumentError):
    """The sandbox process died, so another way of reading the document may succeed."""


class TimedOut(ProcessDied):
    """The sandbox process exceeded a time limit; says at which page."""

    def __init__(self, reason: str, progress: ReadProgress, *, overdue: bool) -> None:
        super().__init__(reason, Code.TOO_SLOW)
        self.page = progress.page
        self.pages = progress.pages
        self.overdue = overdue  # the document took too long, not one page


def timed_out_error(progress: ReadProgress, limits: SandboxLimits, *, overdue: bool) -> TimedOut:
    """Return the error for a child that took too long."""
    if overdue:
        seconds, setting = limits.total_seconds(progress.pages), "INGEST_DOCUMENT_SECONDS"
        reason = f"reading it took over {seconds:.4g} s; {setting} allows more"
    else:
        seconds, setting = limits.page_seconds, "INGEST_PAGE_SECONDS"
        reason = f"page {progress.page} took over {seconds:.4g} s; {setting} allows more"
    return TimedOut(reason, progress, overdue=overdue)
