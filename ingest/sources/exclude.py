"""A root without the sources that `--exclude` names; what the index has of them stays.

A glob is one of a root's own, relative to it: `*` and `?` never match a "/", `**/` any folders. One
that ends with a "/" means all below a folder.
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
    """A root, and globs of names that are left out of it."""

    root: Root
    globs: tuple[str, ...]
    exceptions: frozenset[str] = frozenset()  # names that are read all the same

    @property
    def name(self) -> str:
        return self.root.name

    def covers(self, name: str) -> bool:
        """Whether a run on this root would have listed a name."""
        return self.root.covers(name) and not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Whether a source is left out that the root has otherwise."""
        if (parent_name(name) or name) in self.exceptions:
            return False
        return matches_any_glob(self.globs, name) and self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """What the root lists; a source that is left out becomes a file that is not read."""
        for item in self.root.list():
            if isinstance(item, ListingIssue) and item.hides:
                # It says that sources below are unseen, which matters unless all are left out.
                if not self.excludes_folder(item.name):
                    yield item
            elif isinstance(item, Unread) or item.name in self.exceptions:
                yield item
            elif item.name.endswith("/") and matches_any_glob(self.globs, item.name):
                continue
            elif matches_any_glob(self.globs, item.name):
                yield Unread(item.root, item.name, excluded=True)
            else:
                yield item

    def excludes_folder(self, folder: str) -> bool:
        """Whether every source below a folder is left out, whatever it is called."""
        if any(name.startswith(folder) for name in self.exceptions):
            return False
        return any(
            covers_folder(glob) and glob_matches(glob, folder)
            for glob in map(normalize_glob, self.globs)
        )

    def find(self, name: str) -> Source:
        """A source, even one that is left out."""
        return self.root.find(name)

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """The bytes of a source."""
        return self.root.open(source)


def exclude_globs(roots: Iterable[Root], globs: Sequence[str]) -> list[Root]:
    """The roots without what the globs name."""
    return [ExcludingRoot(root, tuple(globs)) if globs else root for root in roots]


def is_excluded(root: Root, name: str) -> bool:
    """Whether a name is left out of a root by a glob."""
    return isinstance(root, ExcludingRoot) and root.excludes(name)


def without_exclusion(root: Root) -> Root:
    """The root with what is left out of it."""
    return root.root if isinstance(root, ExcludingRoot) else root


def matches_any_glob(globs: Iterable[str], name: str) -> bool:
    """Whether a glob names a source, or the one that it is inside of."""
    of = parent_name(name) or name
    return any(glob_matches(normalize_glob(glob), of) for glob in globs)


def normalize_glob(glob: str) -> str:
    """A glob as it matches names: that of a folder matches all below it."""
    return f"{glob}**" if glob.endswith("/") else glob


def covers_folder(glob: str) -> bool:
    """Whether a glob that matches a folder matches all below it."""
    return glob.endswith("**")


def parse_glob(text: str) -> str:
    """A parser of globs of `--exclude`."""
    if not text or text.startswith(("/", "./", "../")) or "://" in text:
        raise ValueError("a glob of names relative to the root, as in drafts/** or **/old-*.pdf")
    return text
