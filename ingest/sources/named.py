"""Roots with a name that is not their path, so that they can move."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import BinaryIO, TypeVar

from ingest.errors import ConfigError
from ingest.models import ListingIssue, Source, Unread
from ingest.sources import URL_PATTERN, Root

MAX_NAME_CHARS = 64
JOINERS = "\u200c\u200d"  # within words of Persian and Indic scripts

T = TypeVar("T", Source, ListingIssue, Unread)


@dataclass(frozen=True, slots=True)
class NamedRoot:
    """A root under another name than its path or URL."""

    root: Root
    name: str
    key: str = ""  # in the ids of its chunks; "" if it is the name

    def covers(self, name: str) -> bool:
        """Return whether the root covers a name."""
        return self.root.covers(name)

    def list(self) -> Iterator[Source | ListingIssue | Unread]:
        """List the root, with this name as the root of every item."""
        for item in self.root.list():
            yield self.adopt(item) if isinstance(item, Source) else replace(item, root=self.name)

    def find(self, name: str) -> Source:
        """Return the current state of one source."""
        return self.adopt(self.root.find(name))

    def open(self, source: Source) -> AbstractContextManager[BinaryIO]:
        """Open a source."""
        return self.root.open(source)

    def adopt(self, source: Source) -> Source:
        """Return a source as one of the root of this name."""
        return replace(source, root=self.name, root_key=self.key)


def split_name(argument: str) -> tuple[str, str]:
    """Split NAME=PLACE into name and place; the name is "" in an argument that is a place itself.

    An existing path is a place ("year=2026/"); so is a glob that matches a file, and a URL.
    """
    name, separator, place = argument.partition("=")
    if not separator or URL_PATTERN.match(argument):
        return "", argument
    if os.path.lexists(argument) or glob.glob(argument, recursive=True):  # noqa: PTH207 - of any depth
        return "", argument
    name = unicodedata.normalize("NFC", name)
    if not is_root_name(name):
        if "/" in name and not (os.path.lexists(place) or URL_PATTERN.match(place)):
            return "", argument  # a path that does not exist
        raise ConfigError(
            f"{argument}: a root's name begins with a letter or digit, and has letters, digits, "
            f"spaces, '.', '-' and '_' (no '/'), {MAX_NAME_CHARS} at most"
        )
    if not place:
        raise ConfigError(f"{argument}: names no folder: expected {name}=FOLDER or {name}=URL")
    return name, place


def is_root_name(text: str) -> bool:
    """Return whether a text may be the name of a root."""
    return text[:1].isalnum() and len(text) <= MAX_NAME_CHARS and all(map(is_name_char, text))


def is_name_char(char: str) -> bool:
    """Return whether a character may be in the name of a root; many scripts write with marks."""
    is_mark = unicodedata.category(char).startswith("M")
    return char.isalnum() or is_mark or char in f" .-_{JOINERS}"


def folder_name(path: str) -> str:
    """Return a root name for a folder: the last part of its path."""
    last = unicodedata.normalize("NFC", path.rstrip("/").rpartition("/")[2])
    return "".join(c if is_name_char(c) else "-" for c in last).strip(" .-_") or "root"
