"""Deletions: whether the records whose sources vanished may be removed from the index. Pure.

Deleting needs proof, and no more goes at once than the limit, except on request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from ingest.models import DeletionsWithheld, Record, SourceResult, Unread, parent_name
from ingest.pipeline.diff import Change, Skipped, Stale, UnlistedFolder, Vanished
from ingest.pipeline.ignored_files import IgnoredFiles


@dataclass(slots=True)
class AbsenceTracker:
    """Collects vanished records, and decides whether they may be deleted."""

    prune: bool
    max_deletes: int | None  # None: default_deletion_limit()
    allow_empty: bool = False  # a root without PDFs is meant to be empty
    vanished: list[Record] = field(default_factory=list)
    unlisted_folders: list[str] = field(default_factory=list)
    present_count: int = 0
    is_complete: bool = False
    ignored: IgnoredFiles = field(default_factory=IgnoredFiles)

    def filter_changes(
        self, changes: Iterable[Change], is_stopped: Callable[[], bool]
    ) -> Iterator[Stale | SourceResult | Skipped]:
        """Yield the changes that are not absences; ends early once the callback returns True."""
        for change in changes:
            if is_stopped():
                return
            if isinstance(change, Vanished):
                self.vanished.append(change.record)
            elif isinstance(change, UnlistedFolder):
                self.unlisted_folders.append(change.name)
            elif isinstance(change, Unread):
                self.ignored.add(change)
            else:
                name = change.source if isinstance(change, SourceResult) else change.source.name
                self.present_count += not parent_name(name)
                yield change
        self.is_complete = True

    def withheld_deletions(self, root: str) -> DeletionsWithheld | None:
        """Return why the vanished sources must stay in the index; None if they may be deleted."""
        count, options = self.vanished_count, self.required_options()
        if not self.vanished:
            return None
        if not self.is_complete:
            return DeletionsWithheld(
                root, count, "the run was stopped before the listing was complete", True
            )
        if self.unlisted_folders:
            return DeletionsWithheld(
                root, count, f"{self.unlisted_folders[0]} could not be listed", True
            )
        if self.is_empty and not self.allow_empty:
            return DeletionsWithheld(
                root,
                count,
                "the root has no PDFs at all: check that it is mounted and its path is right; "
                f"if it is meant to be empty, {options} removes them",
                False,
            )
        if not self.prune:
            return DeletionsWithheld(root, count, "--no-prune", True)
        if options:
            reason = f"more than the limit of {self.limit}; {options} removes them"
            return DeletionsWithheld(root, count, reason, False)
        return None

    @property
    def vanished_count(self) -> int:
        """Number of vanished sources; attachments are deleted with theirs, and not counted."""
        return sum(not parent_name(record.source) for record in self.vanished)

    @property
    def limit(self) -> int:
        """Maximum number of sources that may be deleted."""
        if self.max_deletes is not None:
            return self.max_deletes
        return default_deletion_limit(self.vanished_count + self.present_count)

    @property
    def is_empty(self) -> bool:
        """True if the root has no PDFs, not even excluded ones."""
        return not (self.present_count or self.ignored.excluded_count)

    def required_options(self) -> str:
        """Return the options without which a run refuses to delete the vanished sources."""
        count = self.vanished_count
        empty = ["--allow-empty"] if self.is_empty and not self.allow_empty and count else []
        return " ".join([*empty, *([f"--max-deletes {count}"] if count > self.limit else [])])


def default_deletion_limit(sources: int) -> int:
    """Return how many of the sources a run may remove without an explicit limit."""
    return max(10, sources // 10)
