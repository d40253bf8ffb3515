"""Exclusion of sources by the globs of `--exclude`; their chunks in the index are kept.

A glob matches names relative to the root: `*` and `?` never match a "/", `**/` matches any folders,
and a glob that ends with a "/" matches everything below a folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from ingest.models import ListingIssue, Source, Unread, parent_name
from ingest.sources import Root
from ingest.sources.folder import glob_matches


@dataclass(frozen=True, slots=True)
class ExcludingRoot:
    """A root without the names that match globs."""

    root: Root
    globs: tuple[str, ...]
    exceptions: frozenset[str] = frozenset()  # names that are read even if a glob matches

    @property
    def name(self) -> str:
        return self.root.name

    def covers(self, name: str) -> bool:
        """Return whether the root covers a name and no glob excludes it."""
        return self.root.covers(name) and not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Return whether a glob excludes a name that the root covers."""
        if (parent_name(name) or name) in self.exceptions:
            return False
        return matches_any_glob(self.globs, name) and self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """List the root; an excluded source becomes Unread."""
        for item in self.root.list():
            name = (isinstance(item, ListingIssue) and item.same_as) or item.name
            if isinstance(item, ListingIssue) and item.hides:
                # It reports that sources below a folder are hidden, unless all are excluded.
                if not self.excludes_folder(name):
                    yield item
            elif isinstance(item, Unread) or name in self.exceptions:
                yield item
            elif name.endswith("/") and matches_any_glob(self.globs, name):
                continue
            elif matches_any_glob(self.globs, name):
                yield Unread(item.root, item.name, excluded=True)
            else:
                yield item

    def excludes_folder(self, folder: str) -> bool:
        """Return whether every possible name below a folder is excluded."""
        if any(name.startswith(folder) for name in self.exceptions):
            return False
        return any(
            glob.endswith("**") and glob_matches(glob, folder)
            for glob in map(normalize_glob, self.globs)
        )

    def find(self, name: str) -> Source:
        """Return the current state of a source, excluded or not."""
        return self.root.find(name)

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """Open a source."""
        return self.root.open(source)


def exclude_globs(roots: Iterable[Root], globs: Sequence[str]) -> list[Root]:
    """Wrap roots so that they exclude the names that globs match."""
    return [ExcludingRoot(root, tuple(globs)) if globs else root for root in roots]


def is_excluded(root: Root, name: str) -> bool:
    """Return whether a root excludes a name by a glob."""
    return isinstance(root, ExcludingRoot) and root.excludes(name)


def without_exclusion(root: Root) -> Root:
    """Return the root without its exclusions."""
    return root.root if isinstance(root, ExcludingRoot) else root


def matches_any_glob(globs: Iterable[str], name: str) -> bool:
    """Return whether a glob matches a source, or the document that it is attached to."""
    of = parent_name(name) or name
    return any(glob_matches(normalize_glob(glob), of) for glob in globs)


def normalize_glob(glob: str) -> str:
    """Return a glob; one that names a folder ("drafts/") matches all names below it."""
    return f"{glob}**" if glob.endswith("/") else glob


def parse_glob(text: str) -> str:
    """Parse a glob of `--exclude`. Raises ValueError."""
    if not text or text.startswith(("/", "./", "../")) or "://" in text:
        raise ValueError("a glob of names relative to the root, as in drafts/** or **/old-*.pdf")
    return text
