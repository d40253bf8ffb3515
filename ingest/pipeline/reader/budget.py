"""Budget of one file: time, pages, characters and results, PDFs inside it included."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.errors import DocumentError
from ingest.extract.limits import MAX_DOCUMENT_CHARS, MAX_PAGES, too_large_error
from ingest.extract.sandbox.answers import MAX_ANSWER_BYTES
from ingest.extract.sandbox.pool import SandboxLimits
from ingest.models import Code, PreparedDocument
from ingest.pipeline.reader.prepare import Task
from ingest.pipeline.reader.recovery import scale_limits

# A file may take this many times the limit of its pages, as a document may be read again without
# pages that hang, or with the other engine; and never longer than MAX_FILE_SECONDS.
RETRY_FACTOR = 2
MAX_FILE_SECONDS = 8 * 3600.0


@dataclass(slots=True)
class FileBudget:
    """Limits that the documents of one file share, and their use so far."""

    limits: SandboxLimits
    seconds: float = 0.0  # that readers have taken
    pages: int = 0
    chars: int = 0
    answer_bytes: int = 0  # of all readers
    drawing_seconds: float = 0.0  # that renderers have taken

    def limits_of(self, task: Task) -> SandboxLimits:
        """Return the limits of the next document. Raises DocumentError if nothing is left.

        The file itself has those of a document; PDFs inside it share the rest of them.
        """
        whole = scale_limits(task, self.limits)
        left = min(MAX_FILE_SECONDS, RETRY_FACTOR * whole.total_seconds(MAX_PAGES)) - self.seconds
        if not task.attachment_path:
            return replace(self.limits, max_seconds=left)
        seconds = whole.total_seconds(self.pages) - self.seconds
        if min(seconds, left) <= 0:
            raise DocumentError(
                "the time limit of the file that contains it is used up; "
                "INGEST_DOCUMENT_SECONDS allows more",
                Code.TOO_SLOW,
            )
        pages = max(0.0, whole.max_timed_pages - self.pages)
        left = min(left, seconds + pages * whole.seconds_per_page)
        return replace(self.limits, seconds=seconds, max_timed_pages=pages, max_seconds=left)

    def drawing_limits(self, task: Task) -> SandboxLimits:
        """Return the limits for hashing or drawing pages. Raises DocumentError if none are left.

        They have as much time as the readers of the file.
        """
        whole = scale_limits(task, self.limits)
        left = min(MAX_FILE_SECONDS, RETRY_FACTOR * whole.total_seconds(MAX_PAGES))
        if left <= self.drawing_seconds:
            raise DocumentError(
                "the time limit for drawing pages of its file is used up; "
                "INGEST_DOCUMENT_SECONDS allows more",
                Code.TOO_SLOW,
            )
        return replace(whole, max_seconds=left - self.drawing_seconds)

    def count_answer(self, task: Task, size: int) -> None:
        """Count the bytes of an answer. Raises DocumentError if they are too many for one file.

        The answer for the file itself has the limit of any document.
        """
        self.answer_bytes += size
        if task.attachment_path and self.answer_bytes > MAX_ANSWER_BYTES:
            raise too_large_error(
                f"what was read of its file is larger than {MAX_ANSWER_BYTES >> 20} MB"
            )

    def count(self, document: PreparedDocument) -> None:
        """Count a document. Raises DocumentError if it is too much for one file."""
        self.pages += document.pages
        self.chars += sum(chunk.end - chunk.start for chunk in document.chunks)
        if self.pages > MAX_PAGES:
            raise too_large_error(
                f"its file has more than {MAX_PAGES:,} pages, PDFs inside included"
            )
        if self.chars > 2 * MAX_DOCUMENT_CHARS:  # chunks overlap
            millions = MAX_DOCUMENT_CHARS // 1_000_000
            raise too_large_error(
                f"the text of its file is longer than {millions} million characters"
            )
