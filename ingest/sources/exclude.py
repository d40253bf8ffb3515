"""A root without the sources that `--exclude` names; what the index has of them stays.

A glob is one of a root's own, relative to it: `*` and `?` never match a "/", `**/` any folders. One
that ends with a "/" means all below a folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO

from ingest.model import Oddity, Source, Unread, holder
from ingest.sources import Root
from ingest.sources.folder import matches


@dataclass(frozen=True, slots=True)
class Excluding:
    """A root, and globs of names that are left out of it."""

    root: Root
    globs: tuple[str, ...]
    but: frozenset[str] = frozenset()  # names that are read all the same

    @property
    def name(self) -> str:
        return self.root.name

    def covers(self, name: str) -> bool:
        """Whether a run on this root would have listed a name."""
        return self.root.covers(name) and not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Whether a source is left out that the root has otherwise."""
        if (holder(name) or name) in self.but:
            return False
        return excluded(self.globs, name) and self.root.covers(name)

    def listed(self) -> Iterator[Source | Oddity | Unread]:
        """What the root lists; a source that is left out becomes a file that is not read."""
        for item in self.root.listed():
            if isinstance(item, Oddity) and item.hides:
                # It says that sources below are unseen, which matters unless all are left out.
                if not self.hides_nothing(item.name):
                    yield item
            elif isinstance(item, Unread) or item.name in self.but:
                yield item
            elif item.name.endswith("/") and excluded(self.globs, item.name):
                continue
            elif excluded(self.globs, item.name):
                yield Unread(item.root, item.name, excluded=True)
            else:
                yield item

    def hides_nothing(self, folder: str) -> bool:
        """Whether every source below a folder is left out, whatever it is called."""
        if any(name.startswith(folder) for name in self.but):
            return False
        return any(whole(glob) and matches(glob, folder) for glob in map(anything, self.globs))

    def opened(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """The bytes of a source."""
        return self.root.opened(source)


def excluding(roots: Iterable[Root], globs: Sequence[str]) -> list[Root]:
    """The roots without what the globs name."""
    return [Excluding(root, tuple(globs)) if globs else root for root in roots]


def excludes(root: Root, name: str) -> bool:
    """Whether a name is left out of a root by a glob."""
    return isinstance(root, Excluding) and root.excludes(name)


def whole_root(root: Root) -> Root:
    """The root with what is left out of it."""
    return root.root if isinstance(root, Excluding) else root


def excluded(globs: Iterable[str], name: str) -> bool:
    """Whether a glob names a source, or the one that it is inside of."""
    of = holder(name) or name
    return any(matches(anything(glob), of) for glob in globs)


def anything(glob: str) -> str:
    """A glob as it matches names: that of a folder matches all below it."""
    return f"{glob}**" if glob.endswith("/") else glob


def whole(glob: str) -> bool:
    """Whether a glob that matches a folder matches all below it."""
    return glob.endswith("**")


def relative_glob(text: str) -> str:
    """A parser of globs of `--exclude`."""
    if not text or text.startswith(("/", "./", "../")) or "://" in text:
        raise ValueError("a glob of names relative to the root, as in drafts/** or **/old-*.pdf")
    return text
