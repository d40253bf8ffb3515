"""Validation of a user-supplied root against the contract of `Root`.

A listing out of order would look like deletions, and documents listed under another root's name
would be read again in every run, so neither may reach the comparison with the index.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeAlias, cast

from ingest.errors import ConfigError, DocumentError
from ingest.models import Code, ListingIssue, Source, Unread, is_document_name, parent_name
from ingest.sources import Root, require_source
from ingest.sources.spool import temporary_file, write_block

COPY_BLOCK_BYTES = 1 << 20


class LegacyRoot(Protocol):
    """The `Root` protocol of version 0.1. Accepted until version 0.3."""

    @property
    def name(self) -> str: ...

    def covers(self, name: str) -> bool: ...

    def listed(self) -> Iterator[Source | ListingIssue | Unread]: ...

    def opened(self, source: Source) -> AbstractContextManager[BinaryIO]: ...


RootLike: TypeAlias = "str | os.PathLike[str] | Root | LegacyRoot"


@dataclass(frozen=True, slots=True)
class LegacyRootAdapter:
    """Adapter from LegacyRoot to Root."""

    root: LegacyRoot

    @property
    def name(self) -> str:
        return self.root.name

    def covers(self, name: str) -> bool:
        return self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        return self.root.listed()

    def find(self, name: str) -> Source:
        return require_source(item for item in self.list() if item.name == name)

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        return self.root.opened(source)


@dataclass(frozen=True, slots=True)
class ValidatedRoot:
    """A root whose listing is checked, and whose documents are returned as files.

    Raises ConfigError for an invalid listing.
    """

    root: Root

    @property
    def name(self) -> str:
        return self.root.name

    def covers(self, name: str) -> bool:
        return self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        previous = ""
        for item in self.root.list():
            if problem := find_listing_problem(item, self.root, previous):
                raise ConfigError(f"the root {self.name} lists {item.name!r} {problem}")
            previous = item.name
            yield item

    def find(self, name: str) -> Source:
        """Return the current state of one source. Raises DocumentError if there is none."""
        if hasattr(self.root, "find"):
            return self.root.find(name)
        return require_source(item for item in self.list() if item.name == name)

    @contextmanager
    def open(self, source: Source) -> Iterator[BinaryIO]:
        with self.root.open(source) as file:
            if is_file(file):
                yield file
                return
            # The sandbox is given a file descriptor, which a stream or bytes do not have.
            with temporary_file() as made:
                while made.tell() <= source.size and (piece := file.read(COPY_BLOCK_BYTES)):
                    write_block(made, piece)
                if made.tell() != source.size:
                    raise DocumentError(
                        f"has another size than the {source.size:,} bytes that were listed; "
                        "run again",
                        Code.CHANGED,
                    )
                yield made


def find_listing_problem(item: Source | ListingIssue | Unread, root: Root, previous: str) -> str:
    """Return why an item may not follow the name `previous` in a listing; "" if it may."""
    if item.root != root.name:
        return f"under the root {item.root!r}: set `root` to the root's own name"
    if item.name <= previous:
        return f"after {previous!r}: names must ascend by code point, each once"
    if isinstance(item, ListingIssue | Unread):
        return ""
    if not is_document_name(item.name) or parent_name(item.name):
        return "as a PDF: its name must end in .pdf, and have no .pdf// in it"
    return "" if root.covers(item.name) else "and does not cover it"


def is_file(stream: BinaryIO) -> bool:
    """Return whether a stream is a file of the operating system with exactly these bytes.

    Having a `fileno` is not enough: a gzip stream has the one of the compressed file.
    """
    return isinstance(getattr(stream, "raw", stream), io.FileIO)


def split_roots(roots: Sequence[RootLike]) -> tuple[list[str], list[Root]]:
    """Split roots into names (paths and URLs) and custom roots.

    Raises ConfigError for an empty name or no name, and TypeError for anything that is not a root.
    """
    named: list[str] = []
    custom: list[Root] = []
    for root in roots:
        if isinstance(root, str | os.PathLike):
            named.append(os.fspath(root))
        elif hasattr(root, "list") and hasattr(root, "open"):
            custom.append(ValidatedRoot(cast("Root", root)))
        elif hasattr(root, "listed") and hasattr(root, "opened"):
            custom.append(ValidatedRoot(LegacyRootAdapter(root)))
        else:
            raise TypeError(f"a root must be a path, a URL or a Root, not {type(root).__name__}")
    if "" in named:
        raise ConfigError('no root is given: name a folder, as in: ingest("docs/")')
    return named, custom


def require_unique_names(roots: list[Root]) -> list[Root]:
    """Raise ConfigError if two roots share a name: each would remove the sources of the other."""
    names = [root.name for root in roots]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"two roots are called {name!r}: give each its own name")
    return roots
